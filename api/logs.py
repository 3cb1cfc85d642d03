"""Structured logs: one JSON object a line, with the id of the request; never a key, a query or a text."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from typing import Any, Final

#: Keys and bearer tokens, wherever a message may quote one.
_SECRET: Final = re.compile(r"tw_[0-9a-f]{8}_[A-Za-z0-9_-]{8,}|(?i:bearer)\s+\S+|sk-[A-Za-z0-9_-]{8,}")


def redact(text: str) -> str:
    """The text with everything that looks like a key blanked out."""
    return _SECRET.sub("***", text)


class JsonLines(logging.Formatter):
    """One JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        values: dict[str, Any] = {
            "at": f"{at}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            values |= {key: redact(value) if isinstance(value, str) else value for key, value in fields.items()}
        if record.exc_info:
            values["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(values, ensure_ascii=True, default=str)


def set_up(*, requests: bool) -> None:
    """Logs of this process to the error stream, as JSON lines; called by the command, never by the library.

    Args:
        requests: Whether every request gets a line.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger("twindex")
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    root.propagate = False
    logging.getLogger("twindex.access").setLevel(logging.INFO if requests else logging.WARNING)
    for name in ("uvicorn", "uvicorn.error"):
        other = logging.getLogger(name)
        other.handlers[:] = [handler]
        other.propagate = False

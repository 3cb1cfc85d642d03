"""Counters and histograms in the text format of Prometheus (version 0.0.4), for one process or several."""

from __future__ import annotations

import json
import os
import threading
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from twindex.indexing.directory import FileDirectory

#: Upper bounds of latencies, in seconds.
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
#: Name -> kind, help.
KNOWN: Final[dict[str, tuple[str, str]]] = {
    "twindex_requests_total": ("counter", "Requests by route and status."),
    "twindex_request_seconds": ("histogram", "Seconds from a request's first byte to its answer's last, by route."),
    "twindex_stage_seconds": ("histogram", "Seconds of a stage of the work: search, answer, encode, log."),
    "twindex_refused_total": ("counter", "Requests refused before any work, by reason."),
    "twindex_documents_total": ("counter", "Documents accepted for writing, by operation."),
    "twindex_queue_jobs": ("gauge", "Jobs that wait for a thread or have one."),
    "twindex_loop_late_seconds": ("gauge", "How long requests wait for the event loop of this process."),
    "twindex_encoder_batches_total": ("counter", "Calls of an encoder for queries."),
    "twindex_encoder_texts_total": ("counter", "Texts in those calls; over batches, this is the mean batch."),
    "twindex_encoder_remembered_total": ("counter", "Queries whose vector was remembered."),
    "twindex_index_documents": ("gauge", "Live documents of an index."),
    "twindex_index_segments": ("gauge", "Segments of an index."),
    "twindex_index_bytes": ("gauge", "Bytes of an index's files."),
    "twindex_index_generation": ("gauge", "Commits of an index."),
    "twindex_index_pending_records": ("gauge", "Acknowledged writes that are not visible yet."),
    "twindex_index_refused_records": ("gauge", "Records of the log that no index could hold."),
    "twindex_log_bytes": ("gauge", "Bytes of an index's write-ahead log."),
}

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """The measures of one process. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, Labels], float] = {}
        self._buckets: dict[tuple[str, Labels], list[float]] = {}

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        """Adds to a counter."""
        key = (name, tuple(labels.items()))
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + by

    def put(self, name: str, value: float, **labels: str) -> None:
        """Sets a counter that is counted elsewhere in this process."""
        with self._lock:
            self._counts[name, tuple(labels.items())] = value

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Adds a value to a histogram: a count for each bound, then their sum and the number of values."""
        key = (name, tuple(labels.items()))
        with self._lock:
            row = self._buckets.get(key)
            if row is None:
                row = self._buckets[key] = [0.0] * (len(SECONDS) + 2)
            row[bisect_left(SECONDS, seconds)] += 1
            row[-1] += seconds

    def to_dict(self) -> dict[str, Any]:
        """Plain values, to be added to those of other processes."""
        with self._lock:
            return {
                "counts": [[name, list(labels), value] for (name, labels), value in self._counts.items()],
                "buckets": [[name, list(labels), list(row)] for (name, labels), row in self._buckets.items()],
            }

    def add(self, values: Mapping[str, Any]) -> None:
        """Adds the values of another process."""
        with self._lock:
            for name, labels, value in values["counts"]:
                key = (name, tuple((k, v) for k, v in labels))
                self._counts[key] = self._counts.get(key, 0) + value
            for name, labels, row in values["buckets"]:
                key = (name, tuple((k, v) for k, v in labels))
                mine = self._buckets.get(key, [0.0] * len(row))
                self._buckets[key] = [a + b for a, b in zip(mine, row)]

    def render(self, gauges: Iterable[tuple[str, Labels, float]] = ()) -> str:
        """All of it as text, families in a fixed order."""
        with self._lock:
            values = [(name, labels, value) for (name, labels), value in self._counts.items()]
            buckets = [(name, labels, list(row)) for (name, labels), row in self._buckets.items()]
        values += gauges
        lines: list[str] = []
        for family, (kind, about) in KNOWN.items():
            rows = [f"{family}{_braced(ls)} {_number(v)}" for n, ls, v in values if n == family]
            for name, labels, row in buckets:
                if name == family:
                    rows += _histogram(family, labels, row)
            if rows:
                lines += [f"# HELP {family} {about}", f"# TYPE {family} {kind}", *rows]
        return "\n".join(lines) + "\n"


class Shared:
    """The measures of several processes, through one small file each.

    Args:
        folder: Where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self._directory = FileDirectory(folder, make=True)

    def publish(self, metrics: Metrics) -> None:
        """Writes this process's file."""
        path = self._directory.path(f"{os.getpid()}.json")
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(metrics.to_dict()))
        temporary.replace(path)

    def total(self, own: Metrics) -> Metrics:
        """The sum over this process and the others; what processes that ended have counted is kept."""
        total = Metrics()
        total.add(own.to_dict())
        for name in self._directory.names():
            if name.endswith(".json") and name != f"{os.getpid()}.json":
                try:
                    total.add(json.loads(self._directory.read(name)))
                except (OSError, ValueError):
                    continue
        return total

    def clear(self) -> None:
        """Removes all files: a server starts to count from 0."""
        for name in self._directory.names():
            self._directory.remove(name)


def _histogram(name: str, labels: Labels, row: list[float]) -> list[str]:
    lines, running = [], 0.0
    for bound, count in zip((*(f"{s:g}" for s in SECONDS), "+Inf"), row[:-1]):
        running += count
        lines.append(f"{name}_bucket{_braced((*labels, ('le', bound)))} {_number(running)}")
    return [*lines, f"{name}_sum{_braced(labels)} {row[-1]:.6f}", f"{name}_count{_braced(labels)} {_number(running)}"]


def _braced(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)

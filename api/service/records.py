"""What the write-ahead log holds: one record a request, on one line, with its length and a checksum.

::

    CRC32 in 8 hex digits, blank, bytes of the payload in decimal, blank, payload, line feed

The payload is one JSON object in ASCII, so a line feed ends a record and nothing else.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from twindex.indexing.types import Document

#: upsert and delete change documents; merge, restore are jobs of the writer, in their place in the order;
#: keys carries remembered idempotency keys from one file of the log to the next.
Operation = Literal["upsert", "delete", "merge", "restore", "keys"]
OPERATIONS: Final = frozenset({"upsert", "delete", "merge", "restore", "keys"})


@dataclass(frozen=True, slots=True)
class Entry:
    """A write that is to be logged.

    ``key`` and ``digest``: the idempotency key of the request, "" if it has none, and a hash of what was asked;
    ``outcome``: what to answer if the same request comes again.
    """

    operation: Operation
    body: Mapping[str, Any]
    key: str = ""
    digest: str = ""
    outcome: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """A write in the log. Sequence numbers count from 1 without gaps; ``at`` is seconds since 1970."""

    sequence: int
    entry: Entry
    at: float = 0.0

    def to_line(self) -> bytes:
        """Its bytes in the log."""
        values: dict[str, Any] = {"seq": self.sequence, "op": self.entry.operation, "body": dict(self.entry.body)}
        if self.entry.key:
            values |= {"key": self.entry.key, "digest": self.entry.digest, "outcome": dict(self.entry.outcome)}
        payload = json.dumps(values | {"at": self.at}, separators=(",", ":")).encode("ascii")
        return b"%08x %d %s\n" % (zlib.crc32(payload), len(payload), payload)

    @classmethod
    def from_line(cls, line: bytes) -> Record | None:
        """The record of these bytes; None if they are not one whole record."""
        head, _, rest = line.partition(b" ")
        length, _, payload = rest.partition(b" ")
        if not payload.endswith(b"\n") or len(head) != 8 or not length.isdigit():
            return None
        payload = payload[:-1]
        if len(payload) != int(length) or b"%08x" % zlib.crc32(payload) != head:
            return None
        values = json.loads(payload)
        if values["op"] not in OPERATIONS:
            return None
        entry = Entry(
            values["op"], values["body"], values.get("key", ""), values.get("digest", ""), values.get("outcome", {})
        )
        return cls(int(values["seq"]), entry, float(values["at"]))


def upsert(documents: Sequence[Document], **more: Any) -> Entry:
    """Documents to add, each in place of an older one with its id."""
    return Entry("upsert", {"documents": [_plain(document) for document in documents]}, **more)


def delete(doc_ids: Sequence[str], **more: Any) -> Entry:
    """Documents to delete by id."""
    return Entry("delete", {"ids": list(doc_ids)}, **more)


def documents_of(entry: Entry) -> list[Document]:
    """The documents of an upsert."""
    return [Document(**values) for values in entry.body["documents"]]


def _plain(document: Document) -> dict[str, Any]:
    return {
        "id": document.id,
        "text": document.text,
        "title": document.title,
        "metadata": dict(document.metadata),
    }

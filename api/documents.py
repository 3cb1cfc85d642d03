"""Bodies of bulk writes: NDJSON or a JSON list becomes documents, with an outcome for each item."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Final

from twindex.api.refusals import MediaTypeError, TooLargeError
from twindex.indexing.corpus.base import Fields
from twindex.indexing.errors import CorpusError, UsageError
from twindex.indexing.types import Document

#: Media types of one JSON object a line.
NDJSON: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")
#: Bytes of a document id in UTF-8, at most.
MAX_ID: Final = 1024
_FIELDS: Final = Fields.of(None, None, None)


@dataclass(slots=True)
class Bulk:
    """What a body holds: the documents that can be written, and an outcome for each item, in their order."""

    documents: list[Document] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)

    @property
    def rejected(self) -> int:
        """Items that cannot be written."""
        return len(self.items) - len(self.documents)

    def add(self, number: int, record: Any) -> None:
        """One item."""
        try:
            document = _FIELDS.document(record, "", 0)
            _check(document)
        except (CorpusError, RecursionError) as error:
            self.reject(number, error)
            return
        self.documents.append(document)
        self.items.append({"item": number, "id": document.id, "status": "accepted"})

    def reject(self, number: int, error: Exception) -> None:
        """One item that cannot be written."""
        known = error if isinstance(error, CorpusError) else CorpusError("a record nested too deeply")
        detail = {"given": known.given, "expected": known.expected, "remedy": "mend this item and send it again"}
        self.items.append({"item": number, "id": None, "status": "rejected", "error": detail})


def parse_bulk(data: bytes, media_type: str, *, max_items: int) -> Bulk:
    """The documents of a body.

    Args:
        data: The body.
        media_type: What the request says it is.
        max_items: Items, at most.

    Raises:
        MediaTypeError: If it is of another kind.
        UsageError: If there is nothing in it, or a JSON body is not a list of documents.
        TooLargeError: If it has too many items.
    """
    kind = media_type.partition(";")[0].strip().lower()
    bulk = Bulk()
    if kind in NDJSON:
        _lines(data, bulk, max_items)
    elif kind == "application/json":
        for number, record in enumerate(_listed(data, max_items), 1):
            bulk.add(number, record)
    else:
        raise MediaTypeError(
            f"a body of type {kind[:80] or 'that is not given'!r}",
            expected=f"{NDJSON[0]}, one document a line, or application/json",
            remedy=f"set the header Content-Type: {NDJSON[0]}",
        )
    if not bulk.items:
        raise UsageError("a body without documents", expected="one or more", remedy="send one JSON object a line")
    return bulk


def request_digest(*parts: bytes | str) -> str:
    """A hash of what a request asks, for idempotency keys."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def _lines(data: bytes, bulk: Bulk, max_items: int) -> None:
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        if len(bulk.items) == max_items:
            raise _too_many(max_items)
        try:
            record = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            bulk.reject(number, CorpusError(f"bytes that are not UTF-8 at byte {error.start + 1}", expected="UTF-8"))
        except (ValueError, RecursionError) as error:
            bulk.reject(number, CorpusError(f"not JSON ({str(error)[:200]})", expected="one JSON object"))
        else:
            bulk.add(number, record)


def _listed(data: bytes, max_items: int) -> list[Any]:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"a body that is not JSON ({str(error)[:200]})", expected='{"documents": [...]}') from error
    listed = body.get("documents") if isinstance(body, dict) and set(body) == {"documents"} else body
    if not isinstance(listed, list):
        raise UsageError("a JSON body of another form", expected='{"documents": [...]} or a list of documents')
    if len(listed) > max_items:
        raise _too_many(max_items)
    return listed


def _check(document: Document) -> None:
    size = len(document.id.encode("utf-8", "surrogatepass"))
    if size > MAX_ID:
        raise CorpusError(f"an id of {size} bytes", expected=f"at most {MAX_ID}")


def _too_many(max_items: int) -> TooLargeError:
    return TooLargeError(f"more than {max_items:,} items", expected="fewer", remedy="send them in several requests")

"""Documents as they are indexed: one by its id, or all that pass a filter, page by page in the order of the corpus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from twindex.api.documents import MAX_ID
from twindex.indexing.filters import Filter
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Int32Array, Passage

#: Characters of the documents of one page after which it ends, however many were asked for.
PAGE_CHARS: Final = 4_000_000
#: Passages whose ids are read at once.
STEP: Final = 256


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """Some documents, and the ordinal at which the next page begins; None after the last."""

    documents: list[dict[str, Any]]
    following: int | None


def find_document(snapshot: Snapshot, doc_id: str) -> dict[str, Any] | None:
    """The live document of that id as plain values, None if there is none."""
    passages: list[Passage] = []
    if len(doc_id.encode("utf-8", "surrogatepass")) <= MAX_ID:
        for segment in snapshot.segments:
            local = segment.store.find(doc_id)
            alive = local if segment.live is None else local[segment.live[local]]
            passages += segment.store.passages(alive)
    if not passages:
        return None
    first = passages[0]
    whole = len(passages) == 1 and first.start == 0
    return {
        "id": doc_id,
        "title": first.title,
        "text": first.text if whole else None,
        "metadata": dict(first.metadata),
        "passages": [{"id": p.id, "start": p.start, "end": p.end, "text": p.text} for p in passages],
    }


def list_documents(snapshot: Snapshot, condition: Filter | None, *, start: int, limit: int) -> DocumentPage:
    """The live documents that pass a filter, from an ordinal on. Cost: that of the filter, and of reading the page.

    Args:
        snapshot: The commit.
        condition: The filter; None passes all.
        start: The ordinal.
        limit: How many, at most; fewer where they are long.

    Raises:
        FilterError: If the filter names a field that the index does not have.
    """
    found: list[dict[str, Any]] = []
    seen: set[str] = set()
    chars = 0
    for ordinal, doc_id in _ids(snapshot, condition, start):
        if doc_id in seen:  # a further passage
            continue
        if len(found) == limit or chars > PAGE_CHARS:
            return DocumentPage(found, ordinal)
        seen.add(doc_id)
        document = find_document(snapshot, doc_id)
        if document is not None:
            found.append(document)
            chars += sum(len(passage["text"]) for passage in document["passages"])
    return DocumentPage(found, None)


def _ids(snapshot: Snapshot, condition: Filter | None, start: int) -> Iterator[tuple[int, str]]:
    """Ordinals of live passages that pass the filter, with the ids of their documents."""
    mask = snapshot.allowed(condition)
    passing = None if mask is None else start + np.flatnonzero(mask[start:])
    count = max(0, snapshot.size - start) if passing is None else len(passing)
    for first in range(0, count, STEP):
        until = min(first + STEP, count)
        ords: Int32Array
        ords = (np.arange(start + first, start + until) if passing is None else passing[first:until]).astype(np.int32)
        yield from zip(ords.tolist(), snapshot.doc_ids(ords))

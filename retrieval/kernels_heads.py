"""Compiled passes that lay lists out for searches within a budget. Imported through ``fast.py`` only."""

from __future__ import annotations

from typing import Final

import numpy as np

from twindex.retrieval.kernels import A, entry

#: Values of a posting that share a class, as a power of two, and the number of classes.
CLASS: Final = 2
CLASSES: Final = 256 >> CLASS


@entry
def head_sizes(ptr: A, most: A, out: A) -> None:
    """Where each term's head begins, and the end: at most so many postings a term."""
    out[0] = 0
    for t in range(ptr.size - 1):
        out[t + 1] = out[t] + min(ptr[t + 1] - ptr[t], most)


@entry
def fill_heads(ptr: A, docs: A, values: A, heads: A, head_docs: A, head_values: A, above: A) -> None:
    """Each term's postings of greatest value, by falling value and then ascending document; see ``heads.py``."""
    place = np.zeros(257, np.int64)
    for t in range(ptr.size - 1):
        place[:] = 0
        for p in range(ptr[t], ptr[t + 1]):
            place[values[p]] += 1
        room, before = heads[t + 1] - heads[t], np.int64(0)
        for v in range(255, -1, -1):
            count = place[v]
            place[v] = before
            before += count
            if v & ((1 << CLASS) - 1) == 0:
                above[t, v >> CLASS] = min(before, room)
        for p in range(ptr[t], ptr[t + 1]):
            v = values[p]
            if place[v] < room:
                head_docs[heads[t] + place[v]] = docs[p]
                head_values[heads[t] + place[v]] = v
            place[v] += 1


@entry
def document_sizes(docs: A, out: A) -> None:
    """Where each document's entries begin, and the end. ``out``: int64[size + 1], zeros."""
    for d in docs:
        out[np.int64(d) + 1] += 1
    for d in range(1, out.size):
        out[d] += out[d - 1]


@entry
def fill_documents(ptr: A, docs: A, values: A, starts: A, entries: A) -> None:
    """Each document's terms, ascending, with their values: ``term << 8 | value``."""
    free = starts[:-1].copy()
    for t in range(ptr.size - 1):
        for p in range(ptr[t], ptr[t + 1]):
            d = docs[p]
            entries[free[d]] = (np.uint32(t) << np.uint32(8)) | np.uint32(values[p])
            free[d] += 1

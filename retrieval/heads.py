"""Lists laid out for searches within a budget: heads of falling value, and every document's own terms.

Derived data in memory, made at the first such search. A head is the part of a list that is worth reading out of order:
its postings of greatest value. Lists of most terms are shorter than that, so that their heads are the whole lists.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final, NamedTuple

import numpy as np

from twindex.indexing.types import Int64Array, UInt8Array, UInt32Array
from twindex.retrieval.image import Lists

#: A head has at most one posting for so many documents, yet at least so many postings, if the list has them.
HEAD_SHARE: Final = 32
HEAD_LEAST: Final = 4096
#: An entry of a document has the number of a term in 24 bits.
MOST_TERMS: Final = 1 << 24


class Heads(NamedTuple):
    """Heads of T terms with H postings, and the P entries of documents; read-only.

    ``begins`` int64[T + 1]: first posting of each head; ``docs`` uint32[H] and ``values`` uint8[H], within a head by
    falling value, then by ascending document; ``above`` uint32[T, classes]: postings of a head of each class of values
    or a greater one. ``starts`` int64[size + 1]: first entry of each document; ``entries`` uint32[P]: ``term << 8 |
    value``, terms ascending.
    """

    begins: Int64Array
    docs: UInt32Array
    values: UInt8Array
    above: UInt32Array
    starts: Int64Array
    entries: UInt32Array

    @property
    def longest(self) -> int:
        """Terms of the longest document."""
        return int(np.diff(self.starts).max(initial=0))

    @property
    def mean(self) -> float:
        """Mean number of terms of a document, 1 at least."""
        return max(len(self.entries) / max(len(self.starts) - 1, 1), 1.0)


def lay_out(lists: Lists, kernels: ModuleType) -> Heads:
    """Heads and entries of lists.

    Args:
        lists: Of at most MOST_TERMS terms.
        kernels: ``kernels_heads``.

    Cost: three passes over the postings, of them two in random order; up to 9 bytes a posting.
    """
    ptr, terms = lists.ptr, len(lists.ptr) - 1
    begins = np.zeros(terms + 1, np.int64)
    kernels.head_sizes(ptr, max(lists.size // HEAD_SHARE, HEAD_LEAST), begins)
    docs, values = np.empty(int(begins[-1]), np.uint32), np.empty(int(begins[-1]), np.uint8)
    above = np.zeros((terms, kernels.CLASSES), np.uint32)
    kernels.fill_heads(ptr, lists.docs, lists.values, begins, docs, values, above)
    starts = np.zeros(lists.size + 1, np.int64)
    kernels.document_sizes(lists.docs, starts)
    entries = np.empty(len(lists.docs), np.uint32)
    kernels.fill_documents(ptr, lists.docs, lists.values, starts, entries)
    return Heads(begins, docs, values, above, starts, entries)

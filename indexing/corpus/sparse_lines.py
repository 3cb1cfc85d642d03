"""Documents with sparse vectors that were made elsewhere: one JSON object a line, plain or gzipped.

A line is ``{"id": "d1", "vector": {"17": 1.25, "204": 0.5}}``: dimensions, as decimal texts, with their weights. It may
hold "text", "title" and "metadata" as other corpora do. (This is the form in which the Anserini family passes
learned-sparse vectors on, but for its terms in the place of numbers: the vocabulary is the encoder's.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from twindex.indexing.corpus.lines import JsonLinesCorpus
from twindex.indexing.encoding import SparseRows
from twindex.indexing.errors import CorpusError
from twindex.indexing.types import Document

#: Field of the vector; what is below it arrives as metadata with dotted names.
VECTOR: Final = "vector"
#: Documents of one batch.
BATCH: Final = 4096

Batch = tuple[list[Document], SparseRows]


def sparse_lines(path: Path, *, vocabulary: int, batch: int = BATCH) -> Iterator[Batch]:
    """Documents and their vectors, in batches, for ``IndexWriter.add_vectors``.

    Args:
        path: The file.
        vocabulary: Number of dimensions.
        batch: Documents at a time; memory is that of one batch.

    Raises:
        CorpusError: If a line cannot be read, or its vector is none over the vocabulary.
    """
    documents = iter(_VectorLines(path))
    while some := list(islice(documents, batch)):
        rows = [_row(document, vocabulary, str(path)) for document in some]
        pointers = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=pointers[1:])
        ids = np.array([dimension for row in rows for dimension, _ in row], np.int32)
        weights = np.array([weight for row in rows for _, weight in row], np.float32)
        plain = [Document(d.id, d.text, d.title, {k: v for k, v in d.metadata.items() if k != VECTOR}) for d in some]
        yield plain, SparseRows(pointers, ids, weights)


class _VectorLines(JsonLinesCorpus):
    """Lines whose text may be missing, and whose vector is kept as it is."""

    def document(self, read: Any, path: str, line: int) -> Document | None:
        """The document of one line, its vector under that name in the metadata."""
        record = read()
        if not isinstance(record, Mapping) or not isinstance(record.get(VECTOR), Mapping):
            raise CorpusError(
                "a line without a vector", path=path, line=line, expected=f'an object "{VECTOR}": {{"17": 1.25}}'
            )
        rest = {key: value for key, value in record.items() if key != VECTOR}
        found = super().document(lambda: {"text": ""} | rest, path, line)
        if found is None:
            return None
        kept: Any = {**found.metadata, VECTOR: record[VECTOR]}
        return Document(found.id, found.text, found.title, kept)


def _row(document: Document, vocabulary: int, path: str) -> list[tuple[int, float]]:
    vector: Any = document.metadata[VECTOR]
    row: list[tuple[int, float]] = []
    for key, weight in vector.items():
        known = isinstance(key, str) and key.isascii() and key.isdigit() and int(key) < vocabulary
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not known or not number or not 0 <= weight < float(np.finfo(np.float32).max):
            raise CorpusError(
                f"document {document.id!r}: dimension {key!r} with weight {weight!r}",
                path=path,
                expected=f"a number below {vocabulary} with a finite weight of at least 0",
            )
        row.append((int(key), float(weight)))
    row.sort()
    if any(one[0] == other[0] for one, other in pairwise(row)):
        raise CorpusError(f"document {document.id!r}: a dimension twice, as in '7' and '07'", path=path)
    return row

"""How near a generated query is to its document: what a filter of queries goes by.

Doc2Query-- (M. Gospodinov, S. MacAvaney, C. Macdonald, "Doc2Query--: When Less is More", ECIR 2023) leaves out queries
that a relevance model finds beside the point. Here an encoder scores them, by the cosine of the query's and the
document's vectors, which an index with both has anyway. The scores are kept in the store, so what is left out is
decided when an index is built, and can be decided anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np

from twindex.indexing.encoding import Encoder
from twindex.indexing.errors import ConfigError
from twindex.indexing.expansion.records import Record, content_hash
from twindex.indexing.expansion.store import ExpansionStore
from twindex.indexing.expansion.writer import ExpansionWriter
from twindex.indexing.types import Float32Array, Passage, Progress, no_progress

#: Documents whose scores are made durable together.
BATCH: Final = 64
#: Digits of a score.
DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """What was done. ``already``: sets that this scorer had scored before."""

    documents: int
    sets: int
    queries: int
    already: int


@dataclass(frozen=True, slots=True)
class _Set:
    """One set of queries of one document of a batch, to be scored."""

    document: int
    number: int
    texts: Sequence[str]


def score_queries(
    writer: ExpansionWriter,
    passages: Iterable[Passage],
    encoder: Encoder,
    *,
    config: bytes | str | None = None,
    progress: Progress = no_progress,
    total: int | None = None,
) -> ScoreReport:
    """Scores the queries of one configuration that have no score by this encoder; it can be stopped and run again.

    Args:
        writer: The store, open for writing.
        passages: The documents; those without queries are passed over.
        encoder: Sees documents and queries as documents, as an index of generated queries does. One that keeps its
            vectors makes them free for the index, or takes them from there.
        config: Which queries, as in :meth:`ExpansionStore.resolve`.
        progress: Told of "score" and documents done.
        total: Number of passages, for the progress, if it is known.

    Raises:
        ConfigError: If there is no such configuration, or the encoder's vectors are not unit length.
    """
    if encoder.info.similarity != "cosine":
        raise ConfigError(
            f"scores by {encoder.info.name!r}, whose similarity is {encoder.info.similarity}", expected="cosine"
        )
    chosen = writer.store.resolve(config)
    scorer = f"{encoder.info.name} {encoder.info.fingerprint}"
    documents = sets = queries = already = 0
    source = iter(passages)
    while batch := list(islice(source, BATCH)):
        contents = list(dict.fromkeys(passage.contents for passage in batch))
        pending, known = _pending(writer.store, contents, chosen, scorer)
        writer.append(_scored(pending, contents, encoder, chosen, scorer))
        documents += len(batch)
        sets += len(pending)
        queries += sum(len(some.texts) for some in pending)
        already += known
        progress("score", documents, total)
    return ScoreReport(documents, sets, queries, already)


def _pending(store: ExpansionStore, contents: Sequence[str], config: bytes, scorer: str) -> tuple[list[_Set], int]:
    """The sets that lack scores, and how many have them."""
    pending: list[_Set] = []
    known = 0
    for at, text in enumerate(contents):
        records = store.records(content_hash(text), config)
        # the last scores of a set are those that count
        by = {record.number: record.value["by"] for record in records if record.kind == "scores"}
        sets: dict[int, list[str]] = {}
        for record in records:
            if record.kind == "queries":
                sets.setdefault(record.number, record.value)
        for number in sorted(sets):
            if by.get(number) == scorer:
                known += 1
            elif sets[number]:
                pending.append(_Set(at, number, sets[number]))
    return pending, known


def _scored(
    pending: Sequence[_Set], contents: Sequence[str], encoder: Encoder, config: bytes, scorer: str
) -> Iterator[Record]:
    places = sorted({some.document for some in pending})
    if not places:
        return
    documents = dict(zip(places, encoder.encode_documents([contents[at] for at in places])))
    vectors = encoder.encode_documents([text for some in pending for text in some.texts])
    start = 0
    for some in pending:
        part = vectors[start : start + len(some.texts)]
        start += len(some.texts)
        value = {"by": scorer, "values": _cosines(part, documents[some.document])}
        yield Record(config, content_hash(contents[some.document]), "scores", some.number, value)


def _cosines(queries: Float32Array, document: Float32Array) -> list[float]:
    """Inner products in double precision, one by one, so that no neighbour and no thread changes a digit."""
    exact = np.multiply(queries, document, dtype=np.float64).sum(axis=1)
    return [round(float(value), DIGITS) for value in exact]

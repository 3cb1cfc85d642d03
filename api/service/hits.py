"""The JSON of a search, written from the stored records: no object a hit, no text copied twice."""

from __future__ import annotations

from typing import Any

from twindex.api.highlight import highlights
from twindex.api.json_response import from_stored
from twindex.indexing.errors import CorruptIndexError
from twindex.retrieval.ranked import Ranked


def result_of(
    found: Ranked, *, k: int, explain: bool = False, highlight: bool = False, text: bool = True
) -> dict[str, Any]:
    """What ``SearchResult.to_dict`` gives for the first k hits, keys in the same order; whoever calls puts the time in.

    Args:
        found: The ranking, its snapshot still open.
        k: Hits.
        explain: Whether to say why each hit has its score.
        highlight: Whether to mark the words of the query in each text.
        text: Whether the texts are part of it.
    """
    hits = _hits(found, k)
    if found.fused is not None or found.stages.reordered is not None:
        for hit, ranks in zip(hits, found.ranks()):
            if ranks:
                hit["ranks"] = ranks
    if explain:
        for hit, reason in zip(hits, found.explanations()):
            hit["explanation"] = reason.to_dict()
    if highlight:
        for hit in hits:
            hit["highlights"] = highlights(found.snapshot.analyzer, found.query.text, hit["text"])
    if not text:
        for hit in hits:
            del hit["text"]
    plain: dict[str, Any] = {"query": found.query.text, "mode": found.mode, "hits": hits, "took_ms": 0.0}
    more = {"fusion": found.fusion(), "reranked": found.reranked(), "notes": list(found.notes) or None}
    return plain | {name: value for name, value in more.items() if value is not None}


def _hits(found: Ranked, k: int) -> list[dict[str, Any]]:
    ords, scores = found.ranking.ords[:k], found.ranking.scores[:k].tolist()
    passage_ids = found.snapshot.ids(ords)
    try:
        return [
            _hit(found, score, passage_id, from_stored(record))
            for score, passage_id, record in zip(scores, passage_ids, found.snapshot.records(ords))
        ]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptIndexError(
            f"a record of {found.snapshot.path} cannot be read ({error})",
            expected="what a writer wrote",
            remedy="run: twindex verify; then restore the index from a copy, or build it again",
        ) from error


def _hit(found: Ranked, score: float, passage_id: str, record: dict[str, Any]) -> dict[str, Any]:
    doc_id = record["doc_id"]
    return {
        "id": doc_id if found.rollup else passage_id,
        "score": score,
        "title": record["title"],
        "text": record["text"],
        "metadata": record["metadata"],
        "passage": {"id": passage_id, "doc_id": doc_id, "start": record["start"], "end": record["end"]},
    }

"""From folders of documents to a training set: pairs, deduplication, tokens, hard negatives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from twindex.indexing.encoders.term_space import TermSpace
from twindex.indexing.encoders.tokenizer import TextTokenizer, without_surrogates
from twindex.indexing.training.mining import Search, mine
from twindex.indexing.training.overlap import Guard
from twindex.indexing.training.sources import Pair, SourceSpec, documents, pairs
from twindex.indexing.training.tokens import TokenTable, bare_ids
from twindex.indexing.training.training_set import TrainingSet
from twindex.indexing.types import Document, Int32Array, Progress, no_progress

#: Tokens of a document and of a query, special ones included.
DOCUMENT_TOKENS: Final = 256
QUERY_TOKENS: Final = 64
TITLE_TOKENS: Final = 40

#: Makes a search over the given texts; ordinals are their positions.
SearchFactory = Callable[[Sequence[str]], Search]


@dataclass(slots=True)
class _Gathered:
    """Documents and pairs that may be trained on, in the order of the sources."""

    documents: list[Document] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    positive: list[int] = field(default_factory=list)
    source: list[int] = field(default_factory=list)
    titled: list[bool] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)


def prepare(
    specs: Sequence[SourceSpec],
    guard: Guard,
    make_search: SearchFactory | None,
    *,
    negatives: int = 8,
    skip: int = 0,
    progress: Progress = no_progress,
) -> TrainingSet:
    """The training set of the sources, without anything that the guard refuses.

    Args:
        specs: Where pairs come from.
        guard: What evaluations contain.
        make_search: What mines negatives; None leaves them out.
        negatives: Hard negatives a query.
        skip: Best ranks that are never a negative.
        progress: Called while gathering and mining.
    """
    found = _gather(specs, guard, progress)
    texts = [document.text for document in found.documents]
    mined: Int32Array = np.full((len(found.queries), negatives), -1, np.int32)
    if make_search is not None and negatives:
        answers = _answers(found.queries, found.positive)
        mined = mine(found.queries, answers, make_search(texts), count=negatives, skip=skip, progress=progress)
    passages, space = TextTokenizer.bert_uncased(DOCUMENT_TOKENS), TermSpace.bert_uncased()
    short = TextTokenizer.bert_uncased(QUERY_TOKENS)
    return TrainingSet(
        passages=TokenTable.from_texts(texts, passages),
        titles=TokenTable.from_texts((d.title for d in found.documents), TextTokenizer.bert_uncased(TITLE_TOKENS)),
        queries=TokenTable.from_texts(found.queries, short),
        positive=np.array(found.positive, np.int32),
        negatives=mined,
        spans=np.array(list(_spans(found, passages)), np.int32).reshape(-1, 2),
        source=np.array(found.source, np.int32),
        titled=np.array(found.titled, np.bool_),
        passage_terms=TokenTable.from_terms(texts, space),
        title_terms=TokenTable.from_terms((d.title for d in found.documents), space),
        query_terms=TokenTable.from_terms(found.queries, space),
        names=tuple(spec.name for spec in specs),
        about=_about(specs, guard, found),
    )


def _gather(specs: Sequence[SourceSpec], guard: Guard, progress: Progress) -> _Gathered:
    found, seen = _Gathered(), dict[str, int]()
    for number, spec in enumerate(specs):
        counts = found.counts.setdefault(spec.name, Counter())
        ordinals: dict[str, int] = {}
        table = documents(spec)
        for name, document in table.items():
            counts["documents"] += 1
            if guard.refuses(document.text):
                counts["documents_refused"] += 1
            elif document.text in seen:
                counts["documents_twice"] += 1
                ordinals[name] = seen[document.text]  # pairs of a second source join the first one's text
            elif document.text.strip():
                seen[document.text] = ordinals[name] = len(found.documents)
                found.documents.append(document)
        for pair in pairs(spec, table):
            ordinal = ordinals.get(pair.doc_id)
            if ordinal is None:
                continue
            if guard.refuses(pair.query):
                counts["queries_refused"] += 1
                continue
            counts["sentence_queries" if pair.start >= 0 else "queries"] += 1
            found.queries.append(without_surrogates(pair.query))
            found.pairs.append(pair)
            found.positive.append(ordinal)
            found.source.append(number)
            found.titled.append(_is_titled(pair, found.documents[ordinal]))
        progress("sources", number + 1, len(specs))
    return found


def _is_titled(pair: Pair, document: Document) -> bool:
    """Whether the text may carry its title: not where the title is the query."""
    return pair.start >= 0 or pair.query.strip().lower() != document.title.strip().lower()


def _answers(queries: Sequence[str], positive: Sequence[int]) -> list[frozenset[int]]:
    """All passages that answer a query of the same words, for each query."""
    groups: dict[str, set[int]] = {}
    for query, ordinal in zip(queries, positive):
        groups.setdefault(query.lower(), set()).add(ordinal)
    frozen = {query: frozenset(ordinals) for query, ordinals in groups.items()}
    return [frozen[query.lower()] for query in queries]


def _spans(found: _Gathered, tokenizer: TextTokenizer) -> Iterable[tuple[int, int]]:
    """Where sentence queries lie in their passages, in tokens. A sentence beyond the cut has an empty span there."""
    for pair, ordinal in zip(found.pairs, found.positive):
        if pair.start < 0:
            yield -1, -1
            continue
        text = found.documents[ordinal].text
        # Sentences begin after a blank, where WordPiece starts afresh, so tokens before it do not change.
        yield len(bare_ids(tokenizer, text[: pair.start])), len(bare_ids(tokenizer, text[: pair.end]))


def _about(specs: Sequence[SourceSpec], guard: Guard, found: _Gathered) -> dict[str, Any]:
    return {
        "sources": {
            spec.name: {
                "split": spec.split,
                "sentences": spec.sentences,
                "limit": spec.limit,
                **found.counts[spec.name],
            }
            for spec in specs
        },
        "evaluations": {name: dict(sizes) for name, sizes in guard.sizes.items()},
        "refused": dict(guard.found),
        "queries": len(found.queries),
        "passages": len(found.documents),
        "terms": TermSpace.bert_uncased().fingerprint,
    }

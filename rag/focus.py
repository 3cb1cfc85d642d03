"""Cutting a long text, at sentence borders, to the part that says most about a question."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from twindex.rag.sentences import Span, split_sentences
from twindex.rag.terms import Terms

#: Sums of weights that come and go are equal up to this.
_EPSILON: Final = 1e-9


def focus(text: str, question: Sequence[str], *, terms: Terms, cost: Callable[[str], int], room: int) -> Span | None:
    """The run of whole sentences that fits and has the most weight of question terms.

    Each sentence weighs the sum of the inverse document frequencies, among the sentences, of the distinct
    question terms in it. Of equal runs the first is taken, so without any match the text's beginning.

    Args:
        text: What to cut.
        question: Content terms of the question.
        terms: What makes the terms of a sentence.
        cost: Tokens of a part of the text, with all that goes around it.
        room: How many tokens it may cost.

    Returns:
        None if not even the best single sentence fits.

    Source: ours.
    """
    spans = split_sentences(text)
    weights = _weights([terms.content(span.of(text)) for span in spans], question)
    frame = cost("")
    costs = [cost(span.of(text)) - frame + 1 for span in spans]
    best: tuple[float, int, int] | None = None
    first, total, weight = 0, frame, 0.0
    for last in range(len(spans)):
        total += costs[last]
        weight += weights[last]
        while total > room and first <= last:
            total -= costs[first]
            weight -= weights[first]
            first += 1
        if first <= last and (best is None or weight > best[0] + _EPSILON or first == best[1]):
            best = (weight, first, last)
    return None if best is None else _shrunk(text, spans, best[1], best[2], cost, room)


def _weights(sentences: Sequence[Sequence[str]], question: Sequence[str]) -> list[float]:
    wanted = dict.fromkeys(question)
    df = Counter(term for sentence in sentences for term in set(sentence) & wanted.keys())
    n = len(sentences)
    idf = {term: math.log1p((n - df[term] + 0.5) / (df[term] + 0.5)) for term in wanted}
    return [sum(idf[term] for term in wanted if term in sentence) for sentence in map(frozenset, sentences)]


def _shrunk(
    text: str, spans: Sequence[Span], first: int, last: int, cost: Callable[[str], int], room: int
) -> Span | None:
    """The run itself, or, where counts of parts do not add up to the count of the whole, a shorter one."""
    while first <= last:
        run = Span(spans[first].start, spans[last].end)
        if cost(run.of(text)) <= room:
            return run
        last -= 1
    return None

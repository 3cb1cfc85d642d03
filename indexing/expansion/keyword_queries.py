"""Queries without a language model: keywords of a text put together, one topic at a time.

They are what the method ``keywords`` puts in the place of generated queries: each joins a phrase of the text to phrases
of one of its topics, which the text may have or lack. Deterministic, and no encoder is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twindex.indexing.expansion.keywords import Keyword, KeywordChoice, stemmed

#: Phrases of the topic in one query.
WITH: Final = 2


def keyword_queries(choice: KeywordChoice, count: int) -> tuple[str, ...]:
    """At most ``count`` distinct queries, the most telling first.

    Query by query, the topics of the text take turns in proportion to their shares, and so do its own phrases one by
    one; a topic gives its next phrases. A text without topics gives its own phrases.
    """
    lanes = _lanes(choice)
    queries: dict[str, None] = {}
    for number, (lane, turn) in enumerate(_turns([share for share, _ in lanes], count * 4)):
        own = [choice.own[number % len(choice.own)].text] if choice.own else []
        query = _joined(own + _next(lanes[lane][1], turn))
        if query:
            queries.setdefault(query)
        if len(queries) == count:
            break
    return tuple(queries)


def _lanes(choice: KeywordChoice) -> list[tuple[float, list[Keyword]]]:
    """Share and phrases of each topic that has some; a lane of own phrases where there is none."""
    lanes = []
    for number, share in choice.topics.weights:
        phrases = [keyword for keyword in choice.topical if keyword.topic == number]
        if phrases:
            lanes.append((share, phrases))
    return lanes or [(1.0, list(choice.own))]


def _turns(shares: Sequence[float], count: int) -> list[tuple[int, int]]:
    """Which lane comes when, and for the how manieth time: the one that is most behind its share (Sainte-Laguë)."""
    taken = [0] * len(shares)
    turns: list[tuple[int, int]] = []
    for _ in range(count):
        lane = max(range(len(shares)), key=lambda at: (shares[at] / (2 * taken[at] + 1), -at))
        turns.append((lane, taken[lane]))
        taken[lane] += 1
    return turns


def _next(phrases: Sequence[Keyword], turn: int) -> list[str]:
    """The phrases of a lane's turn; after all had theirs, other neighbours come together."""
    start = turn * WITH + turn * WITH // max(1, len(phrases))
    return [phrases[(start + step) % len(phrases)].text for step in range(min(WITH, len(phrases)))]


def _joined(parts: Sequence[str]) -> str:
    """The words of the parts, each stem once."""
    words: dict[str, str] = {}
    for part in parts:
        for word in part.split(" "):
            words.setdefault(stemmed(word), word)
    return " ".join(words.values())

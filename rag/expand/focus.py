"""What each draft of a document is about: a few of its keywords and one of its topics, in turns.

One draft that is given all keywords joins what the document does not join, and many such drafts say the same. So each
is given little, and the drafts of a document together cover its keywords and topics. The last query of a set is made of
keywords without a model: words of a topic that the document itself may lack, which a model asked to use them would make
false claims of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from twindex.indexing.expansion.keywords import stemmed
from twindex.indexing.expansion.words import words
from twindex.rag.expand.config import ExpandConfig
from twindex.rag.expand.guidance import Guidance
from twindex.rag.expand.prompts import Shown


@dataclass(frozen=True, slots=True)
class Focus:
    """Topics and keywords of the drafts of one document, number by number.

    ``keywords`` are what drafts are given, ``joined`` what makes their last queries; either may be empty.
    """

    topics: tuple[str, ...]
    keywords: tuple[str, ...]
    joined: tuple[str, ...]
    each: int

    @classmethod
    def of(cls, document: Shown, guidance: Guidance, chosen: Sequence[str], config: ExpandConfig) -> Focus:
        """The focus of a document.

        Args:
            document: Title and text.
            guidance: Topics, and queries of keywords.
            chosen: Keywords, by whomever; those that the text has not in it are no matter for claims and are left
                out, if others remain.
            config: What is shown.
        """
        topics = tuple(label for _, _, label in guidance.topics[: config.topics]) if config.shows_topics else ()
        if not config.shows_keywords:
            return cls(topics, (), (), config.focus)
        chosen = tuple(chosen[: config.keywords])
        known = {stemmed(word) for word in words(f"{document.title}\n{document.text}")}
        supported = tuple(keyword for keyword in chosen if all(stemmed(word) in known for word in words(keyword)))
        joined = guidance.queries if config.shows_topics else tuple(_joined(chosen, config))
        return cls(topics, supported or chosen, joined, config.focus)

    def shown(self, document: Shown, number: int) -> Shown:
        """The document with what draft ``number`` is about."""
        topics = self.topics[number % len(self.topics) :][:1] if self.topics else ()
        return Shown(document.title, document.text, topics, tuple(_turn(self.keywords, number, self.each)))

    def last(self, number: int) -> tuple[str, ...]:
        """The query of keywords that ends set ``number``; none where there are no more."""
        return self.joined[number : number + 1]


def _turn(keywords: Sequence[str], number: int, each: int) -> Iterator[str]:
    """The keywords of a turn; after all had theirs, other neighbours come together."""
    count = len(keywords)
    if not count:
        return
    start = number * each + number * each // count
    yield from dict.fromkeys(keywords[(start + step) % count] for step in range(min(each, count)))


def _joined(keywords: Sequence[str], config: ExpandConfig) -> Iterator[str]:
    """Queries of keywords where topics are not to be known: each keyword with its next neighbours."""
    for number in range(len(keywords)):
        yield " ".join(_turn(keywords, number, config.per_set))

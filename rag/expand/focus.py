"""What each guided draft of a document is about, and what its keywords are as queries.

One draft that is given all keywords joins what the document does not join, and many such drafts say the same. So each
is given little, and the drafts of a document together cover its keywords and topics. A model that is to use words of a
topic which the document lacks would make false claims of them; as a query without a model, they claim nothing.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from twindex.indexing.expansion.keywords import stemmed
from twindex.indexing.expansion.words import words
from twindex.rag.expand.config import ExpandConfig
from twindex.rag.expand.guidance import Guidance
from twindex.rag.expand.prompts import Shown


@dataclass(frozen=True, slots=True)
class Focus:
    """Topics and keywords of the guided drafts of one document, turn by turn; any may be empty.

    ``keywords`` are what drafts are given; ``opening`` are queries made of keywords: the chosen ones, then those
    that only its topics have.
    """

    topics: tuple[str, ...]
    keywords: tuple[str, ...]
    opening: tuple[str, ...]
    each: int

    @classmethod
    def of(cls, document: Shown, guidance: Guidance, chosen: Sequence[str], config: ExpandConfig) -> Focus:
        """The focus of a document.

        Args:
            document: Title and text.
            guidance: Topics, and candidates of keywords.
            chosen: Keywords, by whomever; those that the text has not in it are no matter for claims and are left
                out of drafts, if others remain.
            config: What is shown.
        """
        topics = tuple(label for _, _, label in guidance.topics[: config.topics]) if config.shows_topics else ()
        if not config.shows_keywords:
            return cls(topics, (), (), config.focus)
        chosen = tuple(chosen[: config.keywords])
        known = {stemmed(word) for word in words(f"{document.title}\n{document.text}")}
        supported = tuple(keyword for keyword in chosen if _supported(keyword, known))
        lines = [chosen]
        if config.shows_topics:
            others = [name for name in guidance.candidates if name not in chosen and not _supported(name, known)]
            lines.append(tuple(others[: config.keywords]))
        opening = tuple(" ".join(line) for line in lines if line)
        return cls(topics, supported or chosen, opening, config.focus)

    def shown(self, document: Shown, turn: int) -> Shown:
        """The document with what the guided draft of that turn is about."""
        topics = self.topics[turn % len(self.topics) :][:1] if self.topics else ()
        return Shown(document.title, document.text, topics, tuple(_turn(self.keywords, turn, self.each)))


def _supported(keyword: str, known: Container[str]) -> bool:
    """Whether the text has every word of a keyword, in some form."""
    return all(stemmed(word) in known for word in words(keyword))


def _turn(keywords: Sequence[str], number: int, each: int) -> Iterator[str]:
    """The keywords of a turn; after all had theirs, other neighbours come together."""
    count = len(keywords)
    if not count:
        return
    start = number * each + number * each // count
    yield from dict.fromkeys(keywords[(start + step) % count] for step in range(min(each, count)))

"""Documents to passages, with spans that point back into the text.

Laws: ``passage.text == document.text[passage.start:passage.end]``; every character that is not white space lies
in a passage; the same document gives the same passages. Linear time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Protocol, get_args

from twindex.indexing.errors import ConfigError
from twindex.indexing.types import Document, Passage

Kind = Literal["none", "words", "sentences"]
Span = tuple[int, int]

_WORD: Final = re.compile(r"\S+")
#: A sentence ends at . ! ? (with closing quotes or brackets) before white space, at an ideographic full stop, or at
#: an empty line. Abbreviations split it too early at times, which only moves a border between passages.
_SENTENCE_END: Final = re.compile(r"""[.!?]["'”’)\]]*(?=\s)|[。！？]|\n\s*\n""")


@dataclass(frozen=True, slots=True)
class ChunkConfig:
    """How documents are cut.

    ``none`` keeps a document whole. ``words`` cuts windows of ``size`` words, ``overlap`` of them shared with the
    window before. ``sentences`` packs whole sentences up to ``size`` words and repeats the last ``overlap``
    sentences; a sentence longer than ``size`` is cut by words.

    Raises:
        ConfigError: If the kind is unknown, or the sizes do not fit it.
    """

    kind: Kind = "none"
    size: int = 0
    overlap: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ConfigError(f"chunking {self.kind!r}", expected="none, words:SIZE:OVERLAP or sentences:SIZE:OVERLAP")
        if self.kind == "none":
            if self.size or self.overlap:
                raise ConfigError("chunking 'none' with a size", expected="no size")
        elif self.size < 1 or not 0 <= self.overlap < self.size:
            raise ConfigError(
                f"chunking of {self.size} words with an overlap of {self.overlap}",
                expected="a size of 1 or more and an overlap below it",
            )

    def __str__(self) -> str:
        return self.kind if self.kind == "none" else f"{self.kind}:{self.size}:{self.overlap}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return asdict(self)

    @classmethod
    def parse(cls, text: str) -> ChunkConfig:
        """The inverse of ``str``; size and overlap have defaults, as in "words" or "words:200".

        Raises:
            ConfigError: If the text has another form.
        """
        kind, *numbers = text.split(":")
        if len(numbers) > 2 or not all(number.isdecimal() for number in numbers):
            raise ConfigError(f"chunking {text!r}", expected="none, words:SIZE:OVERLAP or sentences:SIZE:OVERLAP")
        if kind == "none" and not numbers:
            return cls()
        size, overlap = _DEFAULTS.get(kind, (0, 0))
        given = [int(number) for number in numbers]
        size = given[0] if given else size
        overlap = given[1] if len(given) > 1 else min(overlap, max(size - 1, 0))
        return cls(kind, size, overlap)  # type: ignore[arg-type]  # checked by the class


_DEFAULTS: Final = {"words": (200, 40), "sentences": (200, 1)}


class Chunker(Protocol):
    """Cuts documents."""

    def chunk(self, document: Document) -> Iterator[Passage]:
        """The document's passages, in order; at least one."""


def make_chunker(config: ChunkConfig) -> Chunker:
    """The chunker that the configuration describes."""
    if config.kind == "none":
        return Whole()
    spans = word_windows if config.kind == "words" else sentence_packs
    return Cut(lambda text: spans(text, config.size, config.overlap))


class Whole:
    """One passage a document, with the document's id."""

    def chunk(self, document: Document) -> Iterator[Passage]:
        """The document as one passage."""
        yield Passage(document.id, document.id, document.text, document.title, 0, len(document.text), document.metadata)


@dataclass(frozen=True, slots=True)
class Cut:
    """Passages ``id#0``, ``id#1``, ... over the spans that a function finds."""

    spans: Callable[[str], Iterator[Span]]

    def chunk(self, document: Document) -> Iterator[Passage]:
        """The document's spans as passages; an empty text gives one empty passage."""
        spans = list(self.spans(document.text)) or [(0, 0)]
        for number, (start, end) in enumerate(spans):
            yield Passage(
                f"{document.id}#{number}",
                document.id,
                document.text[start:end],
                document.title,
                start,
                end,
                document.metadata,
            )


def word_windows(text: str, size: int, overlap: int) -> Iterator[Span]:
    """Spans of ``size`` words, each sharing ``overlap`` words with the one before."""
    words = [match.span() for match in _WORD.finditer(text)]
    for first in range(0, len(words), size - overlap):
        last = min(first + size, len(words))
        yield words[first][0], words[last - 1][1]
        if last == len(words):
            return


def sentence_packs(text: str, size: int, overlap: int) -> Iterator[Span]:
    """Spans of whole sentences with up to ``size`` words, the last ``overlap`` sentences repeated in the next."""
    sentences = [part for span in sentence_spans(text) for part in _fitting(text, span, size)]
    counts = [len(_WORD.findall(text, start, end)) for start, end in sentences]
    first = 0
    while first < len(sentences):
        last, words = first, 0
        while last < len(sentences) and (last == first or words + counts[last] <= size):
            words += counts[last]
            last += 1
        yield sentences[first][0], sentences[last - 1][1]
        if last == len(sentences):
            return
        first = max(last - overlap, first + 1)


def sentence_spans(text: str) -> Iterator[Span]:
    """Spans of sentences without the white space around them."""
    start = 0
    for match in _SENTENCE_END.finditer(text):
        yield from _trimmed(text, start, match.end())
        start = match.end()
    yield from _trimmed(text, start, len(text))


def _fitting(text: str, span: Span, size: int) -> Iterator[Span]:
    """The span, or windows of it that have at most ``size`` words."""
    start, end = span
    for low, high in word_windows(text[start:end], size, 0):
        yield start + low, start + high


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    part = text[start:end]
    stripped = part.strip()
    if stripped:
        begin = start + len(part) - len(part.lstrip())
        yield begin, begin + len(stripped)

"""Keywords chosen by a language model among candidates; the guide's own choice where it cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from twindex.indexing.errors import GenerationError
from twindex.rag.batch import Ask, BatchGenerator, Sampling
from twindex.rag.expand.config import ExpandConfig
from twindex.rag.expand.guidance import Guidance
from twindex.rag.expand.prompts import Shown
from twindex.rag.expand.report import ExpandReport
from twindex.rag.forms import Lines, read_lines

#: Drafts that are tried for a document. Source: the Doc2Query++ authors' code.
TRIES: Final = 3
#: Tokens of a keyword, at most.
KEYWORD_TOKENS: Final = 12
#: Fewer chosen keywords than this are taken for a misunderstanding, if there were more to choose from.
LEAST: Final = 3


class KeywordChooser:
    """Asks for keywords, up to :data:`TRIES` times a document."""

    def __init__(self, generator: BatchGenerator, config: ExpandConfig, report: ExpandReport) -> None:
        self._generator, self._config, self._report = generator, config, report
        self._prompt = config.selection()

    def choose(
        self, asked: Mapping[bytes, tuple[Shown, Guidance]], *, stop: Callable[[], bool]
    ) -> Iterator[tuple[bytes, tuple[str, ...]]]:
        """The keywords of each document, in whatever order they are done; none for those that ``stop`` cut off."""
        pending = list(asked)
        for number in range(TRIES):
            failed: list[bytes] = []
            tried: set[bytes] = set()
            for document, keywords in self._tried(pending, asked, number, stop):
                tried.add(document)
                if keywords:
                    yield document, keywords
                else:
                    failed.append(document)
            pending = failed
            if stop():
                return
        for document in pending:
            self._report.fallbacks += 1
            yield document, asked[document][1].chosen[: self._config.keywords]

    def _tried(
        self,
        documents: list[bytes],
        asked: Mapping[bytes, tuple[Shown, Guidance]],
        number: int,
        stop: Callable[[], bool],
    ) -> Iterator[tuple[bytes, tuple[str, ...]]]:
        form = Lines(1, self._config.keywords, KEYWORD_TOKENS)
        # The tries after the first are drawn more freely, or they would fail in the same way.
        temperature = self._config.keyword_temperature + 0.3 * number

        def asks() -> Iterator[Ask]:
            for document in documents:
                if stop():
                    return
                shown, guidance = asked[document]
                full = Shown(shown.title, shown.text, candidates=guidance.candidates)
                seed = int.from_bytes(document[:3], "little") + number
                yield Ask(self._prompt.render(full, count=self._config.keywords), (seed,))

        for place, outcomes in self._generator.batch(asks(), Sampling(form.room, temperature, 0.95, form)):
            document, outcome = documents[place], outcomes[0]
            if isinstance(outcome, GenerationError):
                yield document, ()
                continue
            if outcome.usage is not None:
                self._report.prompt_tokens += outcome.usage.prompt_tokens
                self._report.completion_tokens += outcome.usage.completion_tokens
            guidance = asked[document][1]
            offered, foreign = matching(read_lines(outcome.text, form), guidance.candidates)
            self._report.foreign += foreign
            enough = min(LEAST, len(guidance.candidates))
            yield document, offered if len(offered) >= enough else ()


def matching(answered: tuple[str, ...], candidates: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
    """The answered keywords that were offered, as they were written there, each once; and how many were not.

    A line may hold several keywords with commas between them.
    """
    written = {_folded(candidate): candidate for candidate in reversed(candidates)}
    found: dict[str, None] = {}
    foreign = 0
    for line in answered:
        parts = [line] if _folded(line) in written else line.split(",")
        for part in parts:
            key = _folded(part)
            if key in written:
                found.setdefault(written[key])
            elif key:
                foreign += 1
    return tuple(found), foreign


def _folded(text: str) -> str:
    return " ".join(text.casefold().strip(" .;:-").split())

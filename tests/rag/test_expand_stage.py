"""The expansion stage: what it asks for, what it keeps, and that it goes on where it was stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from twindex.indexing.errors import ConfigError, GenerationError
from twindex.indexing.expansion.records import Record, content_hash
from twindex.indexing.expansion.store import ExpansionStore, TopicWeight
from twindex.indexing.expansion.writer import ExpansionWriter
from twindex.indexing.types import Passage
from twindex.rag.batch import Ask, Outcome, Sampling
from twindex.rag.expand.config import ExpandConfig
from twindex.rag.expand.guidance import Guidance
from twindex.rag.expand.labels import Unnamed, refined_labels
from twindex.rag.expand.select import matching
from twindex.rag.expand.stage import Budget, Expansion
from twindex.rag.prompt import Prompt
from twindex.rag.types import Draft, Usage

PASSAGES = [Passage(str(i), str(i), f"text number {i} of birds", "Title") for i in range(7)]
HASHES = [content_hash(passage.contents) for passage in PASSAGES]


class Echo:
    """Writes queries that tell prompt and seed; every 5th seed gives nothing, every 7th a repetition."""

    name = "echo"

    def __init__(self, pause: float = 0.0, broken: bool = False) -> None:
        self.calls: list[tuple[str, int]] = []
        self.pause, self.broken = pause, broken

    def batch(self, asks: Iterable[Ask], sampling: Sampling) -> Iterator[tuple[int, tuple[Outcome, ...]]]:
        for place, ask in enumerate(asks):
            time.sleep(self.pause)
            yield place, tuple(self.draft(p, s, sampling) for p, s in zip(ask.prompts, ask.seeds, strict=True))

    def draft(self, prompt: Prompt, seed: int, sampling: Sampling) -> Outcome:
        self.calls.append((prompt.template, seed))
        shown = prompt.messages[-1].content
        if self.broken:
            return GenerationError("out of order")
        if prompt.template.startswith("expand-select"):
            return Draft(f"bird, wing\n{seed}\n- Nest", usage=Usage(10, 2))
        if prompt.template.startswith("expand-label"):
            return Draft("Flight of birds.")
        if seed % 5 == 0:
            return Draft("-\n*\n")
        word = "again" if seed % 7 == 0 else str(seed)
        marker = shown[shown.index("number ") :].split()[1]
        return Draft(f"1. a {word} {marker}\n2. b {word}\n\n3. c {word}", usage=Usage(10, 9))


class Given:
    """The same guidance for everything."""

    fingerprint = "given"

    def guide(self, contents: Sequence[str], queries: int = 0) -> list[Guidance]:
        made = tuple(f"keyword query {i}" for i in range(queries))
        return [Guidance(((4, 0.5, "birds"), (2, 0.25, "air")), ("bird", "wing", "nest", "egg"), ("egg",), made)] * len(
            contents
        )


def expansion(writer: ExpansionWriter, queries: int = 9, method: str = "plain", echo: Echo | None = None) -> Expansion:
    config = ExpandConfig(method=method)  # type: ignore[arg-type]
    return Expansion(writer, config, generator=echo or Echo(), guide=Given(), queries=queries)


def everything(store: ExpansionStore) -> dict[bytes, list[Record]]:
    order = {config: number for number, config in enumerate(store.configs())}
    return {
        document: sorted(store.records(document, config), key=lambda record: (record.kind, record.number))
        for config in order
        for document in store.documents(config)
    }


def test_plain_gives_distinct_queries_enough(tmp_path: Path) -> None:
    with ExpansionWriter(tmp_path) as writer:
        made = expansion(writer)
        report = made.run(PASSAGES)
        for document in HASHES:
            found = writer.store.queries(document, made.hash, 9)
            assert len(found) == len(set(found)) == 9
        assert report.documents == report.complete == 7
        assert report.failed == sum(seed % 5 == 0 for _, seed in made._generator.calls)  # type: ignore[union-attr]
        assert report.failed > 0 < report.queries
        assert report.completion_tokens == 9 * report.sets
        every = sum(len(writer.store.queries(document, made.hash, duplicates=True)) for document in HASHES)
        different = sum(len(writer.store.queries(document, made.hash)) for document in HASHES)
        assert report.duplicates == every - different
        assert report.failures == ["no query in the draft"]


def test_a_second_run_does_nothing_and_more_queries_only_add(tmp_path: Path) -> None:
    echo = Echo()
    with ExpansionWriter(tmp_path) as writer:
        first = expansion(writer, 9, echo=echo)
        first.run(PASSAGES)
        before = {document: writer.store.queries(document, first.hash, 9) for document in HASHES}
        calls = len(echo.calls)
        again = expansion(writer, 9, echo=echo).run(PASSAGES)
        assert len(echo.calls) == calls
        assert again.already == again.complete == 7
        more = expansion(writer, 21, echo=echo)
        assert more.hash == first.hash
        more.run(PASSAGES)
        assert len(set(echo.calls)) == len(echo.calls)
        for document in HASHES:
            assert writer.store.queries(document, first.hash, 9) == before[document]
            assert len(writer.store.queries(document, first.hash)) >= 21


def test_order_and_block_do_not_matter(tmp_path: Path) -> None:
    with ExpansionWriter(tmp_path / "a") as one, ExpansionWriter(tmp_path / "b") as two:
        expansion(one).run(PASSAGES)
        expansion(two).run(reversed([*PASSAGES, PASSAGES[3]]), block=2)
        assert everything(one.store) == everything(two.store)


def test_guided_keeps_topics_candidates_and_chosen_keywords(tmp_path: Path) -> None:
    with ExpansionWriter(tmp_path) as writer:
        made = expansion(writer, method="doc2query++")
        report = made.run(PASSAGES)
        store, document = writer.store, HASHES[2]
        assert store.topics(document) == (TopicWeight(4, 0.5, "birds"), TopicWeight(2, 0.25, "air"))
        assert store.candidates(document) == ("bird", "wing", "nest", "egg")
        assert store.keywords(document) == ("bird", "wing", "nest")
        assert report.foreign == 7
        assert report.fallbacks == 0
        assert store.configs()[made.hash]["guide"] == "given"


def test_keywords_that_cannot_be_read_fall_back(tmp_path: Path) -> None:
    echo = Echo(broken=True)
    with ExpansionWriter(tmp_path) as writer:
        report = expansion(writer, 3, "doc2query++", echo).run(PASSAGES[:2])
        assert report.fallbacks == 2
        assert writer.store.keywords(HASHES[0]) == ("egg",)
        assert [call for call in echo.calls if call[0].startswith("expand-select")].__len__() == 6
        assert report.failed == 6  # three times the one set that would have been enough
        assert "out of order" in report.failures[0]


def test_keywords_need_no_generator(tmp_path: Path) -> None:
    with ExpansionWriter(tmp_path) as writer:
        for wanted in (4, 9):
            made = Expansion(writer, ExpandConfig(method="keywords"), guide=Given(), queries=wanted)
            made.run(PASSAGES)
            assert writer.store.queries(HASHES[1], made.hash) == tuple(f"keyword query {i}" for i in range(wanted))
        assert writer.store.keywords(HASHES[1], made.hash) == ("egg",)


@pytest.mark.parametrize(
    ("budget", "said"),
    [(Budget(drafts=6), "6 drafts"), (Budget(tokens=60), "60 tokens"), (Budget(seconds=0), "0 seconds")],
)
def test_a_budget_stops_and_what_was_done_is_kept(tmp_path: Path, budget: Budget, said: str) -> None:
    with ExpansionWriter(tmp_path) as writer:
        report = expansion(writer).run(PASSAGES, budget=budget)
        assert report.stopped == said
        assert report.sets + report.failed < 7 * 3
        whole = expansion(writer).run(PASSAGES)
        assert whole.complete == 7
    with ExpansionWriter(tmp_path / "other") as other:
        expansion(other).run(PASSAGES)
        with ExpansionStore.open(tmp_path) as store:
            assert everything(store) == everything(other.store)


@pytest.mark.parametrize("method", ["plain", "doc2query++"])
def test_wherever_it_stops_it_comes_to_the_same(tmp_path: Path, method: str) -> None:
    with ExpansionWriter(tmp_path / "whole") as whole:
        report = expansion(whole, 21, method).run(PASSAGES[:3])
        for drafts in range(1, report.sets + report.failed, 2):
            with ExpansionWriter(tmp_path / str(drafts)) as writer:
                for number in range(0, drafts, 3):  # stopped, and stopped again
                    expansion(writer, 21, method).run(PASSAGES[:3], budget=Budget(drafts=drafts - number))
                expansion(writer, 21, method).run(PASSAGES[:3])
                assert everything(writer.store) == everything(whole.store)


def test_what_cannot_be(tmp_path: Path) -> None:
    with ExpansionWriter(tmp_path) as writer:
        with pytest.raises(ConfigError, match="without a generator"):
            Expansion(writer, ExpandConfig(), guide=Given())
        with pytest.raises(ConfigError, match="without topics"):
            Expansion(writer, ExpandConfig(), generator=Echo())
        with pytest.raises(ConfigError, match="0 queries"):
            expansion(writer, 0)
        with pytest.raises(ConfigError, match="method"):
            ExpandConfig(method="magic")  # type: ignore[arg-type]


def test_labels() -> None:
    assert refined_labels({5: Unnamed(("wing",), ("Birds fly.",))}, Echo()) == {5: "Flight of birds"}


def test_keywords_are_matched_as_they_were_offered() -> None:
    assert matching(("Wing , EGG.", "nest; x", "wing"), ("egg", "Wing", "nest")) == (("Wing", "egg"), 1)
    assert matching(("a, b",), ("a, b",)) == (("a, b",), 0)


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_expand_stage import PASSAGES, Echo, expansion
from twindex.indexing.expansion.writer import ExpansionWriter
import twindex.rag.expand.stage as stage
stage.FLUSH_RECORDS = 3
with ExpansionWriter(Path(sys.argv[1])) as writer:
    print("begun", flush=True)
    expansion(writer, 21, "doc2query++", Echo(pause=0.01)).run(PASSAGES, block=3)
"""


def test_ten_kills_lose_and_repeat_nothing(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(KILLED.format(tests=str(Path(__file__).parent)))
    command = [sys.executable, str(script), str(tmp_path / "store")]
    kills = 0
    for delay in range(10):
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.01 + 0.03 * delay)
            process.send_signal(signal.SIGKILL)
            kills += process.wait() == -signal.SIGKILL
        with ExpansionStore.open(tmp_path / "store") as store:
            list(everything(store))  # whole at any time
    assert kills >= 5
    subprocess.run(command, check=True, env=os.environ, stdout=subprocess.DEVNULL)
    with ExpansionWriter(tmp_path / "whole") as writer:
        expansion(writer, 21, "doc2query++").run(PASSAGES)
        with ExpansionStore.open(tmp_path / "store") as store:
            assert everything(store) == everything(writer.store)

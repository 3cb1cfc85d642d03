"""The stage: passages in, records of an expansion store out; killed at any time, it goes on where it was.

What is already in the store decides on what is asked for, so a run that is repeated does nothing, and one that
wants more queries adds sets. A sample's seed comes from configuration, document and the draft's turn among those that
are asked for in its way: neither the order of documents nor the number of sets nor an interruption changes a draft.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate, count, islice
from typing import Final

from twindex.indexing.errors import ConfigError, GenerationError
from twindex.indexing.expansion.duplicates import distinct
from twindex.indexing.expansion.records import Kind, Record, content_hash
from twindex.indexing.expansion.writer import ExpansionWriter
from twindex.indexing.types import Passage, Progress, no_progress
from twindex.rag.batch import Ask, BatchGenerator, Outcome, Sampling
from twindex.rag.expand.config import ExpandConfig, Way
from twindex.rag.expand.focus import Focus
from twindex.rag.expand.guidance import Guidance, Guide
from twindex.rag.expand.prompts import Shown
from twindex.rag.expand.report import ExpandReport
from twindex.rag.expand.select import KeywordChooser
from twindex.rag.forms import Lines, read_lines

#: Sets that may be asked for beyond the least number, as a multiple of it, where near-duplicates come out.
EXTRA: Final = 2.0
#: Share of sets that is asked for in addition at once: so many near-duplicates are expected, and rounds cost time.
SPARE: Final = 0.1
#: Records are written when there are so many, or when so many seconds have passed.
FLUSH_RECORDS: Final = 512
FLUSH_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Budget:
    """When to stop: after so many seconds, drafts, or tokens (of prompts and drafts); None = no limit."""

    seconds: float | None = None
    drafts: int | None = None
    tokens: int | None = None

    def spent(self, report: ExpandReport, started: float) -> str:
        """What is spent, "" if nothing is."""
        if self.seconds is not None and time.monotonic() - started >= self.seconds:
            return f"{self.seconds:g} seconds"
        if self.drafts is not None and report.sets + report.failed >= self.drafts:
            return f"{self.drafts:,} drafts"
        if self.tokens is not None and report.prompt_tokens + report.completion_tokens >= self.tokens:
            return f"{self.tokens:,} tokens"
        return ""


@dataclass(frozen=True, slots=True)
class _Job:
    """One document in work."""

    document: bytes
    shown: Shown
    guidance: Guidance | None


class Expansion:
    """One configuration at work on one store.

    Args:
        writer: The store.
        config: What is generated.
        generator: Who writes; None for the method "keywords".
        guide: Who gives topics and keyword candidates; None for the method "plain".
        queries: Distinct queries wanted of each document.

    Raises:
        ConfigError: If the method needs a generator or a guide that is not given, or ``queries`` is below 1.
    """

    def __init__(
        self,
        writer: ExpansionWriter,
        config: ExpandConfig,
        *,
        generator: BatchGenerator | None = None,
        guide: Guide | None = None,
        queries: int = 30,
    ) -> None:
        if config.writes and generator is None:
            raise ConfigError(f"method {config.method!r} without a generator", remedy="name one with --generator")
        if config.guided and guide is None:
            raise ConfigError(f"method {config.method!r} without topics", expected="a guide")
        if queries < 1:
            raise ConfigError(f"{queries} queries a document", expected="1 or more")
        self.writer, self.config, self.queries = writer, config, queries
        self._generator, self._guide = generator, guide
        facts = config.facts(
            generator=generator.name if generator and config.writes else "",
            guide=guide.fingerprint if guide and config.guided else "",
        )
        self.hash = writer.configure(facts)
        self.report = ExpandReport()
        self._buffer: list[Record] = []
        self._flushed = time.monotonic()

    def run(
        self,
        passages: Iterable[Passage],
        *,
        budget: Budget = Budget(),
        block: int = 2048,
        progress: Progress = no_progress,
        total: int | None = None,
    ) -> ExpandReport:
        """Expands passages that lack queries; the report is that of all runs of this object.

        Args:
            passages: What to expand; equal contents are expanded once.
            budget: When to stop; drafts that are done by then are kept.
            block: Passages in work at a time.
            progress: Called with the stage "expand" and documents done.
            total: Number of passages, for the progress, if it is known.

        Raises:
            GenerationError: If the generator gives up; what it gave before is kept.
        """
        started = time.monotonic()
        done = 0
        source = iter(passages)
        try:
            while part := list(islice(source, block)):
                self._block(part, budget, started)
                done += len(part)
                progress("expand", done, total)
                if self.report.stopped:
                    break
        finally:
            self.flush()
            self.report.seconds += time.monotonic() - started
        return self.report

    def flush(self) -> None:
        """Writes down what is buffered."""
        buffer, self._buffer = self._buffer, []
        self.writer.append(buffer)
        self._flushed = time.monotonic()

    def _block(self, passages: Sequence[Passage], budget: Budget, started: float) -> None:
        fresh = {content_hash(passage.contents): passage for passage in passages}
        self.report.documents += len(fresh)
        pending = {hash_: passage for hash_, passage in fresh.items() if self.missing(hash_)}
        self.report.already += len(fresh) - len(pending)
        self.report.complete += len(fresh) - len(pending)
        jobs = self._guided(pending)
        if not self.config.writes:
            self._keywords_only(jobs)
        else:
            if self.config.selects:
                jobs = self._selected(jobs, lambda: self._stop(budget, started))
            if self.config.first:
                self._opened(jobs)
            rounds = jobs
            while rounds and not self.report.stopped:
                self._round(rounds, lambda: self._stop(budget, started))
                self.flush()
                rounds = [job for job in rounds if self.missing(job.document)]
            self._count(jobs)
        self.flush()

    def _stop(self, budget: Budget, started: float) -> bool:
        self.report.stopped = budget.spent(self.report, started)
        return bool(self.report.stopped)

    def missing(self, document: bytes) -> list[int]:
        """Numbers of the sets that should come next: none if there are enough queries, or no hope for them."""
        if not self.config.writes:
            found = self.writer.store.queries(document, self.hash, duplicates=True)
            return [] if len(found) >= self.queries else [0]
        done = self._done(document)
        start, least = self.config.first, self._least
        end, most = start + int(least * (1 + SPARE)), start + int(least * (1 + EXTRA))
        # Each round is told by all sets of those before it, so whatever was interrupted comes to the same sets.
        while True:
            missing = [number for number in range(start, end) if number not in done]
            if missing or end >= most:
                return missing
            brought = [query for number in sorted(done) if number < end for query in done[number]]
            lacking = self.queries - len(distinct(brought))
            if lacking <= 0:
                return []
            while lacking > 0 and end < most:
                lacking -= self.config.way(end).lines
                end += 1

    def _done(self, document: bytes) -> dict[int, list[str]]:
        """The sets of a document, by number, with what they brought."""
        done: dict[int, list[str]] = {}
        for record in self.writer.store.records(document, self.hash):
            if record.kind in ("queries", "failed"):
                done.setdefault(record.number, record.value if record.kind == "queries" else [])
        return done

    @property
    def _least(self) -> int:
        """Drafts that are enough if all queries are distinct, one at least."""
        sizes = accumulate(self.config.way(number).lines for number in count(self.config.first))
        wanted = self.queries - self.config.opening
        return next(number for number, size in enumerate(sizes, 1) if size >= wanted)

    def _count(self, jobs: Sequence[_Job]) -> None:
        """Adds documents that have enough, and near-duplicates among the queries of all these documents."""
        for job in jobs:
            every = self.writer.store.queries(job.document, self.hash, duplicates=True)
            different = len(distinct(every))
            self.report.complete += different >= self.queries
            self.report.duplicates += len(every) - different

    def _guided(self, passages: dict[bytes, Passage]) -> list[_Job]:
        found: list[Guidance | None] = [None] * len(passages)
        if self._guide is not None and self.config.guided:
            wanted = 0 if self.config.writes else self.queries
            found = list(self._guide.guide([passage.contents for passage in passages.values()], wanted))
        jobs = [
            _Job(hash_, Shown.of(passage), guidance)
            for (hash_, passage), guidance in zip(passages.items(), found, strict=True)
        ]
        for job in jobs:
            if job.guidance is not None and not self.writer.store.records(job.document, self.hash):
                self._add(job, "topics", [list(topic) for topic in job.guidance.topics[: self.config.topics]])
                self._add(job, "candidates", list(job.guidance.candidates))
        return jobs

    def _keywords_only(self, jobs: Sequence[_Job]) -> None:
        for job in jobs:
            assert job.guidance is not None
            have = self.writer.store.queries(job.document, self.hash, duplicates=True)
            more = list(job.guidance.queries[len(have) :])
            if not have:
                self._add(job, "keywords", list(job.guidance.chosen[: self.config.keywords]))
            if more:
                number = len(self.writer.store.sets(job.document, self.hash))
                self._add(job, "queries", more, number)
                self.report.sets += 1
                self.report.queries += len(more)
            self.report.complete += len(have) + len(more) >= self.queries

    def _selected(self, jobs: Sequence[_Job], stop: Callable[[], bool]) -> list[_Job]:
        """The jobs whose keywords are chosen, those from earlier runs included."""
        assert self._generator is not None
        store = self.writer.store
        known = {job.document: store.keywords(job.document, self.hash) for job in jobs}
        pending = [job for job in jobs if not known[job.document]]
        chooser = KeywordChooser(self._generator, self.config, self.report)
        asked = {job.document: (job.shown, job.guidance) for job in pending if job.guidance is not None}
        for document, keywords in chooser.choose(asked, stop=stop):
            known[document] = keywords
            self._buffer.append(Record(self.hash, document, "keywords", 0, list(keywords)))
            self._flush_now_and_then()
        self.flush()
        return [job for job in jobs if known[job.document]]

    def _opened(self, jobs: Sequence[_Job]) -> None:
        """Writes down the queries made of keywords, which are set 0."""
        for job in jobs:
            focus = self._focus(job)
            if focus is not None and focus.opening and 0 not in self.writer.store.sets(job.document, self.hash):
                self.report.queries += len(focus.opening)
                self._add(job, "queries", list(focus.opening))

    def _round(self, jobs: Sequence[_Job], stop: Callable[[], bool]) -> None:
        """Asks for the missing sets of all jobs, those with about as many missing sets together."""
        groups: dict[int, list[tuple[_Job, list[int]]]] = {}
        for job in jobs:
            missing = self.missing(job.document)
            groups.setdefault(len(missing).bit_length(), []).append((job, missing))
        for samples in sorted(groups, reverse=True):
            for way in dict.fromkeys(self.config.ways):
                if self.report.stopped:
                    return
                asked = [(job, [n for n in numbers if self.config.way(n) == way]) for job, numbers in groups[samples]]
                asked = [(job, numbers) for job, numbers in asked if numbers]
                if asked:
                    self._group(way, asked, stop)

    def _group(self, way: Way, group: Sequence[tuple[_Job, list[int]]], stop: Callable[[], bool]) -> None:
        assert self._generator is not None
        config, prompt = self.config, self.config.prompt(way)
        form = Lines(way.lines, way.lines, config.line_tokens)
        sampling = Sampling(form.room, config.temperature, config.top_p, form)
        focuses = [self._focus(job) for job, _ in group]

        def asks() -> Iterator[Ask]:
            for (job, numbers), focus in zip(group, focuses, strict=True):
                if stop():
                    return
                turns = [config.turn(number) for number in numbers]
                seeds = tuple(seed_of(config.seed, job.document, turn) for turn in turns)
                if focus is None or not way.guided:
                    yield Ask(prompt.render(job.shown, count=way.lines), seeds)
                    continue
                shown = [focus.shown(job.shown, turn) for turn in turns]
                yield Ask(tuple(prompt.render(one, count=way.lines) for one in shown), seeds)

        outcomes = self._generator.batch(asks(), sampling)
        for place, results in outcomes:
            job, numbers = group[place]
            for number, outcome in zip(numbers, results, strict=True):
                self._outcome(job, number, outcome, form)
            self._flush_now_and_then()

    def _outcome(self, job: _Job, number: int, outcome: Outcome, form: Lines) -> None:
        lines: tuple[str, ...] = ()
        if isinstance(outcome, GenerationError):
            if not self.report.stopped:
                self.report.failure(outcome.message)
                self._add(job, "failed", {"why": outcome.message[:300], "text": ""}, number)
            return
        if outcome.usage is not None:
            self.report.prompt_tokens += outcome.usage.prompt_tokens
            self.report.completion_tokens += outcome.usage.completion_tokens
        lines = read_lines(outcome.text, form)
        if not lines:
            self.report.failure("no query in the draft")
            self._add(job, "failed", {"why": "no query in the draft", "text": outcome.text[:300]}, number)
            return
        self.report.short += len(lines) < form.least
        self.report.sets += 1
        self.report.queries += len(lines)
        self._add(job, "queries", list(lines), number)

    def _focus(self, job: _Job) -> Focus | None:
        if job.guidance is None:
            return None
        keywords = self.writer.store.keywords(job.document, self.hash) if self.config.selects else ()
        return Focus.of(job.shown, job.guidance, keywords or job.guidance.chosen, self.config)

    def _add(self, job: _Job, kind: Kind, value: object, number: int = 0) -> None:
        self._buffer.append(Record(self.hash, job.document, kind, number, value))

    def _flush_now_and_then(self) -> None:
        if len(self._buffer) >= FLUSH_RECORDS or time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self.flush()


def seed_of(seed: int, document: bytes, turn: int) -> int:
    """The seed of one draft: 31 bits of a hash, which every runtime takes."""
    text = b"%d " % seed + document + b" %d" % turn
    return int.from_bytes(blake2b(text, digest_size=4).digest(), "little") >> 1

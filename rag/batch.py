"""Many prompts at a time, several samples of each: what the expansion stage asks of a generator.

A runtime that is quick in batches implements :class:`BatchGenerator` itself; :class:`Threaded` makes one of
any :class:`twindex.rag.generator.Generator`, with some requests in flight at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from twindex.indexing.errors import ConfigError, GenerationError
from twindex.rag.forms import Lines
from twindex.rag.generator import Generator, check_request
from twindex.rag.prompt import Prompt
from twindex.rag.types import Draft

#: What became of one sample.
Outcome = Draft | GenerationError


@dataclass(frozen=True, slots=True)
class Ask:
    """The seed of each sample that is wanted, and what it is asked by: one prompt for all, or one for each.

    Prompts that begin alike cost least: what they have in common is read once.

    Raises:
        ConfigError: If there are several prompts, and not as many as seeds.
    """

    prompt: Prompt | tuple[Prompt, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        if isinstance(self.prompt, tuple) and len(self.prompt) != len(self.seeds):
            raise ConfigError(f"{len(self.prompt)} prompts for {len(self.seeds)} samples", expected="one for each")

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompt of each sample."""
        return self.prompt if isinstance(self.prompt, tuple) else (self.prompt,) * len(self.seeds)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How drafts are drawn.

    ``temperature`` 0 takes the likeliest token; ``top_p`` is the share of probability that is drawn from;
    ``form`` is what a draft must look like, None for free text.
    """

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    form: Lines | None = None

    def __post_init__(self) -> None:
        check_request(max_tokens=self.max_tokens, temperature=self.temperature)
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p = {self.top_p}", expected="above 0, at most 1")


@runtime_checkable
class BatchGenerator(Protocol):
    """Writes drafts for many prompts."""

    @property
    def name(self) -> str:
        """Short name with the model; part of configurations and reports."""

    def batch(self, asks: Iterable[Ask], sampling: Sampling) -> Iterator[tuple[int, tuple[Outcome, ...]]]:
        """The place of each ask and what became of its samples, as they are done, in any order.

        Asks are taken as there is room for them; closing the iterator stops. A sample that gave nothing
        usable is a :class:`GenerationError` among the outcomes, not raised.

        Raises:
            GenerationError: If the generator cannot work at all.
        """


@runtime_checkable
class FormedGenerator(Protocol):
    """A generator that can be held to a form while it writes."""

    def generate_formed(self, prompt: Prompt, sampling: Sampling, seed: int) -> Draft:
        """The whole draft, in the form of ``sampling``.

        Raises:
            GenerationError: If no usable draft came of it.
        """


@runtime_checkable
class Closing(Protocol):
    """What holds connections or a process."""

    def close(self) -> None:
        """Gives them back; a second call does nothing."""


class Threaded:
    """A batch generator out of one that takes single prompts.

    Outcomes come in the order of the asks, so what is written down does not depend on who answered first.

    Args:
        generator: Safe for threads, as all are. Held to the form if it is a :class:`FormedGenerator`.
        workers: Requests in flight.
        patience: After so many samples in a row without a draft the generator is given up.
    """

    def __init__(self, generator: Generator, *, workers: int = 4, patience: int = 20) -> None:
        if workers < 1 or patience < 1:
            raise ConfigError(f"workers = {workers}, patience = {patience}", expected="1 or more")
        self._generator = generator
        self._workers, self._patience = workers, patience

    @property
    def name(self) -> str:
        """The generator's."""
        return self._generator.name

    def close(self) -> None:
        """Gives back what the generator holds, if it holds something."""
        if isinstance(self._generator, Closing):
            self._generator.close()

    def batch(self, asks: Iterable[Ask], sampling: Sampling) -> Iterator[tuple[int, tuple[Outcome, ...]]]:
        """As :class:`BatchGenerator` says, in the order of the asks."""
        waiting: deque[tuple[int, list[Future[Outcome]]]] = deque()
        failures = 0
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="twindex-generate")
        try:
            for place, ask in enumerate(asks):
                asked = zip(ask.prompts, ask.seeds, strict=True)
                futures = [pool.submit(self._one, prompt, sampling, seed) for prompt, seed in asked]
                waiting.append((place, futures))
                while sum(len(pending) for _, pending in waiting) >= 2 * self._workers + len(ask.seeds):
                    done, failures = self._done(waiting, failures)
                    yield done
            while waiting:
                done, failures = self._done(waiting, failures)
                yield done
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _one(self, prompt: Prompt, sampling: Sampling, seed: int) -> Outcome:
        try:
            if isinstance(self._generator, FormedGenerator):
                return self._generator.generate_formed(prompt, sampling, seed)
            return self._generator.generate(
                prompt, max_tokens=sampling.max_tokens, temperature=sampling.temperature, stop=(), seed=seed
            )
        except GenerationError as error:
            return error

    def _done(
        self, waiting: deque[tuple[int, list[Future[Outcome]]]], failures: int
    ) -> tuple[tuple[int, tuple[Outcome, ...]], int]:
        place, futures = waiting.popleft()
        outcomes = tuple(future.result() for future in futures)
        for outcome in outcomes:
            failures = failures + 1 if isinstance(outcome, GenerationError) else 0
            if failures >= self._patience and isinstance(outcome, GenerationError):
                raise GenerationError(
                    f"{failures} requests in a row failed, the last with: {outcome.message}",
                    remedy="what was generated before is kept; run the same command again when the generator answers",
                ) from outcome
        return (place, outcomes), failures

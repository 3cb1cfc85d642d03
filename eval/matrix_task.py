"""What one set of the matrix is: a split of a collection with everything that shapes its values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from twindex.eval.beir import Dataset
from twindex.eval.candidates import standard_candidates
from twindex.eval.indexes import fingerprint, index_config
from twindex.eval.measures import DEFAULT_MEASURES, Measure
from twindex.eval.models import Models
from twindex.eval.qrels import Qrels
from twindex.eval.registry import drops_self_matches
from twindex.eval.tune import TuneOptions, sampled
from twindex.indexing.encoding import Encoder
from twindex.indexing.errors import ConfigError
from twindex.retrieval.profile import DEFAULT, DEPTH, TWO_LEGS, Role

#: Raised whenever the same inputs would give other values.
VERSION: Final = 1
#: Splits that may be trained on, the larger first.
TRAINING: Final = ("train", "dev")


@dataclass(frozen=True, slots=True)
class SetTask:
    """One split of one collection, with how it is run.

    ``measures``: what is stored. ``tuning``: how "tuned" is chosen. ``cache``: folder of indexes and legs. ``sample``:
    reported queries, at most: those whose ids have the lowest hashes; None = all that have a relevant document.

    Raises:
        ConfigError: If the sample is empty.
    """

    dataset: Dataset
    split: str
    measures: tuple[Measure, ...] = DEFAULT_MEASURES
    tuning: TuneOptions = TuneOptions()  # noqa: RUF009 - frozen
    analyzer: str = "english"
    depth: int = DEPTH
    cache: Path = Path("twindex-eval")
    sample: int | None = None

    def __post_init__(self) -> None:
        if self.sample is not None and self.sample < 1:
            raise ConfigError(f"sample = {self.sample}", expected="at least one query")

    def reported(self) -> Qrels:
        """Judgements of the queries that are reported, in the order of their file."""
        found = answerable(self.dataset.qrels(self.split))
        if self.sample is None:
            return found
        ids = list(found)
        return found.subset([ids[row] for row in sampled(ids, self.sample).tolist()])

    @property
    def training(self) -> tuple[str, ...]:
        """Splits that settings may be chosen on."""
        return tuple(s for s in TRAINING if s in self.dataset.splits and s != self.split)

    def key(self, models: Models | Encoder) -> str:
        """A hash of everything that shapes the values."""
        models = Models.of(models)
        roles = roles_of(models)
        return fingerprint({
            "version": VERSION,
            "dataset": self.dataset.name,
            "split": self.split,
            "files": self.dataset.digests((self.split, *self.training)),
            "config": index_config(models.encoder, self.analyzer, models.sparse_encoder).to_dict(),
            "measures": [str(m) for m in self.measures],
            "tuning": repr(self.tuning),
            "candidates": [c.recipe.to_dict() for c in standard_candidates(roles)],
            "default": DEFAULT.to_dict(),
            "depth": self.depth,
            "self": drops_self_matches(self.dataset),
            **({} if self.sample is None else {"sample": self.sample}),
            **models.identity(),
        })  # fmt: skip


def answerable(qrels: Qrels) -> Qrels:
    """Judgements of the queries that have a relevant document: the others cannot score."""
    return qrels.subset(qrels.answerable())


def roles_of(models: Models) -> tuple[Role, ...]:
    """The legs that are fused."""
    return ("bm25", "learned", "dense") if models.sparse_encoder is not None else TWO_LEGS

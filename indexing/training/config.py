"""What a training run is: one frozen value, written beside its checkpoints."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, Final, Literal

from twindex.indexing.errors import ConfigError
from twindex.indexing.training.matching import Side
from twindex.indexing.training.sparse_head import Activation

Recipe = Literal["twin", "sparse", "dense", "rerank"]
Penalty = Literal["flops", "idf-flops", "df-flops"]


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Settings of a run. The values here are those of the package's twin, :data:`RERANK` has those of its reranker.

    ``queries`` and ``group`` give a step's size: each query comes with its positive and ``group - 1`` candidates.
    ``scale`` multiplies the teachers' min-max normalised scores of these (S in arXiv 2411.04403), ``wide_scale`` those
    of all documents of a step; ``label_weight`` is that of a teacher who knows the positive and nothing else.
    ``target_nonzeros`` steers the penalty: after the ramp its weight grows while documents have more expansions and
    shrinks while they have fewer; 0 = a constant weight. ``least`` is the l0 mask. ``temperature`` divides cosines of
    the dense side; the sparse side learns its own. ``title_share`` and ``sentence_share`` are the shares of steps on
    titles and on sentences, the rest is on judged or generated queries. A fresh head is calibrated to
    ``first_active`` expansions a document with a mean logit of ``first_size``. ``head_rate`` is the learning rate of
    thresholds and gains, ``head_ratio`` that of the head's table relative to the body's: thresholds that move fast
    open the head to hundreds of expansions before any of them is right. ``distil_share`` weighs what is learned from
    the ensemble, ``wide_share`` within it the documents of the whole step, ``cosine_share`` the embedding teachers'
    own cosines; their ``sparse_`` twins hold for the sparse side, which learns best from its own candidates.
    ``idf_side`` carries idf in the sparse score. ``query_expansion`` above 0 is the siamese form: the model expands
    queries too, which count so much; ``query_penalty`` is then their share of the penalty.
    ``easy`` of the candidates are drawn from all passages, so that what is far from every query is met as well;
    ``far`` more candidates a teacher are drawn from beyond its nearest.
    ``chunk`` queries of a reranker's step are computed at a time, 0 = all; ``cross_weight`` weighs what it learns from
    a larger reranker's scores. ``frozen`` parameters, by the beginnings of their names, stay what they are.
    """

    recipe: Recipe = "twin"
    steps: int = 300
    queries: int = 192
    group: int = 8
    document_tokens: int = 256
    learning_rate: float = 3e-5
    head_rate: float = 1e-4
    head_ratio: float = 0.2
    weight_decay: float = 0.01
    warm_up: int = 30
    penalty: Penalty = "flops"
    penalty_weight: float = 2.0
    penalty_ramp: int = 10
    least: int = 0
    first_active: int = 64
    first_size: float = 0.15
    target_nonzeros: int = 60
    activation: Activation = "log1p"
    idf_side: Side = "queries"
    query_expansion: float = 0.0
    query_penalty: float = 1.0
    scale: float = 10.0
    wide_scale: float = 20.0
    label_weight: float = 0.5
    cross_weight: float = 0.0
    bm25_weight: float = 1.5
    dense_weight: float = 1.0
    distil_share: float = 1.0
    cosine_share: float = 1.0
    sparse_cosine_share: float = 0.0
    wide_share: float = 1.0
    sparse_wide_share: float = 0.3
    contrast_share: float = 0.3
    sparse_share: float = 0.5
    dense_share: float = 1.0
    temperature: float = 0.05
    drop_sentence: float = 0.7
    title_share: float = 0.25
    sentence_share: float = 0.15
    dims: tuple[int, ...] = (384, 128)
    easy: int = 0
    far: int = 0
    chunk: int = 0
    frozen: tuple[str, ...] = ()
    seed: int = 1

    def __post_init__(self) -> None:
        if self.steps < 1 or self.queries < 2 or self.group < 2:
            raise ConfigError(
                f"steps {self.steps}, queries {self.queries}, group {self.group}", expected="at least 1, 2 and 2"
            )
        shares = (self.drop_sentence, self.title_share, self.sentence_share, self.title_share + self.sentence_share)
        if self.query_expansion < 0 or self.query_penalty < 0:
            raise ConfigError(
                "what a query's expansions count is below 0", expected="0 = no model for queries, or more"
            )
        if not all(0 <= share <= 1 + 1e-9 for share in shares):
            raise ConfigError("shares of titles and sentences outside 0 to 1", expected="0 to 1, together too")
        weights = (self.bm25_weight, self.dense_weight, self.cross_weight, self.label_weight)
        if min(weights) < 0 or sum(weights) == 0:
            raise ConfigError("teachers without weight", expected="a weight of 0 or more each, and one above 0")

    @property
    def is_sparse(self) -> bool:
        """Whether the sparse side is trained."""
        return self.recipe in ("twin", "sparse")

    @property
    def is_dense(self) -> bool:
        """Whether the dense side is trained."""
        return self.recipe in ("twin", "dense")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    def digest(self) -> str:
        """A short name: equal settings, equal name."""
        return sha256(repr(self).encode()).hexdigest()[:16]


#: The settings of the reranker that comes with the package.
RERANK: Final = TrainConfig(
    recipe="rerank",
    steps=2920,
    queries=64,
    group=16,
    document_tokens=288,
    learning_rate=1e-4,
    head_ratio=5.0,
    warm_up=60,
    label_weight=1.0,
    bm25_weight=1.0,
    distil_share=0.4,
    contrast_share=1.0,
    title_share=0.15,
    sentence_share=0.0,
    easy=2,
    far=8,
    frozen=("embeddings.word_embeddings",),
    seed=5,
)


def defaults(recipe: Recipe) -> TrainConfig:
    """The settings of a recipe where nothing else is said."""
    return RERANK if recipe == "rerank" else TrainConfig(recipe)

"""The loss of one step, with its parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from twindex.indexing.training import losses
from twindex.indexing.training.batches import DeviceTable, assemble
from twindex.indexing.training.config import TrainConfig
from twindex.indexing.training.health import sparse_figures
from twindex.indexing.training.matching import Matching
from twindex.indexing.training.model import Twin
from twindex.indexing.training.own_terms import Asked, OwnTerms
from twindex.indexing.training.sampling import Choice
from twindex.indexing.training.sparse_head import TEMPERATURE
from twindex.indexing.training.teachers import TeacherVectors
from twindex.indexing.training.torch_door import Tensor, torch
from twindex.indexing.training.training_set import TrainingSet

#: Batches of like length that a step's documents are split into.
PIECES = 4
#: A document that a teacher puts this near to the query, relative to its positive, is no negative.
NEAR = 0.95

#: Scores of each query with its own candidates by a model that reads both: (step's choice, queries, documents)
#: -> float32[q, g].
PairTeacher = Callable[[Choice, Tensor, Tensor], Tensor]


@dataclass(slots=True)
class Parts:
    """What a step's loss consists of; ``figures`` are for the log."""

    total: Tensor
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What the teachers say of a step.

    Shapes: ``groups`` float32[q, g] and ``wide`` float32[q, q * g]: the ensemble on each query's own candidates and
    on all documents; ``cosines`` float32[q, q * g] of each embedding teacher; ``ignore`` bool[q, q * g], documents
    that are no negatives; ``asked`` and ``own`` float32[q * g, u]: the queries' stems, and the documents at these.
    """

    groups: Tensor
    wide: Tensor
    cosines: list[Tensor]
    ignore: Tensor
    asked: Asked
    own: Tensor


class Objective:
    """Losses over a training set.

    Args:
        config: Which losses, and how much of each.
        data: The training set.
        teachers: Embedding teachers.
        idf: float32[terms] on the device.
        device: Where the model runs.
        cross: A cross-encoder as a further teacher of each query's own candidates.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: TrainingSet,
        teachers: list[TeacherVectors],
        idf: Tensor,
        device: str,
        cross: PairTeacher | None = None,
    ) -> None:
        self.config, self.teachers, self.idf, self.device, self.cross = config, teachers, idf, device, cross
        self.passages, self.titles = DeviceTable(data.passages, device), DeviceTable(data.titles, device)
        self.queries = DeviceTable(data.queries, device)
        self.terms = OwnTerms(data, idf, device)
        self.matching = Matching(idf, config.idf_side, config.query_expansion)
        self.spans = torch.from_numpy(data.spans).long().to(device)
        #: Share of recent documents that each column is active in; what DF-FLOPS weighs by.
        self.active: Tensor | None = None

    def loss(self, model: Twin, choice: Choice, penalty: float, drop: bool) -> Parts:
        """The loss of a step.

        Args:
            model: The student.
            choice: What to train on.
            penalty: Weight of the sparsity penalty at this step.
            drop: Whether sentence queries are taken out of their texts.
        """
        at, documents = choice.queries.to(self.device), choice.documents.to(self.device)
        drop = drop and choice.sentences
        dense, expanded = self._documents(model, choice, at, documents, drop)
        lesson = self.lesson(choice, at, documents, drop, columns=expanded.shape[-1] if self._is_siamese else 0)
        asked, asked_expanded = self._queries(model, at)
        parts = Parts(torch.zeros((), device=self.device))
        if self.config.is_dense:
            self._add_dense(parts, asked, dense, lesson)
        if self.config.is_sparse:
            self._add_sparse(parts, model, asked_expanded, expanded, lesson, penalty)
        parts.figures["loss"] = float(parts.total.detach())
        return parts

    def lesson(self, choice: Choice, at: Tensor, documents: Tensor, drop: bool, *, columns: int = 0) -> Lesson:
        """What the teachers say of a step; nothing of it has a gradient. All stems below ``columns`` are asked for."""
        config = self.config
        with torch.no_grad(), torch.autocast(torch.device(self.device).type, enabled=False):
            asked = self.terms.asked(at, columns)
            flat, first = documents.flatten(), _own(documents)[:, 0]
            taken = (first, asked.counts) if drop else None
            own = self.terms.saturated(flat, asked, titled=choice.titled, taken=taken)
            bm25 = asked.weights @ own.T
            cosines = [self._cosines(teacher, at, flat, choice.titled) for teacher in self.teachers]
            label = torch.zeros_like(bm25).scatter_(1, first.unsqueeze(1), 1.0)
            shares = [config.dense_weight / max(1, len(cosines))] * len(cosines)
            voices = [*zip(cosines, shares), (bm25, config.bm25_weight), (label, config.label_weight)]
            voices = [(scores, weight) for scores, weight in voices if weight > 0]
            groups = [(torch.gather(scores, 1, _own(documents)), weight) for scores, weight in voices]
            groups += self.further_voices(choice, at, documents)
            ignore = flat[None, :] == documents[:, :1]
            for found in cosines:
                ignore |= found > NEAR * torch.gather(found, 1, first.unsqueeze(1))
            wide = _ensemble(voices, config.wide_scale) if voices else bm25
            return Lesson(_ensemble(groups, config.scale), wide, cosines, ignore, asked, own)

    def further_voices(self, choice: Choice, at: Tensor, documents: Tensor) -> list[tuple[Tensor, float]]:
        """Scores of each query's own candidates by models that read both, with their weights: float32[q, g] each."""
        if self.cross is None or self.config.cross_weight <= 0:
            return []
        return [(self.cross(choice, at, documents), self.config.cross_weight)]

    def penalty(self, found: Tensor) -> Tensor:
        """The sparsity penalty of the configuration, without its weight."""
        config = self.config
        if config.penalty == "idf-flops":
            return losses.idf_flops(found, self.idf[: found.shape[1]], least=config.least)
        if config.penalty == "df-flops":
            now = (found.detach() > 0).float().mean(dim=0)
            self.active = now if self.active is None else 0.95 * self.active + 0.05 * now
            return losses.df_flops(found, self.active, least=config.least)
        return losses.flops(found, least=config.least)

    def _documents(
        self, model: Twin, choice: Choice, at: Tensor, documents: Tensor, drop: bool
    ) -> tuple[Tensor, Tensor]:
        flat = documents.flatten()
        spans = torch.zeros(len(flat), 2, dtype=torch.int64, device=self.device)
        if drop:
            spans[:: documents.shape[1]] = self.spans[at]
        titles = self.titles if choice.titled else None
        dense, expanded, rows = [], [], []
        limit = self.config.document_tokens
        for batch in assemble(self.passages, flat, limit=limit, titles=titles, spans=spans, pieces=PIECES):
            states = model.states(batch)
            rows.append(batch.rows)
            if self.config.is_dense:
                dense.append(model.dense(batch, states))
            if self.config.is_sparse:
                expanded.append(model.expansions(batch, states))
        back = torch.cat(rows).argsort()
        return (torch.cat(dense)[back] if dense else flat), (torch.cat(expanded)[back] if expanded else flat)

    @property
    def _is_siamese(self) -> bool:
        return self.config.is_sparse and self.config.query_expansion > 0

    def _queries(self, model: Twin, at: Tensor) -> tuple[Tensor, Tensor | None]:
        """Dense vectors of queries, and in the siamese form their expansions."""
        if not self.config.is_dense and not self._is_siamese:
            return at, None
        (batch,) = assemble(self.queries, at, limit=self.config.document_tokens, pieces=1)
        states, back = model.states(batch), batch.rows.argsort()
        expanded = model.expansions(batch, states)[back] if self._is_siamese else None
        return model.dense(batch, states)[back], expanded

    def _cosines(self, teacher: TeacherVectors, at: Tensor, flat: Tensor, titled: bool) -> Tensor:
        table = teacher.titled if titled else teacher.texts
        return teacher.queries[at].float() @ table[flat].float().T

    def _add_dense(self, parts: Parts, asked: Tensor, found: Tensor, lesson: Lesson) -> None:
        config = self.config

        def loss(queries: Tensor, documents: Tensor) -> Tensor:
            scores = queries.float() @ documents.float().T / config.temperature
            return self._value(scores, lesson, config.wide_share, config.cosine_share)

        value = losses.matryoshka(loss, asked, found, config.dims)
        parts.total = parts.total + config.dense_share * value
        parts.figures["dense"] = float(value.detach())

    def _add_sparse(
        self, parts: Parts, model: Twin, asked: Tensor | None, found: Tensor, lesson: Lesson, penalty: float
    ) -> None:
        config = self.config
        with torch.autocast(torch.device(self.device).type, enabled=False):
            weights = self.matching.documents(model.weights, lesson.asked, lesson.own, found)
            queries = self.matching.queries(lesson.asked, asked)
            scores = queries @ weights.T / model.weights[TEMPERATURE].exp()
            value = self._value(scores, lesson, config.sparse_wide_share, config.sparse_cosine_share)
            load = self.penalty(found)
            if asked is not None:
                load = load + config.query_penalty * self.penalty(asked)
        parts.total = parts.total + config.sparse_share * (value + penalty * load)
        parts.figures |= {"sparse": float(value.detach()), "penalty": float(load.detach()), "penalty_weight": penalty}
        parts.figures |= sparse_figures(found.detach(), weights.detach(), queries.detach())
        if asked is not None:
            parts.figures["query_nonzeros"] = float((asked > 0).sum() / len(asked))

    def _value(self, scores: Tensor, lesson: Lesson, wide: float, cosine: float) -> Tensor:
        """The loss of a student's scores of each query with all documents: float32[q, q * g] -> scalar."""
        config, count = self.config, len(lesson.groups)
        own = torch.arange(scores.shape[1], device=scores.device).view(count, -1)
        value = losses.distillation(torch.gather(scores, 1, own), lesson.groups)
        value = value + wide * losses.distillation(scores, lesson.wide)
        value = config.distil_share * value
        for cosines in lesson.cosines if cosine else ():
            near = losses.distillation(scores, cosines / config.temperature)
            value = value + cosine / len(lesson.cosines) * near
        return value + config.contrast_share * losses.contrastive(scores, own[:, 0], lesson.ignore)


def _ensemble(voices: list[tuple[Tensor, float]], scale: float) -> Tensor:
    return losses.ensemble([scores for scores, _ in voices], [weight for _, weight in voices], scale)


def _own(documents: Tensor) -> Tensor:
    """Columns of each query's own candidates among all documents of a step: int64[q, g]."""
    return torch.arange(documents.numel(), device=documents.device).view(documents.shape)

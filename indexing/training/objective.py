"""The loss of one step, with its parts."""

from __future__ import annotations

from dataclasses import dataclass, field

from twindex.indexing.training import losses
from twindex.indexing.training.batches import DeviceTable, assemble
from twindex.indexing.training.config import TrainConfig
from twindex.indexing.training.health import sparse_figures
from twindex.indexing.training.model import Twin
from twindex.indexing.training.sampling import Choice
from twindex.indexing.training.teachers import TeacherVectors, token_bm25
from twindex.indexing.training.torch_door import Tensor, torch
from twindex.indexing.training.training_set import TrainingSet

#: Batches of like length that a step's documents are split into.
PIECES = 4
#: A document that the teacher puts this near to the query, relative to its positive, is no negative.
NEAR = 0.95


@dataclass(slots=True)
class Parts:
    """What a step's loss consists of; ``figures`` are for the log."""

    total: Tensor
    figures: dict[str, float] = field(default_factory=dict)


class Objective:
    """Losses over a training set.

    Args:
        config: Which losses, and how much of each.
        data: The training set.
        teachers: Embedding teachers; their cosines are averaged after min-max normalisation.
        idf: float32[v] on the device.
        device: Where the model runs.
    """

    def __init__(
        self, config: TrainConfig, data: TrainingSet, teachers: list[TeacherVectors], idf: Tensor, device: str
    ) -> None:
        self.config, self.teachers, self.idf, self.device = config, teachers, idf, device
        self.passages, self.titles = DeviceTable(data.passages, device), DeviceTable(data.titles, device)
        self.queries = DeviceTable(data.queries, device)
        self.spans = torch.from_numpy(data.spans).long().to(device)
        self.average = max(1.0, float(self.passages.lengths.float().mean()))
        #: Share of recent documents that each token is active in; what DF-FLOPS weighs by.
        self.active = torch.zeros(len(idf), device=device)

    def loss(self, model: Twin, choice: Choice, penalty: float, drop: bool) -> Parts:
        """The loss of a step.

        Args:
            model: The student.
            choice: What to train on.
            penalty: Weight of the sparsity penalty at this step.
            drop: Whether sentence queries are taken out of their texts.
        """
        at, documents = choice.queries.to(self.device), choice.documents.to(self.device)
        dense, sparse = self._documents(model, choice, at, documents, drop)
        teacher = self.teacher_scores(choice, at, documents)
        groups = self.grouped(teacher, at, documents)
        same = documents.flatten()[None, :] == documents[:, :1]
        ignore = same | self._near(teacher, documents)
        parts = Parts(torch.zeros((), device=self.device))
        if self.config.is_dense:
            self._add_dense(parts, self._queries(model, at), dense, teacher, groups, ignore)
        if self.config.is_sparse:
            self._add_sparse(parts, at, sparse, teacher, groups, ignore, penalty)
        parts.figures["loss"] = float(parts.total.detach())
        return parts

    def _documents(
        self, model: Twin, choice: Choice, at: Tensor, documents: Tensor, drop: bool
    ) -> tuple[Tensor, Tensor]:
        flat = documents.flatten()
        spans = torch.zeros(len(flat), 2, dtype=torch.int64, device=self.device)
        if drop and choice.sentences:
            spans[:: documents.shape[1]] = self.spans[at]
        titles = self.titles if choice.sentences else None
        dense, sparse, rows = [], [], []
        limit = self.config.document_tokens
        for batch in assemble(self.passages, flat, limit=limit, titles=titles, spans=spans, pieces=PIECES):
            states = model.states(batch)
            rows.append(batch.rows)
            if self.config.is_dense:
                dense.append(model.dense(batch, states))
            if self.config.is_sparse:
                sparse.append(model.sparse(batch, states))
        back = torch.cat(rows).argsort()
        return (torch.cat(dense)[back] if dense else flat), (torch.cat(sparse)[back] if sparse else flat)

    def _queries(self, model: Twin, at: Tensor) -> Tensor:
        (batch,) = assemble(self.queries, at, limit=self.config.document_tokens, pieces=1)
        return model.dense(batch, model.states(batch))[batch.rows.argsort()]

    def teacher_scores(self, choice: Choice, at: Tensor, documents: Tensor) -> list[Tensor]:
        """Each teacher's cosines of each query with all documents of the step: float32[q, q * g] each."""
        return [self._teacher_scores(teacher, at, documents, choice.sentences) for teacher in self.teachers]

    def _teacher_scores(self, teacher: TeacherVectors, at: Tensor, documents: Tensor, titled: bool) -> Tensor:
        """Cosines of each query with all documents of the step: float32[q, q * g]."""
        table = teacher.titled if titled else teacher.texts
        return teacher.queries[at].float() @ table[documents.flatten()].float().T

    def grouped(self, teacher: list[Tensor], at: Tensor, documents: Tensor) -> Tensor:
        """Scores of the ensemble for each query's own candidates: float32[q, g]."""
        config = self.config
        own = self._own(documents)
        scores = [torch.gather(found, 1, own) for found in teacher]
        weights = [config.dense_weight / max(1, len(teacher))] * len(teacher)
        if config.bm25_weight > 0:
            scores.append(self._bm25(at, documents))
            weights.append(config.bm25_weight)
        return losses.ensemble(scores, weights, config.scale)

    def _bm25(self, at: Tensor, documents: Tensor) -> Tensor:
        count, group = documents.shape
        query_ids, query_mask = self._raw(self.queries, at)
        ids, mask = self._raw(self.passages, documents.flatten())
        shape = (count, group, ids.shape[1])
        return token_bm25(query_ids, query_mask, ids.view(shape), mask.view(shape), self.idf, self.average)

    def _raw(self, table: DeviceTable, at: Tensor) -> tuple[Tensor, Tensor]:
        width = max(1, int(table.lengths[at].max()))
        place = torch.arange(width, device=self.device).unsqueeze(0).expand(len(at), -1)
        return table.take(at, place), place < table.lengths[at].unsqueeze(1)

    def _own(self, documents: Tensor) -> Tensor:
        """Columns of each query's own candidates among all documents of the step: int64[q, g]."""
        return torch.arange(documents.numel(), device=self.device).view(documents.shape)

    def _near(self, teacher: list[Tensor], documents: Tensor) -> Tensor:
        """Documents that a teacher finds nearly as near as the positive: bool[q, q * g]."""
        first = self._own(documents)[:, :1]
        near = torch.zeros(len(documents), documents.numel(), dtype=torch.bool, device=self.device)
        for found in teacher:
            near |= found > NEAR * torch.gather(found, 1, first)
        return near

    def _add_dense(
        self, parts: Parts, asked: Tensor, found: Tensor, teacher: list[Tensor], groups: Tensor, ignore: Tensor
    ) -> None:
        config, first = self.config, self._first(groups)
        own = self._own(groups)

        def loss(queries: Tensor, documents: Tensor) -> Tensor:
            scores = queries @ documents.T / config.temperature
            total = config.distil_share * losses.distillation(torch.gather(scores, 1, own), groups)
            for scores_of_teacher in teacher:
                wide = losses.distillation(scores, scores_of_teacher / config.temperature)
                total = total + config.distil_share / len(teacher) * wide
            return total + config.contrast_share * losses.contrastive(scores, first, ignore)

        value = losses.matryoshka(loss, asked, found, config.dims)
        parts.total = parts.total + config.dense_share * value
        parts.figures["dense"] = float(value.detach())

    def _add_sparse(
        self,
        parts: Parts,
        at: Tensor,
        found: Tensor,
        teacher: list[Tensor],
        groups: Tensor,
        ignore: Tensor,
        penalty: float,
    ) -> None:
        config, first = self.config, self._first(groups)
        ids, mask = self._raw(self.queries, at)
        asked = losses.inference_free_queries(ids, mask, self.idf)
        scores = asked @ found.T / config.sparse_temperature
        value = config.distil_share * losses.distillation(torch.gather(scores, 1, self._own(groups)), groups)
        for scores_of_teacher in teacher:
            wide = losses.distillation(scores, scores_of_teacher / config.temperature)
            value = value + config.distil_share / len(teacher) * wide
        value = value + config.contrast_share * losses.contrastive(scores, first, ignore)
        load = self.penalty(found)
        parts.total = parts.total + config.sparse_share * (value + penalty * load)
        parts.figures |= {"sparse": float(value.detach()), "penalty": float(load.detach()), "penalty_weight": penalty}
        parts.figures |= sparse_figures(found.detach(), asked)

    def _first(self, groups: Tensor) -> Tensor:
        """Column of each query's positive: int64[q]."""
        return self._own(groups)[:, 0]

    def penalty(self, found: Tensor) -> Tensor:
        """The sparsity penalty of the configuration, without its weight."""
        config = self.config
        if config.penalty == "idf-flops":
            return losses.idf_flops(found, self.idf, least=config.least)
        if config.penalty == "df-flops":
            self.active = 0.95 * self.active + 0.05 * (found.detach() > 0).float().mean(dim=0)
            return losses.df_flops(found, self.active, least=config.least)
        return losses.flops(found, least=config.least)

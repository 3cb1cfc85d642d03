"""A cross-encoder: query and document in one pass, one logit from the state of [CLS].

Text pairs are [CLS] query [SEP] title text [SEP], the second text marked by its token type. It learns which candidate
is the answer, the ensemble's order of each query's candidates, and, where a larger cross-encoder teaches, its scores.
"""

from __future__ import annotations

from typing import Final

from twindex.indexing.encoders.bert_weights import BertShape
from twindex.indexing.training import losses
from twindex.indexing.training.batches import CLS, ROUND, SEP, DeviceTable
from twindex.indexing.training.bert import WORDS, bert_states
from twindex.indexing.training.model import Twin
from twindex.indexing.training.objective import PIECES, Lesson, Objective, Parts
from twindex.indexing.training.sampling import Choice
from twindex.indexing.training.torch_door import Parameters, Tensor, functional, torch

SCORE_WEIGHT: Final = "head.score.weight"
SCORE_BIAS: Final = "head.score.bias"
#: Standard deviation of fresh weights, as in BERT.
SPREAD: Final = 0.02
#: Pairs that are scored at a time without gradients.
PAIRS: Final = 2048


def with_score_head(weights: Parameters, seed: int) -> None:
    """Put a fresh head in place of a twin's, unless one is there already."""
    for name in [name for name in weights if name.startswith("head.") and not name.startswith("head.score.")]:
        del weights[name]
    if SCORE_WEIGHT not in weights:
        words = weights[WORDS]
        draw = torch.Generator().manual_seed(seed)
        fresh = SPREAD * torch.randn(1, words.shape[1], generator=draw)
        weights[SCORE_WEIGHT] = fresh.to(words.device)
        weights[SCORE_BIAS] = torch.zeros(1, device=words.device)


def pair_batch(
    queries: DeviceTable,
    at: Tensor,
    texts: DeviceTable,
    documents: Tensor,
    limit: int,
    titles: DeviceTable | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids, mask and token types of pairs; documents are cut so that ``limit`` tokens are enough.

    Shapes: ``at`` and ``documents`` int64[b]; result int64[b, l], bool[b, l], int64[b, l].
    """
    asked = queries.lengths[at].clamp(max=limit // 2).unsqueeze(1)
    head = torch.zeros_like(asked) if titles is None else titles.lengths[documents].unsqueeze(1)
    body = torch.minimum(head + texts.lengths[documents].unsqueeze(1), limit - 3 - asked)
    width = -(-(int((asked + body).max()) + 3) // ROUND) * ROUND
    place = torch.arange(width, device=at.device).unsqueeze(0)
    first = queries.take(at, (place - 1).clamp(min=0).expand(len(at), -1))
    offset = place - asked - 2
    second = texts.take(documents, (offset - head).clamp(min=0))
    if titles is not None:
        second = torch.where(offset < head, titles.take(documents, offset.clamp(min=0)), second)
    ids = torch.where(place <= asked, first, second)
    ids = torch.where(place == 0, torch.full_like(ids, CLS), ids)
    last = asked + body + 2
    ids = torch.where((place == asked + 1) | (place == last), torch.full_like(ids, SEP), ids)
    mask = place <= last
    kinds = ((place > asked + 1) & mask).long()
    return torch.where(mask, ids, torch.zeros_like(ids)), mask, kinds


def pair_scores(weights: Parameters, shape: BertShape, ids: Tensor, mask: Tensor, kinds: Tensor) -> Tensor:
    """One logit a pair: float32[b]."""
    states = bert_states(weights, shape, ids, mask, kinds)
    return functional.linear(states[:, 0], weights[SCORE_WEIGHT], weights[SCORE_BIAS]).float().squeeze(1)


class CrossTeacher:
    """A trained cross-encoder that scores the candidates of a step.

    Args:
        weights: Its weights, on the device.
        shape: Its shape.
        tables: Queries, texts and titles on the device.
        limit: Tokens of a pair.
    """

    def __init__(
        self, weights: Parameters, shape: BertShape, tables: tuple[DeviceTable, DeviceTable, DeviceTable], limit: int
    ) -> None:
        self._weights, self._shape, self._tables, self._limit = weights, shape, tables, limit

    def __call__(self, choice: Choice, at: Tensor, documents: Tensor) -> Tensor:
        """Scores of each query with its own candidates: float32[q, g]."""
        titles = self._tables[2] if choice.titled else None
        return self.scores(at.repeat_interleave(documents.shape[1]), documents.flatten(), titles).view(documents.shape)

    def scores(self, at: Tensor, documents: Tensor, titles: DeviceTable | None) -> Tensor:
        """Scores of pairs, those of like length together: float32[n]."""
        queries, texts, _ = self._tables
        order = (texts.lengths[documents] + queries.lengths[at]).argsort()
        out = torch.empty(len(at), device=documents.device)
        kind = documents.device.type
        with torch.no_grad(), torch.autocast(kind, dtype=torch.bfloat16, enabled=kind == "cuda"):
            for start in range(0, len(order), PAIRS):
                part = order[start : start + PAIRS]
                pairs = pair_batch(queries, at[part], texts, documents[part], self._limit, titles)
                out[part] = pair_scores(self._weights, self._shape, *pairs)
        return out


class RerankObjective(Objective):
    """Losses of a cross-encoder over the same steps as a twin's."""

    def loss(self, model: Twin, choice: Choice, penalty: float, drop: bool) -> Parts:
        """The loss of a step; ``penalty`` and ``drop`` are the twin's and change nothing here.

        With ``chunk`` queries at a time, the gradients of all chunks but the last are added to the weights here, so
        that memory holds the states of one chunk alone. The sum over the chunks is what one pass would give.
        """
        at, documents = choice.queries.to(self.device), choice.documents.to(self.device)
        lesson = self.lesson(choice, at, documents, False)
        cross = self.cross(choice, at, documents) if self.cross is not None and self.config.cross_weight > 0 else None
        size = self.config.chunk or len(at)
        total, right = 0.0, 0.0
        for start in range(0, len(at), size):
            part = slice(start, start + size)
            titles = self.titles if choice.titled else None
            scores = self._scores(model, at[part], documents[part], titles)
            value = self._chunk(scores, lesson, part, documents[part], cross) * (len(scores) / len(at))
            if start + size < len(at) and torch.is_grad_enabled():
                value.backward()
            total += float(value.detach())
            right += float((scores.detach().argmax(dim=1) == 0).sum())
        return Parts(value, {"loss": total, "first_is_best": right / len(at)})

    def further_voices(self, choice: Choice, at: Tensor, documents: Tensor) -> list[tuple[Tensor, float]]:
        """None: a cross-encoder that teaches another is heard by its scores, not by their order in the ensemble."""
        return []

    def _scores(self, model: Twin, at: Tensor, documents: Tensor, titles: DeviceTable | None) -> Tensor:
        """Scores of each query with its own candidates, pairs of like length together: float32[q, g]."""
        asked, flat = at.repeat_interleave(documents.shape[1]), documents.flatten()
        order = (self.queries.lengths[asked] + self.passages.lengths[flat]).argsort()
        found = []
        for rows in order.chunk(PIECES):
            limit = self.config.document_tokens
            pairs = pair_batch(self.queries, asked[rows], self.passages, flat[rows], limit, titles)
            found.append(pair_scores(model.weights, model.shape, *pairs))
        return torch.cat(found)[order.argsort()].view(documents.shape)

    def _chunk(self, scores: Tensor, lesson: Lesson, part: slice, documents: Tensor, cross: Tensor | None) -> Tensor:
        """Mean loss of some queries: float32[q, g] -> scalar."""
        config, group = self.config, documents.shape[1]
        first = torch.zeros(len(documents), dtype=torch.int64, device=self.device)
        columns = torch.arange(part.start * group, (part.start + len(documents)) * group, device=self.device)
        # Not wrong: the answer itself, drawn at random, and what a teacher puts as near as the answer.
        same = torch.gather(lesson.ignore[part], 1, columns.view(documents.shape))
        value = config.contrast_share * losses.contrastive(scores, first, same)
        if config.distil_share:
            value = value + config.distil_share * losses.distillation(scores, lesson.groups[part])
        if cross is not None:
            value = value + config.cross_weight * losses.distillation(scores, cross[part])
        return value

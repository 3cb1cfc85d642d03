"""A quick look at a model during training: nDCG@10 on small judged sets that take no part in it.

Exact search over all documents: dense, sparse (idf of the set itself), and both after min-max normalisation. Binary
relevance; ties by document order. The house's own harness (``twindex eval``) gives the figures that are reported;
this one only steers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from twindex.indexing.encoders.idf_table import document_frequencies, idf_weights
from twindex.indexing.encoders.term_space import TermSpace
from twindex.indexing.encoders.tokenizer import TextTokenizer
from twindex.indexing.training.batches import DeviceTable, assemble
from twindex.indexing.training.losses import min_max
from twindex.indexing.training.matching import Matching, Side
from twindex.indexing.training.model import Twin
from twindex.indexing.training.own_terms import Asked, OwnTerms
from twindex.indexing.training.prepare import DOCUMENT_TOKENS, QUERY_TOKENS
from twindex.indexing.training.rerank import CrossTeacher
from twindex.indexing.training.sources import SourceSpec, documents, pairs
from twindex.indexing.training.tokens import TokenTable
from twindex.indexing.training.torch_door import Tensor, torch
from twindex.indexing.training.training_set import TrainingSet

DEPTH = 10
BLOCK = 2048
#: Tokens that are kept of a document: what the body has positions for, so that longer cuts can be tried.
POSITIONS = 512
#: Expansions that are kept where pruning is looked at.
KEPT = 64
#: Queries whose candidates a reranker is looked at with, and candidates of each.
RERANKED = (200, 50)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """nDCG@10 by leg; ``pruned`` keeps the heaviest :data:`KEPT` expansions; ``nonzeros`` counts expansions alone."""

    bm25: float
    dense: float
    sparse: float
    pruned: float
    hybrid: float
    nonzeros: float

    def to_dict(self) -> dict[str, float]:
        """Plain values."""
        return asdict(self)


def probe_set(spec: SourceSpec) -> TrainingSet:
    """The judged pairs of a split over the whole corpus, packed as a training set without negatives."""
    table = documents(spec)
    order = {name: number for number, name in enumerate(table)}
    found = [(pair.query, order[pair.doc_id]) for pair in pairs(spec, table)]
    contents = [f"{d.title} {d.text}" if d.title else d.text for d in table.values()]
    space = TermSpace.bert_uncased()
    return TrainingSet(
        passages=TokenTable.from_texts(contents, TextTokenizer.bert_uncased(POSITIONS)),
        titles=TokenTable.of([[] for _ in table]),
        queries=TokenTable.from_texts((query for query, _ in found), TextTokenizer.bert_uncased(QUERY_TOKENS)),
        positive=np.array([at for _, at in found], np.int32),
        negatives=np.empty((len(found), 0), np.int32),
        spans=np.full((len(found), 2), -1, np.int32),
        source=np.zeros(len(found), np.int32),
        titled=np.ones(len(found), np.bool_),
        passage_terms=TokenTable.from_terms(contents, space),
        title_terms=TokenTable.of(([] for _ in table), np.int32),
        query_terms=TokenTable.from_terms((query for query, _ in found), space),
        names=(f"{spec.name}-{spec.split}",),
    )


class Probe:
    """A judged set on a device.

    Args:
        data: The set.
        terms: Dimensions of the sparse side.
        device: Where to compute.
        idf: float32[terms] to weigh queries by; None = that of the set itself.
        side: Which side of the sparse score carries it.
        expansion: What the model's expansions of queries count; 0 = queries need no model.
    """

    def __init__(
        self,
        data: TrainingSet,
        terms: int,
        device: str,
        *,
        idf: Tensor | None = None,
        side: Side = "queries",
        expansion: float = 0.0,
    ) -> None:
        self.device, self._count = device, len(data.passages)
        if idf is None:
            idf = torch.from_numpy(idf_weights(*document_frequencies(data.passage_terms, terms)))
        self._matching = Matching(idf.to(device), side, expansion)
        first, self.answers = _unique(data)
        self._at = torch.tensor(first, device=device)
        self._texts, self._queries = DeviceTable(data.passages, device), DeviceTable(data.queries, device)
        self._own = OwnTerms(data, self._matching.idf, device)

    def look(self, model: Twin, *, limit: int = DOCUMENT_TOKENS) -> ProbeResult:
        """NDCG@10 of a twin."""
        with torch.inference_mode():
            dense, expanded = self._encode(model, limit)
            vectors, more = self._queried(model, limit)
            cosines = vectors @ dense.T
            asked, own = self._asked(0 if more is None else expanded.shape[1])
            queries = self._matching.queries(asked, more)
            sparse = queries @ self._matching.documents(model.weights, asked, own, expanded).T
            kept = _heaviest(self._matching.importance(expanded), expanded, KEPT)
            pruned = queries @ self._matching.documents(model.weights, asked, own, kept).T
            nonzeros = float((expanded > 0).sum()) / max(1, self._count)
            return ProbeResult(
                bm25=ndcg(asked.weights @ own.T, self.answers),
                dense=ndcg(cosines, self.answers),
                sparse=ndcg(sparse, self.answers),
                pruned=ndcg(pruned, self.answers),
                hybrid=ndcg(min_max(cosines) + min_max(pruned), self.answers),
                nonzeros=nonzeros,
            )

    def reranked(self, cross: CrossTeacher, dense: Tensor) -> dict[str, float]:
        """NDCG@10 of some queries before their best candidates are read, by the reader alone, and by both evenly.

        Args:
            cross: The reranker.
            dense: Cosines of each query with each document, float32[q, n]; fused with BM25 they choose candidates.
        """
        queries, depth = RERANKED
        with torch.inference_mode():
            asked, own = self._asked()
            fused = (min_max(asked.weights @ own.T) + min_max(dense))[:queries]
            best = fused.topk(min(depth, self._count), dim=1).indices
            flat = self._at[: len(best)].repeat_interleave(best.shape[1])
            scores = cross.scores(flat, best.flatten(), None).view(best.shape)
            both = min_max(scores) + min_max(torch.gather(fused, 1, best))
            none = torch.full_like(fused, float("-inf"))
            orders = {"before": fused, "after": none.scatter(1, best, scores), "fused": none.scatter(1, best, both)}
        answers = self.answers[: len(best)]
        return {name: ndcg(order, answers) for name, order in orders.items()}

    def cross(self, model: Twin, limit: int) -> CrossTeacher:
        """A model with a score head as a reranker of this set."""
        return CrossTeacher(model.weights, model.shape, (self._queries, self._texts, self._texts), limit)

    def cosines(self, model: Twin, limit: int = DOCUMENT_TOKENS) -> Tensor:
        """Cosines of each query with each document: float32[q, n]."""
        with torch.inference_mode():
            dense = torch.cat([part[0] for part in self._blocks(model, limit, sparse=False)])
            return self.asked_vectors(model, limit) @ dense.T

    def asked_vectors(self, model: Twin, limit: int) -> Tensor:
        """Dense vectors of the queries: float32[q, h]."""
        return self._queried(model, limit)[0]

    def _queried(self, model: Twin, limit: int) -> tuple[Tensor, Tensor | None]:
        """Dense vectors of the queries, and in the siamese form their expansions."""
        with self._cast():
            (batch,) = assemble(self._queries, self._at, limit=limit, pieces=1)
            states, back = model.states(batch), batch.rows.argsort()
            more = model.expansions(batch, states)[back] if self._matching.expansion else None
            return model.dense(batch, states)[back].float(), more

    def _asked(self, columns: int = 0) -> tuple[Asked, Tensor]:
        asked = self._own.asked(self._at, columns)
        return asked, self._own.saturated(torch.arange(self._count, device=self.device), asked, titled=False)

    def _encode(self, model: Twin, limit: int) -> tuple[Tensor, Tensor]:
        blocks = list(self._blocks(model, limit, sparse=True))
        return torch.cat([block[0] for block in blocks]), torch.cat([block[1] for block in blocks])

    def _blocks(self, model: Twin, limit: int, *, sparse: bool) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, self._count, BLOCK):
            at = torch.arange(start, min(start + BLOCK, self._count), device=self.device)
            dense, expanded, rows = [], [], []
            with self._cast():
                for batch in assemble(self._texts, at, limit=limit, pieces=8):
                    states = model.states(batch)
                    dense.append(model.dense(batch, states).float())
                    expanded.append(model.expansions(batch, states) if sparse else dense[-1])
                    rows.append(batch.rows)
            back = torch.cat(rows).argsort()
            yield torch.cat(dense)[back], torch.cat(expanded)[back]

    def _cast(self) -> Any:
        kind = torch.device(self.device).type
        return torch.autocast(kind, dtype=torch.bfloat16, enabled=kind == "cuda")


def ndcg(scores: Tensor, answers: list[list[int]]) -> float:
    """Mean nDCG@10 with binary gains.

    Shapes: ``scores`` float32[q, n].
    """
    ranked = scores.sort(dim=1, descending=True, stable=True).indices[:, :DEPTH].cpu()
    discount = 1.0 / torch.log2(torch.arange(2, DEPTH + 2).float())
    total = 0.0
    for row, wanted in zip(ranked, answers, strict=True):
        hits = torch.isin(row, torch.tensor(wanted)).float()
        total += float((hits * discount[: len(row)]).sum() / discount[: min(DEPTH, len(wanted))].sum())
    return total / max(1, len(answers))


def _heaviest(keys: Tensor, values: Tensor, count: int) -> Tensor:
    """The values of the ``count`` largest keys of each row, 0 elsewhere."""
    if count >= keys.shape[1]:
        return values
    cut = keys.topk(count, dim=1).values[:, -1:]
    return values * (keys >= cut)


def _unique(data: TrainingSet) -> tuple[list[int], list[list[int]]]:
    """One query of each wording, and all its answers."""
    groups: dict[bytes, list[int]] = {}
    first: dict[bytes, int] = {}
    for number, (ids, at) in enumerate(zip(data.queries, data.positive.tolist(), strict=True)):
        groups.setdefault(ids.tobytes(), []).append(at)
        first.setdefault(ids.tobytes(), number)
    return list(first.values()), list(groups.values())

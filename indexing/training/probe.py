"""A quick look at a model during training: nDCG@10 on small judged sets that take no part in it.

Exact search over all documents with both vectors. Binary relevance; ties by document order. The house's own harness
(``twindex eval``) gives the figures that are reported; this one only steers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twindex.indexing.encoders.tokenizer import TextTokenizer
from twindex.indexing.training.batches import DeviceTable, assemble
from twindex.indexing.training.losses import inference_free_queries
from twindex.indexing.training.model import Twin
from twindex.indexing.training.prepare import DOCUMENT_TOKENS, QUERY_TOKENS
from twindex.indexing.training.sources import SourceSpec, documents, pairs
from twindex.indexing.training.tokens import TokenTable
from twindex.indexing.training.torch_door import Tensor, torch
from twindex.indexing.training.training_set import TrainingSet

DEPTH = 10
BLOCK = 2048


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """nDCG@10 by leg, and mean non-zeros of a document."""

    dense: float
    sparse: float
    nonzeros: float


def probe_set(spec: SourceSpec) -> TrainingSet:
    """The judged pairs of a split over the whole corpus, packed as a training set without negatives."""
    table = documents(spec)
    order = {name: number for number, name in enumerate(table)}
    found = [(pair.query, order[pair.doc_id]) for pair in pairs(spec, table)]
    texts = TextTokenizer.bert_uncased(DOCUMENT_TOKENS)
    return TrainingSet(
        passages=TokenTable.from_texts((f"{d.title} {d.text}" if d.title else d.text for d in table.values()), texts),
        titles=TokenTable.of([[] for _ in table]),
        queries=TokenTable.from_texts((query for query, _ in found), TextTokenizer.bert_uncased(QUERY_TOKENS)),
        positive=np.array([at for _, at in found], np.int32),
        negatives=np.empty((len(found), 0), np.int32),
        spans=np.full((len(found), 2), -1, np.int32),
        source=np.zeros(len(found), np.int32),
        names=(f"{spec.name}-{spec.split}",),
    )


def probe(model: Twin, data: TrainingSet, idf: Tensor, device: str, *, limit: int = DOCUMENT_TOKENS) -> ProbeResult:
    """nDCG@10 of both legs. Pairs of the same query text are one query with several answers."""
    kind = "cuda" if device.startswith("cuda") else "cpu"
    with torch.inference_mode(), torch.autocast(kind, dtype=torch.bfloat16, enabled=kind == "cuda"):
        dense, sparse = _encode(model, DeviceTable(data.passages, device), device, limit)
        queries, answers = _unique(data)
        table = DeviceTable(queries, device)
        at = torch.arange(len(queries), device=device)
        (batch,) = assemble(table, at, limit=limit, pieces=1)
        asked = model.dense(batch, model.states(batch))[batch.rows.argsort()]
        place = torch.arange(int(table.lengths.max()), device=device).unsqueeze(0).expand(len(at), -1)
        terms = inference_free_queries(table.take(at, place), place < table.lengths.unsqueeze(1), idf)
    scores = asked.float() @ dense.float().T
    weights = torch.cat([terms @ part.to(device).float().T for part in sparse], dim=1)
    nonzeros = sum(float((part > 0).sum()) for part in sparse) / max(1, len(data.passages))
    return ProbeResult(ndcg(scores, answers), ndcg(weights, answers), nonzeros)


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


def _encode(model: Twin, table: DeviceTable, device: str, limit: int) -> tuple[Tensor, list[Tensor]]:
    dense, sparse = [], []
    for start in range(0, len(table.lengths), BLOCK):
        at = torch.arange(start, min(start + BLOCK, len(table.lengths)), device=device)
        block, terms, rows = [], [], []
        for batch in assemble(table, at, limit=limit, pieces=8):
            states = model.states(batch)
            block.append(model.dense(batch, states))
            terms.append(model.sparse(batch, states).half())
            rows.append(batch.rows)
        back = torch.cat(rows).argsort()
        dense.append(torch.cat(block)[back])
        sparse.append(torch.cat(terms)[back])
    return torch.cat(dense), sparse


def _unique(data: TrainingSet) -> tuple[TokenTable, list[list[int]]]:
    groups: dict[bytes, list[int]] = {}
    for ids, at in zip(data.queries, data.positive.tolist()):
        groups.setdefault(ids.tobytes(), []).append(at)
    return TokenTable.of([memoryview(key).cast("H").tolist() for key in groups]), list(groups.values())

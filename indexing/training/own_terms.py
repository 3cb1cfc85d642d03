"""The part of a sparse vector that needs no model: a text's own stems, counted as BM25 counts them.

A step compares queries with documents at the stems that its queries ask for, and nowhere else: these are its
*asked* stems, a few thousand at most, so that everything here is a small dense matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

from twindex.indexing.encoders.own_terms import AVERAGE, K1, LONGEST, B
from twindex.indexing.training.batches import DeviceTable
from twindex.indexing.training.sparse_head import OWN
from twindex.indexing.training.torch_door import Parameters, Tensor, torch
from twindex.indexing.training.training_set import TrainingSet

#: Documents that are counted at a time.
BLOCK = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """The stems of a batch of queries.

    Shapes: ``stems`` int64[u], ascending; ``counts`` float32[q, u], how often a query has each; ``weights``
    float32[q, u], its idf where it occurs.
    """

    stems: Tensor
    counts: Tensor
    weights: Tensor


class OwnTerms:
    """The terms of a training set on a device.

    Args:
        data: The set.
        idf: float32[terms], on the device.
        device: Where to compute.
    """

    def __init__(self, data: TrainingSet, idf: Tensor, device: str) -> None:
        self.idf, self.device = idf, device
        self._texts = DeviceTable(data.passage_terms, device)
        self._titles = DeviceTable(data.title_terms, device)
        self._queries = DeviceTable(data.query_terms, device)

    def asked(self, at: Tensor, columns: int = 0) -> Asked:
        """The stems of the queries ``at``, and all below ``columns`` whether a query has them or not."""
        ids, there = _padded(self._queries, at)
        every = torch.arange(columns, device=ids.device)
        stems, inverse = torch.unique(torch.cat([every, ids[there]]), return_inverse=True)
        inverse = inverse[columns:]
        counts = torch.zeros(len(at), len(stems), device=self.device)
        rows = there.nonzero(as_tuple=True)[0]
        counts.index_put_((rows, inverse), torch.ones(len(rows), device=self.device), accumulate=True)
        return Asked(stems, counts, (counts > 0) * self.idf[stems])

    def saturated(
        self, documents: Tensor, asked: Asked, *, titled: bool, taken: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Saturated frequencies of the asked stems in documents.

        Args:
            documents: int64[n].
            asked: The stems.
            titled: Whether titles count.
            taken: (rows of ``documents``, float32[len(rows), u] counts) of a sentence that is taken out of them.

        Shapes: result float32[n, u].
        """
        blocks = range(0, len(documents), BLOCK)
        parts = [self._counted(documents[start : start + BLOCK], asked, titled) for start in blocks]
        counts = torch.cat([part[0] for part in parts])
        lengths = torch.cat([part[1] for part in parts])
        if taken is not None:
            rows, gone = taken
            counts[rows] = (counts[rows] - gone).clamp(min=0)
            lengths[rows] = (lengths[rows] - gone.sum(dim=1)).clamp(min=1)
        return counts / (counts + saturation(lengths).unsqueeze(1))

    def _counted(self, documents: Tensor, asked: Asked, titled: bool) -> tuple[Tensor, Tensor]:
        counts = torch.zeros(len(documents), len(asked.stems) + 1, device=self.device)
        lengths = torch.zeros(len(documents), device=self.device)
        for table in (self._texts, self._titles) if titled else (self._texts,):
            ids, there = _padded(table, documents)
            place = torch.searchsorted(asked.stems, ids).clamp(max=max(0, len(asked.stems) - 1))
            hit = there & (asked.stems[place] == ids)
            counts.scatter_add_(1, torch.where(hit, place, torch.full_like(place, len(asked.stems))), hit.float())
            lengths += there.sum(dim=1)
        return counts[:, :-1], lengths


def saturation(lengths: Tensor) -> Tensor:
    """What frequencies saturate against, by the length of the text in terms."""
    return K1 * (1 - B + B * (lengths / AVERAGE).clamp(max=LONGEST))


def document_weights(weights: Parameters, own: Tensor, expanded: Tensor, stems: Tensor) -> Tensor:
    """Weights of documents at the asked stems.

    Shapes: ``own`` float32[n, u], ``expanded`` float32[n, c], ``stems`` int64[u]; result float32[n, u].
    """
    columns = expanded.shape[1]
    gains = weights[OWN].clamp(min=0)[stems.clamp(max=columns)]
    inside = stems < columns
    return own * gains + expanded[:, stems.clamp(max=columns - 1)] * inside


def _padded(table: DeviceTable, at: Tensor) -> tuple[Tensor, Tensor]:
    lengths = table.lengths[at]
    width = max(1, int(lengths.max())) if len(at) else 1
    place = torch.arange(width, device=lengths.device).unsqueeze(0).expand(len(at), -1)
    return table.take(at, place), place < lengths.unsqueeze(1)

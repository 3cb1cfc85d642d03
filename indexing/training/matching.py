"""How a sparse query meets documents while the student learns: which side carries idf, and who expands the query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from twindex.indexing.training.own_terms import Asked, document_weights
from twindex.indexing.training.torch_door import Parameters, Tensor, torch

Side = Literal["queries", "documents"]


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """The sparse score, as a product of queries' and documents' weights at the asked stems.

    ``idf`` float32[terms]. ``side``: idf multiplies all of a document's weights if queries carry it (as the models of
    arXiv 2411.04403 were released), and a document's own words alone if documents do (the form that its first version
    pairs with a penalty divided by idf). ``expansion`` is what the model's expansions of a *query* count: 0 = queries
    need no model, above = the siamese form; the asked stems must then begin with all columns.
    """

    idf: Tensor
    side: Side = "queries"
    expansion: float = 0.0

    def queries(self, asked: Asked, expanded: Tensor | None = None) -> Tensor:
        """Weights of queries at the asked stems, from their own words and their expansions float32[q, c].

        Shapes: result float32[q, u].
        """
        there = asked.counts > 0
        weights = asked.weights if self.side == "queries" else there.float()
        if expanded is None or self.expansion == 0:
            return weights
        more = self.expansion * self.importance(expanded)
        return torch.cat([weights[:, : more.shape[1]] + more, weights[:, more.shape[1] :]], dim=1)

    def documents(self, weights: Parameters, asked: Asked, own: Tensor, expanded: Tensor) -> Tensor:
        """Weights of documents at the asked stems.

        Shapes: ``own`` float32[n, u], saturated frequencies; ``expanded`` float32[n, c]; result float32[n, u].
        """
        own = own if self.side == "queries" else own * self.idf[asked.stems]
        return document_weights(weights, own, expanded, asked.stems)

    def importance(self, expanded: Tensor) -> Tensor:
        """What expansions are worth to a query that asks for them: float32[n, c] of float32[n, c]."""
        return expanded * self.idf[: expanded.shape[1]] if self.side == "queries" else expanded

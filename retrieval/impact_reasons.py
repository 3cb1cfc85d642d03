"""What a learned-sparse leg says of a hit: which terms matched, by which weights, and which of them are expansions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, runtime_checkable

from twindex.indexing.encoding import SparseEncoder
from twindex.retrieval.types import Explanation

#: What the weight of a query's term is.
WORD: Final = "idf, times the root of its count"
ADDED: Final = "not asked for: idf, times what the model adds"


@runtime_checkable
class NamesTerms(Protocol):
    """A sparse encoder whose dimensions have names."""

    def words(self, text: str) -> Mapping[int, str]:
        """The dimensions that a text has as a query, with what each stands for."""


def names_of(encoder: SparseEncoder, text: str) -> Mapping[int, str]:
    """What a query's dimensions stand for; empty for an encoder that cannot say."""
    return encoder.words(text) if isinstance(encoder, NamesTerms) else {}


@runtime_checkable
class Around(Protocol):
    """A sparse encoder around another one, which alters queries."""

    @property
    def inner(self) -> SparseEncoder:
        """The other one."""


def plain(encoder: SparseEncoder) -> SparseEncoder:
    """The encoder inside all that alters its queries."""
    while isinstance(encoder, Around):
        encoder = encoder.inner
    return encoder


def own_terms(encoder: SparseEncoder, text: str) -> frozenset[int]:
    """The dimensions that a text's own words have; its other ones are expansions."""
    return frozenset(plain(encoder).encode_query(text)[0].tolist())


def term_branch(
    term: int, weight: float, impact: int, *, scale: float, name: str | None, own: bool, asked: bool
) -> Explanation:
    """The branch of one matching term.

    Args:
        term: Its dimension.
        weight: Its weight in the query, times the scale of impacts: a float32 value.
        impact: Its impact in the document.
        scale: Weight of one unit of impact.
        name: What it stands for.
        own: Whether it is a word of the document; else the encoder added it.
        asked: Whether it is a word of the query; else the encoder added it there.
    """
    label = f"dimension {term}" if name is None else name
    said = label if own else f"{label}, not in the text: an expansion"
    idf, held = weight / scale, scale * impact
    parts = (
        Explanation(idf, f"weight in the query ({WORD if asked else ADDED})"),
        Explanation(held, f"weight in the document (impact {impact} of 255)"),
    )
    data = {"term": term, "token": name, "idf": idf, "weight": held, "impact": impact, "in_text": own}
    data["in_query"] = asked
    return Explanation(weight * impact, said, parts, "product", data)


def heaviest_first(branches: Sequence[Explanation]) -> tuple[Explanation, ...]:
    """Branches by what they contribute, then by their dimension."""
    return tuple(sorted(branches, key=lambda branch: (-branch.value, branch.data["term"])))

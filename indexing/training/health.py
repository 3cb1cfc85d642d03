"""Whether a run is still learning: non-zeros, FLOPS, gradients; a collapse is named, not averaged away."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from twindex.indexing.errors import TwindexError
from twindex.indexing.training.torch_door import Tensor

#: Non-zeros a document below which the sparse side counts as dead, and the share of the vocabulary above which
#: it counts as dense.
DEAD: Final = 0.5
DENSE_SHARE: Final = 0.25


class CollapseError(TwindexError):
    """Training has stopped to mean anything; the message says how."""


def sparse_figures(expanded: Tensor, vectors: Tensor, queries: Tensor) -> dict[str, float]:
    """Expansions a document, FLOPS of a batch, and expected postings a query per thousand documents.

    FLOPS is that of SPLADE's reports: the expected number of tokens that a query and a document share, from the
    activation shares of both (arXiv 2004.05665, equation 5).

    Shapes: ``expanded`` float32[n, c]; ``vectors`` float32[n, u] and ``queries`` float32[q, u], at the stems that
    the queries ask for.
    """
    documents, asked = (vectors > 0).float().mean(dim=0), (queries > 0).float().mean(dim=0)
    return {
        "nonzeros": float((expanded > 0).float().sum(dim=1).mean()),
        "flops": float((documents * asked).sum()),
        "postings_per_1000": 1000.0 * float((documents * asked).sum()),
        "largest": float(expanded.max()) if expanded.numel() else 0.0,
    }


def check(figures: Mapping[str, float], *, vocabulary: int, step: int) -> None:
    """Stop a run that has collapsed.

    Raises:
        CollapseError: If a figure is not finite, documents are all but empty, or all but dense.
    """
    broken = sorted(name for name, value in figures.items() if not math.isfinite(value))
    if broken:
        raise CollapseError(
            f"{', '.join(broken)} not finite at step {step}",
            expected="finite numbers",
            remedy="resume from the last checkpoint with a smaller learning rate",
        )
    nonzeros = figures.get("nonzeros")
    if nonzeros is not None and nonzeros < DEAD:
        raise CollapseError(
            f"{nonzeros:.2f} non-zeros a document at step {step}: the sparse side died",
            expected=f"more than {DEAD:g}",
            remedy="lower the penalty, or lengthen its ramp",
        )
    if nonzeros is not None and nonzeros > DENSE_SHARE * vocabulary:
        raise CollapseError(
            f"{nonzeros:.0f} non-zeros a document at step {step}: the sparse side became dense",
            expected=f"at most {DENSE_SHARE:.0%} of {vocabulary}",
            remedy="raise the penalty, or lower the learning rate of the head",
        )

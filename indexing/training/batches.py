"""Batches put together where the model runs: token ids stay on the device as flat arrays, a batch is index arithmetic.

A document is [CLS] title text [SEP], or [CLS] text [SEP] where its title is the query; a sentence that is the query
may be left out of its own text, so that it cannot be found by copying.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from twindex.indexing.encoders.tokenizer import SPECIALS
from twindex.indexing.training.tokens import TokenTable
from twindex.indexing.training.torch_door import Tensor, torch

CLS, SEP = SPECIALS["[CLS]"], SPECIALS["[SEP]"]
#: Padded lengths are multiples of this, so that few shapes occur.
ROUND = 16


@dataclass(frozen=True, slots=True, eq=False)
class Padded:
    """Sequences of equal length. ``rows`` says which of the wanted sequences they are.

    Shapes: ``ids`` int64[b, l], ``mask`` bool[b, l] of tokens, ``inner`` bool[b, l] of those but [CLS] and [SEP],
    ``rows`` int64[b].
    """

    ids: Tensor
    mask: Tensor
    inner: Tensor
    rows: Tensor


class DeviceTable:
    """A token table on a device.

    Args:
        table: The sequences.
        device: Where to keep them.
    """

    def __init__(self, table: TokenTable, device: str) -> None:
        # One more id, so that an empty table can be gathered from as well.
        ids = torch.cat([torch.from_numpy(table.ids.astype("int32")), torch.zeros(1, dtype=torch.int32)])
        self.ids = ids.to(device)
        starts = torch.from_numpy(table.starts).to(device)
        self.starts, self.lengths = starts[:-1], starts[1:] - starts[:-1]

    def take(self, at: Tensor, offset: Tensor) -> Tensor:
        """The ids at ``offset`` of the sequences ``at``; anything where there is none.

        Shapes: ``at`` int64[b], ``offset`` int64[b, l]; result int64[b, l].
        """
        where = self.starts[at].unsqueeze(1) + offset
        return self.ids[where.clamp(0, len(self.ids) - 1)].long()


def assemble(
    texts: DeviceTable,
    at: Tensor,
    *,
    limit: int,
    titles: DeviceTable | None = None,
    spans: Tensor | None = None,
    pieces: int = 1,
) -> Iterator[Padded]:
    """Padded batches of the sequences ``at``, shortest first, in at most ``pieces`` batches of equal size.

    Args:
        texts: Where the texts are.
        at: Which of them, repeats allowed.
        limit: Tokens of a sequence, special ones included; what is longer is cut.
        titles: Titles to put before the texts; None = none.
        spans: int64[n, 2], tokens of each text to leave out; empty spans leave out nothing.
        pieces: Batches; sequences of like length share one.
    """
    count = len(at)
    head = titles.lengths[at] if titles is not None else torch.zeros_like(at)
    gap = torch.zeros(count, 2, dtype=torch.int64, device=at.device) if spans is None else spans
    gap = gap.clamp(min=0)
    body = texts.lengths[at] - (gap[:, 1] - gap[:, 0])
    inner = (head + body).clamp(max=limit - 2)
    order = torch.sort(inner, stable=True).indices
    size = -(-count // max(1, min(pieces, count)))
    longest = [int(n) for n in inner[order][size - 1 :: size].tolist()] + [int(inner.max()) if count else 0]
    for number, start in enumerate(range(0, count, size)):
        rows = order[start : start + size]
        width = min(limit, -(-(longest[number] + 2) // ROUND) * ROUND)
        yield _padded(texts, titles, at[rows], head[rows], gap[rows], inner[rows], rows, width)


def _padded(
    texts: DeviceTable,
    titles: DeviceTable | None,
    at: Tensor,
    head: Tensor,
    gap: Tensor,
    inner: Tensor,
    rows: Tensor,
    width: int,
) -> Padded:
    place = torch.arange(width, device=at.device).unsqueeze(0) - 1  # -1 is [CLS]
    head, inner = head.unsqueeze(1), inner.unsqueeze(1)
    offset = place - head
    offset = torch.where(offset >= gap[:, :1], offset + (gap[:, 1:] - gap[:, :1]), offset)
    ids = texts.take(at, offset.clamp(min=0))
    if titles is not None:
        ids = torch.where(place < head, titles.take(at, place.clamp(min=0).expand(len(at), -1)), ids)
    inside = (place >= 0) & (place < inner)
    ids = torch.where(inside, ids, torch.zeros_like(ids))
    ids = torch.where(place == -1, torch.full_like(ids, CLS), ids)
    ids = torch.where(place == inner, torch.full_like(ids, SEP), ids)
    return Padded(ids, place <= inner, inside, rows)

"""The next token of many samples at a time: allowed by the form, drawn by noise that belongs to the sample.

Noise is a hash of the sample's seed, the step and the token, so a sample does not depend on who else is in the
batch, and no state of a random generator has to be kept. All shapes are fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from twindex.indexing.optional import load
from twindex.rag.forms import Lines

Tensor = Any

#: What a token does to a text of lines.
PLAIN, OPENS, ENDS_LINE, STOPS, BANNED = range(5)
#: The states of a sample, which decide on what may follow.
AT_START, WITHIN, MAY_STOP, MUST_END, MUST_STOP, FREE = range(6)
#: Only the likeliest tokens are drawn from.
TOP: Final = 64


@dataclass(slots=True)
class Samples:
    """Samples in work, one a row. Shapes: all int64[rows] but ``out`` int64[rows, steps], ``done`` bool[rows].

    ``tail`` int64[rows, any] is what a row still has to read before it writes, ``read`` and ``unread`` how much of it
    it has read and how much there is.
    """

    seed: Tensor
    line: Tensor
    width: Tensor
    count: Tensor
    done: Tensor
    out: Tensor
    tail: Tensor
    read: Tensor
    unread: Tensor


def new_samples(torch: Any, rows: int, steps: int, device: Any, tail: int = 0) -> Samples:
    """Rows that are all done, with room for tails of so many tokens."""

    def numbers(*more: int) -> Tensor:
        return torch.zeros(rows, *more, device=device, dtype=torch.int64)

    done = torch.ones(rows, device=device, dtype=torch.bool)
    return Samples(
        numbers(), numbers(), numbers(), numbers(), done, numbers(steps), numbers(tail + 1), numbers(), numbers()
    )


class Sampler:
    """Draws tokens so that each sample has the form.

    Args:
        kinds: What each token does: int8[vocabulary] of ``PLAIN`` ... ``BANNED``.
        form: Lines, or None for free text until a stop token.
        temperature: 0 takes the likeliest.
        top_p: Share of probability that is drawn from.
        most: Tokens of a sample, at most.
        device: Where the samples are.
    """

    def __init__(
        self, kinds: Sequence[int], form: Lines | None, *, temperature: float, top_p: float, most: int, device: Any
    ) -> None:
        self.torch: Any = load("torch", purpose="running a model in torch")
        torch = self.torch
        self.form, self.temperature, self.top_p, self.most = form, temperature, top_p, most
        self.kinds = torch.tensor(list(kinds), dtype=torch.int64, device=device)
        allowed = torch.zeros(6, 5, dtype=torch.bool)
        allowed[AT_START, OPENS] = True
        allowed[WITHIN, [PLAIN, OPENS, ENDS_LINE]] = True
        allowed[MAY_STOP, [PLAIN, OPENS, ENDS_LINE, STOPS]] = True
        allowed[MUST_END, ENDS_LINE] = True
        allowed[MUST_STOP, [ENDS_LINE, STOPS]] = True
        allowed[FREE, [PLAIN, OPENS, ENDS_LINE, STOPS]] = True
        self.bias = torch.where(allowed.to(device)[:, self.kinds], 0.0, float("-inf"))

    def draw(self, logits: Tensor, samples: Samples) -> Tensor:
        """What each row reads next, int64[rows]: the rest of its tail, then what it draws; samples are kept up."""
        torch = self.torch
        logits = logits + self.bias.to(logits.dtype)[self._state(samples)]
        values, tokens = logits.topk(min(TOP, logits.shape[1]), 1)
        token = tokens[:, 0]
        if self.temperature > 0:
            chances = (values.float() / self.temperature).softmax(1)
            # A token is in if those before it do not reach top_p; the first always is.
            kept = chances.cumsum(1) - chances < self.top_p
            noise = _gumbel(torch, samples.seed[:, None], samples.count[:, None], tokens)
            scores = torch.where(kept & (chances > 0), chances.log() + noise, float("-inf"))
            token = tokens.gather(1, scores.argmax(1, keepdim=True))[:, 0]
        reading = samples.read < samples.unread
        told = samples.tail.gather(1, samples.read.clamp(max=samples.tail.shape[1] - 1)[:, None])[:, 0]
        samples.read += reading
        self._follow(samples, token, ~samples.done & ~reading)
        return torch.where(reading, told, token)

    def _state(self, samples: Samples) -> Tensor:
        torch, form = self.torch, self.form
        if form is None:
            return torch.full_like(samples.line, FREE)
        last, may = samples.line >= form.most - 1, samples.line >= form.least - 1
        within = torch.where(may, MAY_STOP, WITHIN)
        forced = torch.where(last, MUST_STOP, MUST_END)
        state = torch.where(samples.width >= form.tokens, forced, within)
        state = torch.where(samples.width == 0, AT_START, state)
        return torch.where(samples.done, FREE, state)

    def _follow(self, samples: Samples, token: Tensor, alive: Tensor) -> None:
        torch, form = self.torch, self.form
        rows = torch.arange(len(token), device=token.device)
        kind = self.kinds[token]
        at = samples.count.clamp(max=samples.out.shape[1] - 1)
        samples.out[rows, at] = torch.where(alive, token, samples.out[rows, at])
        samples.count += alive
        ends = alive & (kind == ENDS_LINE)
        samples.width.copy_(torch.where(ends, 0, samples.width + alive))
        samples.line += ends
        finished = (kind == STOPS) | (samples.count >= self.most)
        if form is not None:
            finished |= samples.line >= form.most
        samples.done |= alive & finished


def _gumbel(torch: Any, seed: Tensor, step: Tensor, token: Tensor) -> Tensor:
    """Gumbel noise, float32, of the shape to which the arguments broadcast."""
    bits = _mixed(_mixed(_mixed(seed) + step) + token)
    uniform = ((bits >> 40) & 0xFFFFFF).float().add(0.5).div(1 << 24)
    return -torch.log(-torch.log(uniform))


def _mixed(value: Tensor) -> Tensor:
    """Whole numbers of 64 bits, well mixed. Source: splitmix64, S. Vigna, public domain; wraps as int64."""
    value = value + -7046029254386353131
    value = (value ^ _shifted(value, 30)) * -4658895280553007687
    value = (value ^ _shifted(value, 27)) * -7723592293110705685
    return value ^ _shifted(value, 31)


def _shifted(value: Tensor, bits: int) -> Tensor:
    """Shifted right as if unsigned."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)

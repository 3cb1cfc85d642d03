"""A decoder of the Llama family in plain torch, laid out for many samples of one prompt.

Slots hold prompts: the keys and values of a prompt are computed once and kept once, however many samples are
drawn from it, and the samples of a slot read them together, as one matrix product. Every sample has keys and
values of its own only for what it wrote. All shapes of a step are fixed, so that a GPU can replay it as a graph.

Source: RMSNorm, rotary positions, grouped-query attention and SwiGLU as in Qwen2 (arXiv 2407.10671) and
Llama 2 (arXiv 2307.09288); attention over a shared prefix as in Hydragen (arXiv 2402.05099). The code is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twindex.indexing.optional import load

#: Any tensor: torch is optional and its types are not known here.
Tensor = Any


@dataclass(frozen=True, slots=True)
class DecoderShape:
    """Sizes of a model. ``rope_pairs``: rotary positions turn neighbours instead of halves."""

    layers: int
    hidden: int
    inner: int
    heads: int
    kv_heads: int
    vocabulary: int
    rope_base: float
    epsilon: float
    context: int
    rope_pairs: bool = False

    @property
    def head(self) -> int:
        """Dimensions of one head."""
        return self.hidden // self.heads

    @property
    def group(self) -> int:
        """Query heads that share one head of keys."""
        return self.heads // self.kv_heads


@dataclass(slots=True)
class Slots:
    """Prompts in work: ``count`` slots of ``samples`` rows each; row r belongs to slot r // samples.

    Shapes: prefix_k, prefix_v [layers][count, kv_heads, prefix, head]; suffix_k, suffix_v
    [layers][count * samples, kv_heads, suffix, head]; length int64[count], the tokens in the prefix; step
    int64[count], the tokens in the suffix; token int64[rows], what each row reads next.
    """

    count: int
    samples: int
    prefix: int
    suffix: int
    prefix_k: list[Tensor]
    prefix_v: list[Tensor]
    suffix_k: list[Tensor]
    suffix_v: list[Tensor]
    length: Tensor
    step: Tensor
    token: Tensor


class Decoder:
    """A model on a device.

    Args:
        shape: Its sizes.
        weights: ``embed`` [vocabulary, hidden], ``norm`` [hidden], ``head`` [vocabulary, hidden], and for each
            layer i ``i.norm1``, ``i.qkv`` [(heads + 2 kv_heads) * head, hidden], ``i.qkv_bias`` (may be absent),
            ``i.out``, ``i.norm2``, ``i.gate_up`` [2 * inner, hidden], ``i.down``; all of one dtype on one device.
    """

    def __init__(self, shape: DecoderShape, weights: Mapping[str, Tensor]) -> None:
        self.torch: Any = load("torch", purpose="running a model in torch")
        load("torch.nn.attention", purpose="running a model in torch")
        self.shape = shape
        self.weights = dict(weights)
        embed = self.weights["embed"]
        self.device, self.dtype = embed.device, embed.dtype
        torch = self.torch
        span = torch.arange(0, shape.head, 2, device=self.device, dtype=torch.float32)
        angles = torch.outer(
            torch.arange(shape.context, device=self.device, dtype=torch.float32),
            shape.rope_base ** (-span / shape.head),
        )
        self._cos, self._sin = angles.cos(), angles.sin()

    def slots(self, count: int, *, samples: int, prefix: int, suffix: int) -> Slots:
        """Empty slots."""
        torch, shape = self.torch, self.shape

        def caches(rows: int, width: int) -> list[Tensor]:
            size = (rows, shape.kv_heads, width, shape.head)
            return [torch.zeros(size, device=self.device, dtype=self.dtype) for _ in range(shape.layers)]

        def numbers(size: int) -> Tensor:
            return torch.zeros(size, device=self.device, dtype=torch.int64)

        rows = count * samples
        return Slots(
            count, samples, prefix, suffix,
            caches(count, prefix), caches(count, prefix), caches(rows, suffix), caches(rows, suffix),
            numbers(count), numbers(count), numbers(rows),
        )  # fmt: skip

    def prefill(self, tokens: Tensor, past: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of token rows that continue a common past.

        Args:
            tokens: int64[n, m], filled up on the right with anything.
            past: Keys and values of the common beginning, [1, kv_heads, p, head] a layer; may be empty.

        Returns:
            Keys and values of the tokens, [n, kv_heads, m, head] a layer.
        """
        torch = self.torch
        start = past[0][0].shape[2] if past else 0
        count, width = tokens.shape
        turn = self._turn(torch.arange(start, start + width, device=self.device))
        # What fills up a row on the right is never seen by what stands left of it, so one mask does for all rows.
        mask = torch.ones(width, start + width, device=self.device, dtype=torch.bool).tril(start)
        hidden = self.weights["embed"][tokens]
        made: list[tuple[Tensor, Tensor]] = []
        for layer in range(self.shape.layers):
            query, key, value = self._qkv(layer, hidden, turn)
            key, value = key.transpose(1, 2), value.transpose(1, 2)
            made.append((key, value))
            if start:
                key = torch.cat([past[layer][0].expand(count, -1, -1, -1), key], 2)
                value = torch.cat([past[layer][1].expand(count, -1, -1, -1), value], 2)
            with self._kernels():
                seen = torch.nn.functional.scaled_dot_product_attention(
                    query.transpose(1, 2),
                    key.repeat_interleave(self.shape.group, 1),
                    value.repeat_interleave(self.shape.group, 1),
                    attn_mask=mask,
                )
            hidden = self._after(layer, hidden, seen.transpose(1, 2).reshape(count, width, -1))
        return made

    def step(self, slots: Slots) -> Tensor:
        """Logits [rows, vocabulary] of what follows ``slots.token``, whose keys and values are kept."""
        torch, shape = self.torch, self.shape
        samples, rows = slots.samples, slots.count * slots.samples
        at = slots.step.repeat_interleave(samples)
        turn = self._turn((slots.length + slots.step).repeat_interleave(samples))
        every = torch.arange(rows, device=self.device)
        unseen = self._unseen(slots)
        hidden = self.weights["embed"][slots.token]
        for layer in range(shape.layers):
            query, key, value = self._qkv(layer, hidden, turn)
            slots.suffix_k[layer][every, :, at] = key
            slots.suffix_v[layer][every, :, at] = value
            hidden = self._after(layer, hidden, self._seen(layer, slots, query, unseen))
        slots.step += 1
        return self._normed(hidden, self.weights["norm"]) @ self.weights["head"].T

    def _kernels(self) -> Any:
        """Attention by kernels without plans: cuDNN makes one for each new shape, which takes longer than the work."""
        kinds = self.torch.nn.attention.SDPBackend
        return self.torch.nn.attention.sdpa_kernel([kinds.FLASH_ATTENTION, kinds.EFFICIENT_ATTENTION, kinds.MATH])

    def _unseen(self, slots: Slots) -> Tensor:
        """Which places of prefix and suffix no row of a slot has written: bool[count, 1, 1, prefix + suffix]."""
        torch = self.torch
        prefix = torch.arange(slots.prefix, device=self.device) >= slots.length[:, None]
        suffix = torch.arange(slots.suffix, device=self.device) > slots.step[:, None]
        return torch.cat([prefix, suffix], 1)[:, None, None]

    def _seen(self, layer: int, slots: Slots, query: Tensor, unseen: Tensor) -> Tensor:
        """What rows with queries [rows, heads, head] see: [rows, heads * head].

        The samples of a slot stand side by side, so that each slot is one product with the prefix that they share. All
        that is as large as rows times prefix is touched as seldom as can be: it decides on the time of a step.
        """
        torch, shape = self.torch, self.shape
        count, samples, group = slots.count, slots.samples, shape.group
        query = (query * shape.head**-0.5).view(count, samples, shape.kv_heads, group, shape.head).transpose(1, 2)
        old = query.reshape(count, shape.kv_heads, samples * group, shape.head) @ slots.prefix_k[layer].transpose(2, 3)

        def by_row(wide: Tensor) -> Tensor:
            """[count, kv_heads, samples * group, any] as [rows, kv_heads, group, any]."""
            apart = wide.view(count, shape.kv_heads, samples, group, -1).transpose(1, 2)
            return apart.reshape(count * samples, shape.kv_heads, group, -1)

        def by_slot(wide: Tensor) -> Tensor:
            apart = wide.view(count, samples, shape.kv_heads, group, -1).transpose(1, 2)
            return apart.reshape(count, shape.kv_heads, samples * group, -1)

        own = query.transpose(1, 2).reshape(count * samples, shape.kv_heads, group, shape.head)
        new = by_slot(own @ slots.suffix_k[layer].transpose(2, 3))
        share = torch.cat([old, new], 3).masked_fill_(unseen, float("-inf")).softmax(3)
        seen = by_row(share[..., : slots.prefix] @ slots.prefix_v[layer])
        seen = seen + by_row(share[..., slots.prefix :].contiguous()) @ slots.suffix_v[layer]
        return seen.reshape(count * samples, -1)

    def _qkv(self, layer: int, hidden: Tensor, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [..., heads, head], keys and values [..., kv_heads, head]; queries and keys turned."""
        shape = self.shape
        normed = self._normed(hidden, self.weights[f"{layer}.norm1"])
        made = self.torch.nn.functional.linear(
            normed, self.weights[f"{layer}.qkv"], self.weights.get(f"{layer}.qkv_bias")
        )
        made = made.view(*hidden.shape[:-1], -1, shape.head)
        turned, value = made.split([shape.heads + shape.kv_heads, shape.kv_heads], -2)
        query, key = self._turned(turned, turn).split([shape.heads, shape.kv_heads], -2)
        return query, key, value

    def _after(self, layer: int, hidden: Tensor, seen: Tensor) -> Tensor:
        """The rest of a layer: projection, residual, feed-forward."""
        functional, weights = self.torch.nn.functional, self.weights
        hidden = hidden + seen @ weights[f"{layer}.out"].T
        gate, up = (self._normed(hidden, weights[f"{layer}.norm2"]) @ weights[f"{layer}.gate_up"].T).chunk(2, -1)
        return hidden + (functional.silu(gate) * up) @ weights[f"{layer}.down"].T

    def _normed(self, hidden: Tensor, weight: Tensor) -> Tensor:
        return self.torch.nn.functional.rms_norm(hidden, (self.shape.hidden,), weight, self.shape.epsilon)

    def _turn(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines of positions [n]: float32[n, 1, head / 2] each."""
        return self._cos[positions][:, None], self._sin[positions][:, None]

    def _turned(self, heads: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """Heads [..., n, any, head] turned by their positions."""
        torch, (cos, sin) = self.torch, turn
        full = heads.float()
        if self.shape.rope_pairs:
            left, right = full[..., 0::2], full[..., 1::2]
            turned = torch.stack([left * cos - right * sin, right * cos + left * sin], -1).flatten(-2)
        else:
            left, right = full.chunk(2, -1)
            turned = torch.cat([left * cos - right * sin, right * cos + left * sin], -1)
        return turned.to(heads.dtype)

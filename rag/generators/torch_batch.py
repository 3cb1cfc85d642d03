"""Batches of drafts from a model in torch, made for a GPU: many prompts in slots, several samples of each.

What the samples of an ask have in common at the beginning of their prompts is computed once, whatever number of
samples is drawn, and what all prompts begin with (instructions, worked examples) is computed once for all. The rest
of a prompt, its tail, is read by the sample alone, a token a step. A slot whose samples are done takes the next ask.
On a GPU the step is recorded once and replayed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from twindex.indexing.errors import ConfigError, DeviceError
from twindex.indexing.optional import load
from twindex.rag.batch import Ask, Outcome, Sampling
from twindex.rag.generators.torch_chat import ChatMl
from twindex.rag.generators.torch_decoder import Decoder, Tensor
from twindex.rag.generators.torch_gguf import GgufModel
from twindex.rag.generators.torch_sampling import Sampler, new_samples
from twindex.rag.prompt import Prompt
from twindex.rag.types import Draft, Usage

#: Steps between looks at which samples are done; each look waits for the device.
LOOK: Final = 4
#: Prompts are read in blocks of so many, whose longest decides on the width of the slots.
BLOCK: Final = 4096
#: Widths of slots are multiples of this, so that few shapes occur.
WIDTH: Final = 64


@dataclass(frozen=True, slots=True)
class TorchConfig:
    """Which model, where, and how much at a time.

    ``rows``: samples in work at a time; ``prefill_tokens``: tokens of prompts computed at a time.
    """

    path: Path
    device: str = "auto"
    rows: int = 512
    prefill_tokens: int = 8192
    graphs: bool = True

    def __post_init__(self) -> None:
        if self.rows < 1 or self.prefill_tokens < 1:
            raise ConfigError(f"rows = {self.rows}, prefill_tokens = {self.prefill_tokens}", expected="1 or more")


class TorchBatchGenerator:
    """A :class:`twindex.rag.batch.BatchGenerator` on torch. Used by one thread at a time.

    Args:
        config: Model file, device, sizes.

    Raises:
        ModelNotFoundError: If there is no such file.
        DeviceError: If the device is not there.
        MissingExtraError: If torch or gguf is not installed.
    """

    def __init__(self, config: TorchConfig, *, model: tuple[Decoder, ChatMl] | None = None) -> None:
        self.config = config
        self._torch: Any = load("torch", purpose="running a model in torch")
        if model is None:
            model = self._loaded()
        self._decoder, self._chat = model
        self._kinds = self._chat.kinds(self._decoder.shape.vocabulary)

    @property
    def name(self) -> str:
        """As in "torch:qwen2.5.gguf"."""
        return f"torch:{self.config.path.name}"

    def batch(self, asks: Iterable[Ask], sampling: Sampling) -> Iterator[tuple[int, tuple[Outcome, ...]]]:
        """As :class:`BatchGenerator` says. Asks should want about the same number of samples.

        Raises:
            ConfigError: If a prompt is longer than the model's context.
        """
        numbered = iter(enumerate(asks))
        while block := list(islice(numbered, BLOCK)):
            yield from _Run(self._decoder, self._chat, self._kinds, self.config, sampling).outcomes(block)

    def _loaded(self) -> tuple[Decoder, ChatMl]:
        torch, device = self._torch, self.config.device
        cuda = torch.cuda.is_available()
        if device == "auto":
            device = "cuda" if cuda else "cpu"
        if device.startswith("cuda") and not cuda:
            raise DeviceError(f"device {device!r}", expected="a CUDA device", remedy="use --device cpu")
        dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
        file = GgufModel(self.config.path)
        decoder = Decoder(file.shape(), file.weights(device=device, dtype=dtype))
        return decoder, ChatMl(file.tokenizer(), file.chat_template())


class _Run:
    """One block of prompts on its way through the slots."""

    def __init__(
        self, decoder: Decoder, chat: ChatMl, kinds: list[int], config: TorchConfig, sampling: Sampling
    ) -> None:
        self.torch, self.decoder, self.chat, self.config = decoder.torch, decoder, chat, config
        self.sampling = sampling
        self.sampler = Sampler(
            kinds, sampling.form, temperature=sampling.temperature, top_p=sampling.top_p,
            most=sampling.max_tokens, device=decoder.device,
        )  # fmt: skip
        self.past: list[tuple[Tensor, Tensor]] = []

    def outcomes(self, block: list[tuple[int, Ask]]) -> Iterator[tuple[int, tuple[Outcome, ...]]]:
        """The place of each ask and what became of its samples."""
        self.samples = max(1, *(len(ask.seeds) for _, ask in block))
        parts = [_Parts.of([self.chat.encode(prompt.messages) for prompt in _once(ask)]) for _, ask in block]
        longest = max(len(part.head) for part in parts)
        tail = max(len(tail) for part in parts for tail in part.tails)
        steps = self.sampling.max_tokens + tail
        if longest + steps > self.decoder.shape.context:
            raise ConfigError(
                f"a prompt of {longest + tail:,} tokens and {self.sampling.max_tokens:,} to write",
                expected=f"at most {self.decoder.shape.context:,} together",
            )
        with self.torch.inference_mode():
            yield from self._through(block, parts, -(-max(1, longest) // WIDTH) * WIDTH, -(-steps // 16) * 16)

    def _through(
        self, block: list[tuple[int, Ask]], parts: list[_Parts], prefix: int, suffix: int
    ) -> Iterator[tuple[int, tuple[Outcome, ...]]]:
        count = min(max(1, self.config.rows // self.samples), len(block))
        self.slots = self.decoder.slots(count, samples=self.samples, prefix=prefix, suffix=suffix)
        tail = max(len(tail) for part in parts for tail in part.tails)
        self.rows = new_samples(
            self.torch, count * self.samples, self.sampling.max_tokens, self.decoder.device, tail=tail
        )
        self._share([part.head for part in parts])
        advance = self._advance()
        # Long prompts first: those that are computed together are of about one length, and the end is short.
        waiting = sorted(range(len(block)), key=lambda place: (len(parts[place].head), place))
        held: dict[int, int] = {}
        while waiting or held:
            free = [slot for slot in range(count) if slot not in held]
            if waiting and (len(free) >= max(1, count // 16) or not held):
                chosen = [(slot, waiting.pop()) for slot in free if waiting]
                self._fill([(slot, parts[place], block[place][1]) for slot, place in chosen])
                held |= dict(chosen)
            for _ in range(LOOK):
                advance()
            done = self.rows.done.view(count, self.samples).all(1).tolist()
            finished = [slot for slot in held if done[slot]]
            if finished:
                drafts = self._drafts([(slot, parts[held[slot]], block[held[slot]][1]) for slot in finished])
                for slot, outcomes in zip(finished, drafts, strict=True):
                    yield block[held.pop(slot)][0], outcomes

    def _share(self, heads: list[list[int]]) -> None:
        """Computes what all prompts begin with."""
        low, high = min(heads), max(heads)
        self.common = _common(low, high, max(0, min(len(low), len(high)) - 1))
        if self.common:
            head = self.torch.tensor([low[: self.common]], device=self.decoder.device)
            self.past = self.decoder.prefill(head, [])
            for layer, (key, value) in enumerate(self.past):
                self.slots.prefix_k[layer][:, :, : self.common] = key
                self.slots.prefix_v[layer][:, :, : self.common] = value

    def _fill(self, asks: list[tuple[int, _Parts, Ask]]) -> None:
        """Computes the heads of prompts into free slots."""
        torch, device = self.torch, self.decoder.device
        longest = max(len(parts.head) for _, parts, _ in asks) - self.common
        together = max(1, self.config.prefill_tokens // max(1, longest))
        for start in range(0, len(asks), together):
            part = asks[start : start + together]
            own = [parts.head[self.common :] for _, parts, _ in part]
            width = -(-max(map(len, own)) // 16) * 16
            width = min(width, self.slots.prefix - self.common)
            if not width:
                continue
            padded = torch.tensor([tokens + [0] * (width - len(tokens)) for tokens in own], device=device)
            places = torch.tensor([slot for slot, _, _ in part], device=device)
            for layer, (key, value) in enumerate(self.decoder.prefill(padded, self.past)):
                self.slots.prefix_k[layer][places, :, self.common : self.common + width] = key
                self.slots.prefix_v[layer][places, :, self.common : self.common + width] = value
        self._start(asks)

    def _start(self, asks: list[tuple[int, _Parts, Ask]]) -> None:
        """Sets lengths, steps, tails and samples of slots that were filled; rows that no sample wants are done."""
        torch, device, each = self.torch, self.decoder.device, self.samples
        places = torch.tensor([slot for slot, _, _ in asks], device=device)
        rows = (places[:, None] * each + torch.arange(each, device=device)).reshape(-1)
        seeds: list[int] = []
        tails: list[list[int]] = []
        for _, parts, ask in asks:
            idle = each - len(ask.seeds)
            seeds += [_signed(seed) for seed in ask.seeds] + [0] * idle
            tails += [*parts.tails_of(len(ask.seeds)), *[[0]] * idle]
        self.slots.length[places] = torch.tensor([len(parts.head) for _, parts, _ in asks], device=device)
        self.slots.step[places] = 0
        self.slots.token[rows] = torch.tensor([tail[0] for tail in tails], device=device)
        room = self.rows.tail.shape[1]
        self.rows.tail[rows] = torch.tensor([tail[1:] + [0] * (room + 1 - len(tail)) for tail in tails], device=device)
        self.rows.unread[rows] = torch.tensor([len(tail) - 1 for tail in tails], device=device)
        self.rows.seed[rows] = torch.tensor(seeds, device=device)
        for numbers in (self.rows.line, self.rows.width, self.rows.count, self.rows.read):
            numbers[rows] = 0
        wanted = [i < len(ask.seeds) for _, _, ask in asks for i in range(each)]
        self.rows.done[rows] = ~torch.tensor(wanted, device=device)

    def _advance(self) -> Any:
        """One step of all rows, as a function; on a GPU a recorded one."""

        def step() -> None:
            logits = self.decoder.step(self.slots)
            self.slots.token.copy_(self.sampler.draw(logits, self.rows))
            # Slots that are done or empty stay where they are.
            self.slots.step.clamp_(max=self.slots.suffix - 1)

        torch = self.torch
        if not (self.config.graphs and self.decoder.device.type == "cuda"):
            return step
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        self.slots.step.zero_()
        return graph.replay

    def _drafts(self, asks: list[tuple[int, _Parts, Ask]]) -> list[tuple[Outcome, ...]]:
        each = self.samples
        wanted = [slot * each + i for slot, _, ask in asks for i in range(len(ask.seeds))]
        rows = self.torch.tensor(wanted, device=self.decoder.device, dtype=self.torch.int64)
        tokens, counts = self.rows.out[rows].tolist(), self.rows.count[rows].tolist()
        texts = self.chat.decode_many([row[:count] for row, count in zip(tokens, counts, strict=True)])
        written = iter(zip(texts, counts, strict=True))
        return [tuple(self._draft(next(written), i, parts) for i in range(len(ask.seeds))) for _, parts, ask in asks]

    def _draft(self, written: tuple[str, int], number: int, parts: _Parts) -> Draft:
        text, count = written
        # The head was read once for all samples.
        read = (len(parts.head) if number == 0 else 0) + len(parts.tails_of(number + 1)[number])
        whole = count < self.sampling.max_tokens
        return Draft(text, usage=Usage(read, count, estimated=False), finish="stop" if whole else "length")


@dataclass(frozen=True, slots=True)
class _Parts:
    """The prompts of an ask as tokens: what they have in common, and what each goes on with, never nothing.

    One tail stands for all samples where they are asked alike.
    """

    head: list[int]
    tails: list[list[int]]

    @classmethod
    def of(cls, encoded: list[list[int]]) -> _Parts:
        low, high = min(encoded), max(encoded)
        common = _common(low, high, min(map(len, encoded)) - 1)
        return cls(low[:common], [tokens[common:] for tokens in encoded])

    def tails_of(self, samples: int) -> list[list[int]]:
        """The tail of each sample."""
        return self.tails[:samples] if len(self.tails) > 1 else self.tails * samples


def _once(ask: Ask) -> tuple[Prompt, ...]:
    """The prompts of an ask; one, if all samples are asked alike."""
    return ask.prompt if isinstance(ask.prompt, tuple) else (ask.prompt,)


def _common(low: list[int], high: list[int], most: int) -> int:
    """How many tokens two lists begin with together, at most ``most``."""
    return next((i for i in range(most) if low[i] != high[i]), most)


def _signed(seed: int) -> int:
    """A seed as int64."""
    seed &= (1 << 64) - 1
    return seed - (1 << 64) if seed >= 1 << 63 else seed

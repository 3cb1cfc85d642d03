"""Batches of drafts from a model in torch, made for a GPU: many prompts in slots, several samples of each.

A prompt is computed once, whatever number of samples is drawn from it, and what all prompts have in common at
their beginning (instructions, worked examples) is computed once for all. A slot whose samples are done takes
the next prompt. On a GPU the step is recorded once and replayed.
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
        """As :class:`BatchGenerator` says. Every ask of a call must want the same number of samples.

        Raises:
            ConfigError: If a prompt is longer than the model's context, or numbers of samples differ.
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
        torch = self.torch
        samples = {len(ask.seeds) for _, ask in block}
        if len(samples) != 1:
            raise ConfigError(f"asks for {sorted(samples)} samples in one call", expected="the same number for all")
        self.samples = samples.pop()
        encoded = [self.chat.encode(ask.prompt.messages) for _, ask in block]
        longest = max(map(len, encoded))
        steps = self.sampling.max_tokens + 1
        if longest + steps > self.decoder.shape.context:
            raise ConfigError(
                f"a prompt of {longest:,} tokens and {steps:,} to write",
                expected=f"at most {self.decoder.shape.context:,} together",
            )
        with torch.inference_mode():
            yield from self._through(block, encoded, -(-longest // WIDTH) * WIDTH, -(-steps // 16) * 16)

    def _through(
        self, block: list[tuple[int, Ask]], encoded: list[list[int]], prefix: int, suffix: int
    ) -> Iterator[tuple[int, tuple[Outcome, ...]]]:
        count = min(max(1, self.config.rows // self.samples), len(block))
        self.slots = self.decoder.slots(count, samples=self.samples, prefix=prefix, suffix=suffix)
        self.rows = new_samples(self.torch, count * self.samples, suffix, self.decoder.device)
        self._share(encoded)
        advance = self._advance()
        # Long prompts first: those that are computed together are of about one length, and the end is short.
        waiting = sorted(range(len(block)), key=lambda place: (len(encoded[place]), place))
        held: dict[int, int] = {}
        while waiting or held:
            free = [slot for slot in range(count) if slot not in held]
            if waiting and (len(free) >= max(1, count // 16) or not held):
                chosen = [(slot, waiting.pop()) for slot in free if waiting]
                self._fill([(slot, encoded[place], block[place][1]) for slot, place in chosen])
                held |= dict(chosen)
            for _ in range(LOOK):
                advance()
            done = self.rows.done.view(count, self.samples).all(1).tolist()
            finished = [slot for slot in held if done[slot]]
            if finished:
                drafts = self._drafts(finished, [len(encoded[held[slot]]) for slot in finished])
                for slot, outcomes in zip(finished, drafts, strict=True):
                    yield block[held.pop(slot)][0], outcomes

    def _share(self, encoded: list[list[int]]) -> None:
        """Computes what all prompts begin with."""
        low, high = min(encoded), max(encoded)
        self.common = 0
        while self.common < min(len(low), len(high)) - 2 and low[self.common] == high[self.common]:
            self.common += 1
        if self.common:
            head = self.torch.tensor([low[: self.common]], device=self.decoder.device)
            self.past = self.decoder.prefill(head, [])
            for layer, (key, value) in enumerate(self.past):
                self.slots.prefix_k[layer][:, :, : self.common] = key
                self.slots.prefix_v[layer][:, :, : self.common] = value

    def _fill(self, prompts: list[tuple[int, list[int], Ask]]) -> None:
        """Computes prompts into free slots. The last token of a prompt is the first that its samples read."""
        torch, device = self.torch, self.decoder.device
        longest = max(len(tokens) for _, tokens, _ in prompts) - 1 - self.common
        together = max(1, self.config.prefill_tokens // max(1, longest))
        for start in range(0, len(prompts), together):
            part = prompts[start : start + together]
            own = [tokens[self.common : -1] for _, tokens, _ in part]
            width = -(-max(map(len, own)) // 16) * 16
            width = min(width, self.slots.prefix - self.common)
            padded = torch.tensor([tokens + [0] * (width - len(tokens)) for tokens in own], device=device)
            places = torch.tensor([slot for slot, _, _ in part], device=device)
            for layer, (key, value) in enumerate(self.decoder.prefill(padded, self.past)):
                self.slots.prefix_k[layer][places, :, self.common : self.common + width] = key
                self.slots.prefix_v[layer][places, :, self.common : self.common + width] = value
        self._start(prompts)

    def _start(self, prompts: list[tuple[int, list[int], Ask]]) -> None:
        """Sets lengths, steps, first tokens and samples of slots that were filled."""
        torch, device, each = self.torch, self.decoder.device, self.samples
        places = torch.tensor([slot for slot, _, _ in prompts], device=device)
        rows = (places[:, None] * each + torch.arange(each, device=device)).reshape(-1)
        last = torch.tensor([tokens[-1] for _, tokens, _ in prompts], device=device)
        seeds = torch.tensor([_signed(seed) for _, _, ask in prompts for seed in ask.seeds], device=device)
        self.slots.length[places] = torch.tensor([len(tokens) - 1 for _, tokens, _ in prompts], device=device)
        self.slots.step[places] = 0
        self.slots.token[rows] = last.repeat_interleave(each)
        self.rows.seed[rows] = seeds
        for numbers in (self.rows.line, self.rows.width, self.rows.count):
            numbers[rows] = 0
        self.rows.done[rows] = False

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

    def _drafts(self, slots: list[int], lengths: list[int]) -> list[tuple[Outcome, ...]]:
        each = self.samples
        rows = self.torch.tensor([slot * each + i for slot in slots for i in range(each)], device=self.decoder.device)
        tokens, counts = self.rows.out[rows].tolist(), self.rows.count[rows].tolist()
        made: list[Outcome] = []
        for number, (row, count) in enumerate(zip(tokens, counts, strict=True)):
            text = self.chat.decode(row[:count])
            # The prompt was read once for all of its samples.
            usage = Usage(0 if number % each else lengths[number // each], count, estimated=False)
            made.append(Draft(text, usage=usage, finish="length" if count >= self.sampling.max_tokens else "stop"))
        return [tuple(made[start : start + each]) for start in range(0, len(made), each)]


def _signed(seed: int) -> int:
    """A seed as int64."""
    seed &= (1 << 64) - 1
    return seed - (1 << 64) if seed >= 1 << 63 else seed

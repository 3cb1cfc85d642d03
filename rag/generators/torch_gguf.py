"""A GGUF file as torch weights and a tokenizer: dequantised once, kept in the compute type."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from twindex.indexing.errors import ConfigError
from twindex.indexing.optional import load
from twindex.rag.generators.torch_decoder import DecoderShape, Tensor

#: How Qwen2 splits text before byte pairs are merged. Source: the tokenizer.json of the Qwen2 models.
_QWEN2_SPLIT: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
#: Types of tokens in a GGUF vocabulary.
_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4
_LAYER: Final = {"norm1": "attn_norm", "out": "attn_output", "norm2": "ffn_norm", "down": "ffn_down"}
_JOINED: Final = {"qkv": ("attn_q", "attn_k", "attn_v"), "gate_up": ("ffn_gate", "ffn_up")}
#: Tokens of a prompt and a draft together, at most; what the model could do beyond is not used.
MAX_CONTEXT: Final = 8192


class GgufModel:
    """An opened GGUF file of the architectures qwen2 and llama.

    Raises:
        ConfigError: If it is of another architecture, or its tokenizer is of a kind not known here.
        MissingExtraError: If the package gguf is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._gguf: Any = load("gguf", purpose="reading a GGUF model into torch")
        self._reader = self._gguf.GGUFReader(str(path))
        self._tensors = {tensor.name: tensor for tensor in self._reader.tensors}
        self.path = path
        self.architecture = str(self._field("general.architecture"))
        if self.architecture not in ("qwen2", "llama"):
            raise ConfigError(f"{path.name} is of architecture {self.architecture!r}", expected="qwen2 or llama")

    def shape(self) -> DecoderShape:
        """Sizes of the model."""

        def of(name: str) -> Any:
            return self._field(f"{self.architecture}.{name}")

        return DecoderShape(
            layers=int(of("block_count")),
            hidden=int(of("embedding_length")),
            inner=int(of("feed_forward_length")),
            heads=int(of("attention.head_count")),
            kv_heads=int(of("attention.head_count_kv")),
            vocabulary=int(self._tensors["token_embd.weight"].shape[1]),
            rope_base=float(of("rope.freq_base")),
            epsilon=float(of("attention.layer_norm_rms_epsilon")),
            context=min(MAX_CONTEXT, int(of("context_length"))),
            rope_pairs=self.architecture == "llama",
        )

    def weights(self, *, device: str, dtype: Any, threads: int = 8) -> dict[str, Tensor]:
        """The weights as :class:`Decoder` names them."""
        torch: Any = load("torch", purpose="running a model in torch")

        def made(names: tuple[str, ...]) -> Tensor:
            parts = [torch.from_numpy(self._plain(name)).to(device=device, dtype=dtype) for name in names]
            return torch.cat(parts) if len(parts) > 1 else parts[0]

        jobs: dict[str, tuple[str, ...]] = {"embed": ("token_embd.weight",), "norm": ("output_norm.weight",)}
        if "output.weight" in self._tensors:
            jobs["head"] = ("output.weight",)
        for layer in range(self.shape().layers):
            for ours, theirs in _LAYER.items():
                jobs[f"{layer}.{ours}"] = (f"blk.{layer}.{theirs}.weight",)
            for ours, several in _JOINED.items():
                jobs[f"{layer}.{ours}"] = tuple(f"blk.{layer}.{name}.weight" for name in several)
            biases = tuple(f"blk.{layer}.{name}.bias" for name in _JOINED["qkv"])
            if biases[0] in self._tensors:
                jobs[f"{layer}.qkv_bias"] = biases
        with ThreadPoolExecutor(threads) as pool:
            found = dict(zip(jobs, pool.map(made, jobs.values()), strict=True))
        return found if "head" in found else found | {"head": found["embed"]}

    def tokenizer(self) -> Any:
        """A tokenizer of the package tokenizers."""
        library: Any = load("tokenizers", purpose="tokenising prompts")
        if self._field("tokenizer.ggml.model") != "gpt2" or self._field("tokenizer.ggml.pre") != "qwen2":
            raise ConfigError(
                f"{self.path.name} has a tokenizer {self._field('tokenizer.ggml.pre')!r}",
                expected="byte pairs as Qwen2 has them",
                remedy="run this model through llama.cpp (--generator gguf:PATH)",
            )
        tokens = [str(token) for token in self._list("tokenizer.ggml.tokens")]
        merges = [tuple(str(merge).split(" ", 1)) for merge in self._list("tokenizer.ggml.merges")]
        model = library.models.BPE({token: i for i, token in enumerate(tokens)}, merges)
        made = library.Tokenizer(model)
        made.normalizer = library.normalizers.NFC()
        made.pre_tokenizer = library.pre_tokenizers.Sequence(
            [
                library.pre_tokenizers.Split(library.Regex(_QWEN2_SPLIT), behavior="isolated"),
                library.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        made.decoder = library.decoders.ByteLevel()
        kinds = self._list("tokenizer.ggml.token_type")
        special = [tokens[i] for i, kind in enumerate(kinds) if kind in (_CONTROL, _USER_DEFINED)]
        made.add_special_tokens([library.AddedToken(token, special=True, normalized=False) for token in special])
        return made

    def chat_template(self) -> str:
        """The template that came with the model, "" if none did."""
        return str(self._field("tokenizer.chat_template") or "")

    def _plain(self, name: str) -> Any:
        """A tensor as float32."""
        tensor = self._tensors[name]
        return self._gguf.dequantize(tensor.data, tensor.tensor_type).astype(
            "float32"
        )  # a copy: what is not quantised is mapped read-only

    def _field(self, name: str) -> Any:
        field = self._reader.get_field(name)
        return field.contents() if field is not None else None

    def _list(self, name: str) -> list[Any]:
        return list(self._field(name) or ())

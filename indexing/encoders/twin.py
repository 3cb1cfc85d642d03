"""A twin encoder at work: one pass over a document gives its dense and its sparse vector; queries need no model.

A folder of one holds ``model.onnx`` (the graph of :mod:`twindex.indexing.encoders.twin_graph`), ``idf.json`` and
``twin.json``, which names both by sha256; they are checked when it is opened.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np

from twindex.indexing.encoders.bert_graph import OUTPUT
from twindex.indexing.encoders.digests import fingerprint
from twindex.indexing.encoders.onnx import INPUTS, EncoderSettings, OnnxEncoder, make_session
from twindex.indexing.encoders.tokenizer import TextTokenizer
from twindex.indexing.encoders.twin_graph import IDS, WEIGHTS, dense_part
from twindex.indexing.errors import ConfigError, CorruptIndexError
from twindex.indexing.types import Float32Array, Int32Array, Int64Array

MODEL, IDF, ABOUT = "model.onnx", "idf.json", "twin.json"
#: Raised whenever the same files would give other sparse vectors.
VERSION: Final = 1
DEFAULT_LENGTH: Final = 256


@dataclass(frozen=True, slots=True, eq=False)
class SparseVectors:
    """Sparse vectors of many texts, entries of each in ascending order of their ids.

    Shapes: ``starts`` int64[n + 1]; ``ids`` int32[total]; ``weights`` float32[total], above 0. Text i has the entries
    from ``starts[i]`` to ``starts[i + 1]``.
    """

    starts: Int64Array
    ids: Int32Array
    weights: Float32Array

    def __len__(self) -> int:
        return len(self.starts) - 1

    def row(self, at: int) -> tuple[Int32Array, Float32Array]:
        """Ids and weights of one text."""
        span = slice(int(self.starts[at]), int(self.starts[at + 1]))
        return self.ids[span], self.weights[span]

    @classmethod
    def of(cls, rows: Sequence[tuple[Int32Array, Float32Array]]) -> SparseVectors:
        """From the entries of each text."""
        starts = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(ids) for ids, _ in rows], out=starts[1:])
        ids = np.concatenate([np.empty(0, np.int32), *(ids for ids, _ in rows)])
        weights = np.concatenate([np.empty(0, np.float32), *(weights for _, weights in rows)])
        return cls(starts, ids.astype(np.int32), weights.astype(np.float32))


class InferenceFreeQueries:
    """Sparse queries without a model: idf at each distinct token.

    Args:
        tokenizer: That of the documents' encoder.
        idf: float32[vocabulary]; that of the collection which is searched is the right one.
    """

    def __init__(self, tokenizer: TextTokenizer, idf: Float32Array) -> None:
        self._tokenizer = tokenizer
        self._idf = np.asarray(idf, np.float32)

    def encode(self, texts: Sequence[str]) -> SparseVectors:
        """The sparse vectors of queries."""
        return SparseVectors.of([self._one(text) for text in texts])

    def terms(self, text: str) -> list[tuple[str, int, float]]:
        """A query's tokens with their dimensions and weights, by dimension."""
        ids, weights = self._one(text)
        return [
            (self._tokenizer.token(number), number, weight)
            for number, weight in zip(ids.tolist(), weights.tolist(), strict=True)
        ]

    def _one(self, text: str) -> tuple[Int32Array, Float32Array]:
        ids = np.unique(np.array(self._tokenizer.ids(text)[1:-1], np.int32))
        weights = self._idf[ids] if len(ids) else np.empty(0, np.float32)
        return ids[weights > 0], weights[weights > 0]


class TwinEncoder(OnnxEncoder):
    """Dense vectors as any encoder gives them, and :meth:`encode_twins` for both kinds in one pass.

    Args:
        model: The serialised graph.
        tokenizer: Cuts at ``settings.max_length`` tokens.
        settings: Prompts, similarity; pooling is the graph's own.
        name: What the resolver knows the encoder by.
        digest: Hash of the model.
        threads: Texts that run at the same time; None = the processors that this process may use.
    """

    def __init__(
        self,
        model: bytes,
        tokenizer: TextTokenizer,
        settings: EncoderSettings,
        *,
        name: str,
        digest: str,
        threads: int | None = None,
    ) -> None:
        # The base class runs the body alone, so that dense vectors and queries do not pay for the sparse head.
        super().__init__(dense_part(model), tokenizer, settings, name=name, digest=digest, threads=threads)
        self._model = model
        self.sparse_fingerprint = fingerprint("twin-sparse", VERSION, digest, tokenizer.digest, settings.max_length)

    def encode_twins(self, texts: Sequence[str]) -> tuple[Float32Array, SparseVectors]:
        """Dense and sparse vectors of documents.

        Shapes: float32[len(texts), dim] and as many sparse rows.
        """
        dense = np.empty((len(texts), self.info.dim), np.float32)
        rows: list[Any] = [None] * len(texts)
        tokens = [self._tokenizer.ids(self.info.document_prompt + text) for text in texts]
        session = self._twins  # made once, before the threads ask for it

        def fill(at: int) -> None:
            vector, rows[at] = self._both(session, tokens[at])
            dense[at] = self._finish(vector)

        order = sorted(range(len(texts)), key=lambda at: -len(tokens[at]))
        if self._threads == 1 or len(texts) < 2:
            for at in order:
                fill(at)
        else:
            with ThreadPoolExecutor(min(self._threads, len(texts))) as pool:
                for _ in pool.map(fill, order):
                    continue
        return dense, SparseVectors.of(rows)

    @cached_property
    def _twins(self) -> Any:
        """The session with both heads, made when the first document is encoded."""
        return make_session(self._model, "cpu", self.info.name)

    def _both(self, session: Any, ids: list[int]) -> tuple[Float32Array, tuple[Int32Array, Float32Array]]:
        row = np.array([ids], np.int64)
        if len(ids) <= 2:  # nothing between [CLS] and [SEP]: no maximum to take
            return self._run(ids), (np.empty(0, np.int32), np.empty(0, np.float32))
        feed = {name: INPUTS[name](row) for name in self._inputs}
        vector, entries, weights = session.run([OUTPUT, IDS, WEIGHTS], feed)
        kept = np.flatnonzero(weights > 0)
        order = kept[np.argsort(entries[kept])]
        return np.asarray(vector[0], np.float32), (entries[order].astype(np.int32), weights[order])


def open_twin(folder: Path, *, name: str = "", threads: int | None = None) -> TwinEncoder:
    """The twin encoder in a folder.

    Raises:
        ConfigError: If the folder holds none.
        CorruptIndexError: If a file is not the one that the folder's description names.
    """
    about = _about(folder)
    content = _checked(folder, MODEL, about)
    settings = EncoderSettings(max_length=int(about.get("max_length", DEFAULT_LENGTH)))
    tokenizer = TextTokenizer.bert_uncased(settings.max_length)
    digest = about["sha256"][MODEL]
    return TwinEncoder(content, tokenizer, settings, name=name or str(folder), digest=digest, threads=threads)


def open_queries(folder: Path) -> InferenceFreeQueries:
    """The query side of the twin encoder in a folder: a tokenizer and the idf table that it was trained with.

    Raises:
        ConfigError: If the folder holds none.
        CorruptIndexError: If the table is not the one that the folder's description names.
    """
    about = _about(folder)
    table = json.loads(_checked(folder, IDF, about))
    tokenizer = TextTokenizer.bert_uncased(int(about.get("max_length", DEFAULT_LENGTH)))
    return InferenceFreeQueries(tokenizer, np.array(list(table.values()), np.float32))


def _about(folder: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT).read_bytes())
        if isinstance(about["sha256"], dict):
            return about
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"no twin encoder in {folder} ({error})", expected=f"{MODEL}, {IDF} and {ABOUT}") from error
    raise ConfigError(f"{folder / ABOUT} names no sha256", expected="the hashes of its files")


def _checked(folder: Path, name: str, about: dict[str, Any]) -> bytes:
    content = (folder / name).read_bytes()
    digest = sha256(content).hexdigest()
    if digest != about["sha256"].get(name):
        raise CorruptIndexError(
            f"{folder / name} has the sha256 {digest}",
            expected=str(about["sha256"].get(name)),
            remedy="export or fetch the model again",
        )
    return content

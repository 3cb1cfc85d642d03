"""A twin encoder at work: one pass over a document gives its dense and its sparse vector; queries need no model.

A folder of one holds ``model.onnx`` (the graph of :mod:`twindex.indexing.encoders.twin_graph`), ``terms.npz`` (idf and
gains of the dimensions) and ``twin.json``, which names both by sha256; they are checked when it is opened.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np

from twindex.indexing.encoders.bert_graph import OUTPUT
from twindex.indexing.encoders.digests import fingerprint
from twindex.indexing.encoders.idf_table import read_idf
from twindex.indexing.encoders.npz import npz_bytes
from twindex.indexing.encoders.onnx import INPUTS, EncoderSettings, OnnxEncoder, for_each, make_session
from twindex.indexing.encoders.own_terms import ExpansionRule, QueryRule, document_vector
from twindex.indexing.encoders.term_space import TermSpace
from twindex.indexing.encoders.tokenizer import TextTokenizer
from twindex.indexing.encoders.twin_graph import IDS, WEIGHTS, dense_part
from twindex.indexing.errors import ConfigError, CorruptIndexError
from twindex.indexing.types import Float32Array, Int32Array, Int64Array

MODEL, TERMS, ABOUT = "model.onnx", "terms.npz", "twin.json"
#: Raised whenever the same files would give other sparse vectors.
VERSION: Final = 2
DEFAULT_LENGTH: Final = 256
Row = tuple[Int32Array, Float32Array]


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

    def row(self, at: int) -> Row:
        """Ids and weights of one text."""
        span = slice(int(self.starts[at]), int(self.starts[at + 1]))
        return self.ids[span], self.weights[span]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> SparseVectors:
        """From the entries of each text."""
        starts = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(ids) for ids, _ in rows], out=starts[1:])
        ids = np.concatenate([np.empty(0, np.int32), *(ids for ids, _ in rows)])
        weights = np.concatenate([np.empty(0, np.float32), *(weights for _, weights in rows)])
        return cls(starts, ids.astype(np.int32), weights.astype(np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class TermWeights:
    """What the sparse side knows of its dimensions.

    Shapes: ``idf`` float32[space.size]; ``gains`` float32[space.columns + 1], what a text's own stems are multiplied
    by; the last is that of all stems without a column. ``rule``: what the model's expansions count.
    """

    space: TermSpace
    idf: Float32Array
    gains: Float32Array
    rule: ExpansionRule = field(default_factory=ExpansionRule)

    def vector(self, text: str, expansions: Row) -> Row:
        """A document's sparse vector, by its text and what the model adds to it."""
        return document_vector(self.space.numbers(text), self.gains, expansions, self.idf, self.rule)

    def to_bytes(self) -> bytes:
        """As a file; the same weights give the same bytes."""
        space = self.space.fingerprint
        arrays = {"idf": self.idf, "gains": self.gains, "space": space}
        return npz_bytes(arrays | {name: np.float64(value) for name, value in asdict(self.rule).items()})

    @classmethod
    def from_bytes(cls, content: bytes, *, path: Path | str = "") -> TermWeights:
        """What :meth:`to_bytes` made.

        Raises:
            ConfigError: If it is no such table, or one of other terms.
        """
        space = TermSpace.bert_uncased()
        idf = read_idf(content, space, path=path)
        with np.load(io.BytesIO(content)) as stored:
            gains = np.asarray(stored["gains"], np.float32)
            rule = ExpansionRule(float(stored["own_scale"]), float(stored["new_scale"]), int(stored["kept"]))
        if gains.shape != (space.columns + 1,) or not bool(np.isfinite(gains).all()) or float(gains.min()) < 0:
            raise ConfigError(f"{path} has gains {gains.shape}", expected=f"{space.columns + 1}, 0 or more")
        return cls(space, idf, gains, rule)


class InferenceFreeQueries:
    """Sparse queries without a model: idf at each distinct stem, times the root of how often the query has it.

    The root, and not the count or its absence: nDCG@10 on the four steering sets (SciFact train, Cranfield, SciTLDR
    dev, BoolQ dev), mean 0.7107 against 0.7086 and 0.7097.

    Args:
        space: The documents' dimensions.
        idf: float32[space.size]; that of the collection which is searched is the right one.
    """

    def __init__(self, space: TermSpace, idf: Float32Array) -> None:
        self._space = space
        self._idf = np.asarray(idf, np.float32)

    @property
    def analyzer_fingerprint(self) -> str:
        """That of the analyzer whose terms the dimensions are."""
        return self._space.analyzer.fingerprint

    def encode(self, texts: Sequence[str]) -> SparseVectors:
        """The sparse vectors of queries."""
        return SparseVectors.of([self.query(text) for text in texts])

    def query(self, text: str) -> Row:
        """The sparse vector of one query: dimensions, ascending, and their weights."""
        # Sorted and counted in plain Python: a query has ten words, and a call of numpy takes as long as twenty.
        counts = Counter(map(self._space.number, self._space.analyzer.terms(text)))
        numbers = sorted(counts)
        ids = np.array(numbers, np.int32)
        roots = np.sqrt(np.array([counts[number] for number in numbers], np.float64))
        weights = (self._idf[ids] * roots).astype(np.float32)
        heavy = weights > 0
        return ids[heavy], weights[heavy]

    def added(self, text: str, expansions: Row, rule: QueryRule) -> Row:
        """Of a model's expansions of a query those that it lacks and gains most by, and the share of idf of each."""
        columns, weights = expansions
        new = ~np.isin(columns, self._space.numbers(text))
        columns, weights = columns[new], weights[new]
        best = np.sort(np.argsort(-(weights * self._idf[columns]), kind="stable")[: rule.kept])
        return columns[best], (weights[best] * np.float32(rule.scale)).astype(np.float32)

    def idf_of(self, dimensions: Int32Array) -> Float32Array:
        """What dimensions weigh: float32[len(dimensions)]."""
        return self._idf[dimensions]

    def names_of(self, dimensions: Sequence[int]) -> dict[int, str]:
        """The stems that dimensions stand for, buckets left out."""
        found = {number: self._space.label(number) for number in dimensions}
        return {number: stem for number, stem in found.items() if stem is not None}

    def words(self, text: str) -> dict[int, str]:
        """The dimensions of a query, in the order of its words, and the stem that each stands for."""
        stems = {self.number(term): term for term in self._space.analyzer.terms(text)}
        stems.pop(-1, None)
        return stems

    def number(self, stem: str) -> int:
        """The dimension of a stem of a query, -1 if it weighs nothing there."""
        number = self._space.number(stem)
        return number if self._idf[number] > 0 else -1


class TwinEncoder(OnnxEncoder):
    """Dense vectors as any encoder gives them, and :meth:`encode_twins` for both kinds in one pass.

    The model reads the first ``settings.max_length`` tokens; a text's own stems count to its end.

    Args:
        model: The serialised graph.
        tokenizer: Cuts at ``settings.max_length`` tokens.
        settings: Prompts, similarity; pooling is the graph's own.
        terms: What the sparse side knows of its dimensions.
        name: What the resolver knows the encoder by.
        digest: Hash of the model.
        threads: Texts that run at the same time; None = the processors that this process may use.
    """

    def __init__(
        self,
        model: bytes,
        tokenizer: TextTokenizer,
        settings: EncoderSettings,
        terms: TermWeights,
        *,
        name: str,
        digest: str,
        threads: int | None = None,
    ) -> None:
        # The base class runs the body alone, so that dense vectors and queries do not pay for the sparse head.
        super().__init__(dense_part(model), tokenizer, settings, name=name, digest=digest, threads=threads)
        self._model = model
        self._terms = terms

    def encode_twins(self, texts: Sequence[str]) -> tuple[Float32Array, SparseVectors]:
        """Dense and sparse vectors of documents.

        Shapes: float32[len(texts), dim] and as many sparse rows.
        """
        dense = np.empty((len(texts), self.info.dim), np.float32)
        rows: list[Any] = [None] * len(texts)
        tokens = [self._tokenizer.ids(self.info.document_prompt + text) for text in texts]
        session = self._twins  # made once, before the threads ask for it

        def fill(at: int) -> None:
            vector, expansions = self._both(session, tokens[at])
            dense[at] = self._finish(vector)
            rows[at] = self._terms.vector(texts[at], expansions)

        for_each(fill, [len(ids) for ids in tokens], self._threads)
        return dense, SparseVectors.of(rows)

    def query_expansions(self, text: str) -> Row:
        """What the model would add to a query if it were a document: columns, ascending, and weights above 0."""
        columns, weights = self._both(self._twins, self._tokenizer.ids(self.info.query_prompt + text))[1]
        order = np.argsort(columns)
        return columns[order], weights[order]

    @cached_property
    def _twins(self) -> Any:
        """The session with both heads, made when the first document is encoded."""
        return make_session(self._model, "cpu", self.info.name)

    def _both(self, session: Any, ids: list[int]) -> tuple[Float32Array, Row]:
        """The pooled vector, and columns with their weights above 0."""
        row = np.array([ids], np.int64)
        if len(ids) <= 2:  # nothing between [CLS] and [SEP]: no maximum to take
            return self._run(ids), (np.empty(0, np.int32), np.empty(0, np.float32))
        feed = {name: INPUTS[name](row) for name in self._inputs}
        vector, columns, weights = session.run([OUTPUT, IDS, WEIGHTS], feed)
        above = weights > 0
        return np.asarray(vector[0], np.float32), (columns[above].astype(np.int32), weights[above])


def open_twin(folder: Path, *, name: str = "", threads: int | None = None) -> TwinEncoder:
    """The twin encoder in a folder.

    Raises:
        ConfigError: If the folder holds none.
        CorruptIndexError: If a file is not the one that the folder's description names.
    """
    about = read_about(folder)
    content = _checked(folder, MODEL, about)
    settings = EncoderSettings(max_length=int(about.get("max_length", DEFAULT_LENGTH)))
    tokenizer = TextTokenizer.bert_uncased(settings.max_length)
    terms, digest = _terms(folder, about), about["sha256"][MODEL]
    return TwinEncoder(content, tokenizer, settings, terms, name=name or str(folder), digest=digest, threads=threads)


def open_queries(folder: Path, *, idf: Float32Array | None = None) -> InferenceFreeQueries:
    """The query side of the twin encoder in a folder, with its own idf table or that of a collection.

    Raises:
        ConfigError: If the folder holds none.
        CorruptIndexError: If the table is not the one that the folder's description names.
    """
    terms = _terms(folder, read_about(folder))
    return InferenceFreeQueries(terms.space, terms.idf if idf is None else idf)


def sparse_fingerprint(about: dict[str, Any]) -> str:
    """A short name for everything that shapes the sparse vectors of documents, by a folder's description."""
    length = int(about.get("max_length", DEFAULT_LENGTH))
    tokenizer = TextTokenizer.bert_uncased(length).digest
    return fingerprint("twin-sparse", VERSION, about["sha256"][MODEL], about["sha256"][TERMS], tokenizer, length)


def read_about(folder: Path) -> dict[str, Any]:
    """The description of the twin encoder in a folder.

    Raises:
        ConfigError: If the folder holds none.
    """
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT).read_bytes())
        if {MODEL, TERMS} <= set(about["sha256"]):
            return about
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"no twin encoder in {folder} ({error})", expected=f"{MODEL}, {TERMS} and {ABOUT}") from error
    raise ConfigError(
        f"{folder / ABOUT} lacks a sha256 of {MODEL} or {TERMS}",
        expected="the hashes of both",
        remedy="export the run again: twindex train export",
    )


def _terms(folder: Path, about: dict[str, Any]) -> TermWeights:
    return TermWeights.from_bytes(_checked(folder, TERMS, about), path=folder / TERMS)


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

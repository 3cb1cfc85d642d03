"""Inverse document frequency of each dimension: what an inference-free query weighs its terms by.

idf = ln(1 + (N - df + 0.5) / (df + 0.5)), with N documents of which df contain the term: the idf of BM25 in Lucene, and
that of the ``idf.json`` beside the released inference-free encoders (arXiv 2411.04403). The table of the collection
that is searched is the right one; the one beside a model is that of its training texts, for queries without one.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from twindex.indexing.encoders.npz import npz_bytes
from twindex.indexing.encoders.term_space import TermSpace
from twindex.indexing.errors import ConfigError
from twindex.indexing.types import Float32Array, Int64Array

EXPECTED = "a table that 'twindex train idf' wrote"


def document_frequencies(documents: Iterable[Any], size: int) -> tuple[Int64Array, int]:
    """In how many documents each term occurs, and how many documents there are.

    Shapes: documents of int[n]; result int64[size].
    """
    counts, total = np.zeros(size, np.int64), 0
    for numbers in documents:
        counts[np.unique(numbers)] += 1
        total += 1
    return counts, total


def idf_weights(frequencies: Int64Array, total: int) -> Float32Array:
    """The idf of each term.

    Shapes: ``frequencies`` int64[size]; result float32[size].

    Raises:
        ConfigError: If a term occurs in more documents than there are, or there is none.
    """
    if total < 1 or int(frequencies.max(initial=0)) > total:
        most = int(frequencies.max(initial=0))
        raise ConfigError(f"{total} documents, a term in {most}", expected="at least as many")
    df = frequencies.astype(np.float64)
    return np.log1p((total - df + 0.5) / (df + 0.5)).astype(np.float32)


def corpus_idf(texts: Iterable[str], space: TermSpace) -> Float32Array:
    """The idf of each dimension in a collection.

    Shapes: result float32[space.size].
    """
    return idf_weights(*document_frequencies((space.numbers(text) for text in texts), space.size))


def idf_bytes(weights: Float32Array, space: TermSpace) -> bytes:
    """The table as a file: the same weights, the same bytes."""
    return npz_bytes({"idf": weights.astype(np.float32), "space": space.fingerprint})


def read_idf(content: bytes, space: TermSpace, *, path: Path | str = "") -> Float32Array:
    """The weights of a table that :func:`idf_bytes` made, or of a model's table of terms.

    Shapes: result float32[space.size].

    Raises:
        ConfigError: If it is no such table, or one of other terms.
    """
    try:
        with np.load(io.BytesIO(content)) as stored:
            weights, fingerprint = np.asarray(stored["idf"], np.float32), str(stored["space"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} is no idf table ({error})", expected=EXPECTED) from error
    if fingerprint != space.fingerprint or weights.shape != (space.size,):
        raise ConfigError(f"{path} weighs other terms: {fingerprint}", expected=space.fingerprint)
    if not bool(np.isfinite(weights).all()) or float(weights.min()) < 0:
        raise ConfigError(f"{path} has a weight below 0 or not finite", expected="idf weights of 0 or more")
    return weights

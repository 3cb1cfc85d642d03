"""Inverse document frequency of each token of a vocabulary: what an inference-free query weighs its tokens by.

idf = ln(1 + (N - df + 0.5) / (df + 0.5)), with N documents of which df contain the token: the idf of BM25 in
Lucene, and that of the ``idf.json`` beside the released inference-free encoders (arXiv 2411.04403).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np

from twindex.indexing.encoders.tokenizer import SPECIALS, VOCABULARY
from twindex.indexing.errors import ConfigError
from twindex.indexing.training.outputs import write_atomically
from twindex.indexing.training.tokens import UInt16Array
from twindex.indexing.types import Float32Array, Int64Array

#: Tokens that no query may match by.
EXCLUDED: Final = tuple(sorted(SPECIALS.values()))


def document_frequencies(documents: Iterable[UInt16Array], size: int) -> tuple[Int64Array, int]:
    """In how many documents each token occurs, and how many documents there are.

    Shapes: documents of uint16[n]; result int64[size].
    """
    counts, total = np.zeros(size, np.int64), 0
    for ids in documents:
        counts[np.unique(ids)] += 1
        total += 1
    return counts, total


def idf_weights(frequencies: Int64Array, total: int) -> Float32Array:
    """The idf of each token; special tokens weigh nothing.

    Shapes: ``frequencies`` int64[size]; result float32[size].

    Raises:
        ConfigError: If a token occurs in more documents than there are, or there is none.
    """
    if total < 1 or int(frequencies.max(initial=0)) > total:
        raise ConfigError(
            f"{total} documents, a token in {int(frequencies.max(initial=0))}", expected="at least as many"
        )
    df = frequencies.astype(np.float64)
    weights = np.log1p((total - df + 0.5) / (df + 0.5)).astype(np.float32)
    weights[[number for number in EXCLUDED if number < len(weights)]] = 0
    return weights


def save_idf(path: Path, weights: Float32Array) -> None:
    """Write token -> idf as JSON, in the order of the vocabulary; every digit of the float32 is kept."""
    words = VOCABULARY.read_text(encoding="utf-8").splitlines()
    if len(words) != len(weights):
        raise ConfigError(f"{len(weights)} idf weights", expected=f"one for each of {len(words)} tokens")
    table = {word: float(str(value)) for word, value in zip(words, weights)}
    write_atomically(path, json.dumps(table, ensure_ascii=False, indent=0).encode())


def load_idf(path: Path) -> Float32Array:
    """The table as written by :func:`save_idf`; a token that it lacks weighs 0.

    Shapes: result float32[vocabulary].

    Raises:
        ConfigError: If the file is no such table.
    """
    words = VOCABULARY.read_text(encoding="utf-8").splitlines()
    try:
        table = json.loads(path.read_bytes())
        weights = np.array([table.get(word, 0.0) for word in words], np.float32)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ConfigError(f"{path} is no idf table ({error})", expected="a JSON object of token: number") from error
    if not bool(np.isfinite(weights).all()) or float(weights.min()) < 0:
        raise ConfigError(f"{path} has a weight below 0 or not finite", expected="idf weights of 0 or more")
    return weights

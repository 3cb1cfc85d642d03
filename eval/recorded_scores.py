"""Scores of pairs that were computed elsewhere, looked up by content; what is not there is scored now.

A folder holds ``scores-*.npz``: ``queries`` and ``texts`` uint8[n, 16], the BLAKE2b of each text of a pair, and
``scores`` float32[n]; and ``recorded.json`` with ``name`` and ``fingerprint`` of the scorer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from twindex.eval.recorded import ABOUT, text_key
from twindex.indexing.encoding import PairScorer
from twindex.indexing.errors import ConfigError
from twindex.indexing.types import Float32Array


class RecordedScorer:
    """The scorer whose scores were recorded.

    Args:
        folder: Where they are.
        fallback: Scores pairs that are not there; None = such a pair is an error.

    Raises:
        ConfigError: If the folder holds none.
    """

    def __init__(self, folder: Path, fallback: PairScorer | None = None) -> None:
        try:
            about = json.loads((folder / ABOUT).read_bytes())
            self._name, self.fingerprint = str(about["name"]), str(about["fingerprint"])
            self._scores: dict[bytes, float] = {}
            for path in sorted(folder.glob("scores-*.npz")):
                with path.open("rb") as file, np.load(file) as data:
                    pairs = np.concatenate([data["queries"], data["texts"]], axis=1)
                    self._scores.update(zip(map(bytes, pairs), data["scores"].tolist(), strict=True))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"no recorded scores in {folder} ({error})", expected=f"{ABOUT} and scores-*.npz"
            ) from error
        self._fallback = fallback
        #: Pairs that were not there.
        self.missing = 0

    @property
    def name(self) -> str:
        """That of the scorer whose scores these are."""
        return self._name

    def score(self, query: str, texts: Sequence[str]) -> Float32Array:
        """One score a text: float32[len(texts)].

        Raises:
            ConfigError: If a pair was not recorded and there is no fallback.
        """
        head = text_key(query)
        found = [self._scores.get(head + text_key(text)) for text in texts]
        rest = [i for i, value in enumerate(found) if value is None]
        out = np.array([0.0 if value is None else value for value in found], np.float32)
        if rest:
            self.missing += len(rest)
            if self._fallback is None:
                raise ConfigError(
                    f"{len(rest)} of {len(texts)} pairs that were not recorded, for {query[:60]!r}",
                    expected="pairs whose scores are in the folder",
                    remedy="give the cross-encoder itself as the fallback",
                )
            out[rest] = self._fallback.score(query, [texts[i] for i in rest])
        return out

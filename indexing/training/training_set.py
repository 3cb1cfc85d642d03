"""What a training step reads: texts as tokens, which query belongs to which text, and its hard negatives.

A training set is a folder of ``set.npz`` (plain arrays, compressed) and ``set.json`` (counts, sources, what was
refused because an evaluation contains it, and the sha256 of the arrays).
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np

from twindex.indexing.errors import ConfigError
from twindex.indexing.training.outputs import write_atomically
from twindex.indexing.training.tokens import TokenTable
from twindex.indexing.types import BoolArray, Int32Array, Int64Array

ARRAYS: Final = "set.npz"
ABOUT: Final = "set.json"
TABLES: Final = ("passages", "titles", "queries", "passage_terms", "title_terms", "query_terms")
ARRAY_NAMES: Final = ("positive", "negatives", "spans", "source", "titled")


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """Tables of tokens, and the groups that are trained on.

    Shapes: ``positive`` int32[q], the passage of each query; ``negatives`` int32[q, m], -1 = none;
    ``spans`` int32[q, 2], where the query lies in its passage in tokens, (-1, -1) = it does not;
    ``source`` int32[q], an index into ``names``; ``titled`` bool[q], whether texts carry their titles for this query
    (not if it is the title). ``titles`` has one entry a passage, empty if it has none. The tables of terms hold
    numbers of a :class:`TermSpace`, of whole texts; those of tokens are cut.
    """

    passages: TokenTable
    titles: TokenTable
    queries: TokenTable
    positive: Int32Array
    negatives: Int32Array
    spans: Int32Array
    source: Int32Array
    titled: BoolArray
    passage_terms: TokenTable
    title_terms: TokenTable
    query_terms: TokenTable
    names: tuple[str, ...]
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.queries)
        texts = len(self.passages)
        for name in ("titles", "passage_terms", "title_terms"):
            if len(getattr(self, name)) != texts:
                raise ConfigError(f"{len(getattr(self, name))} {name} for {texts} passages", expected="one each")
        if {len(getattr(self, name)) for name in (*ARRAY_NAMES, "query_terms")} != {n}:
            raise ConfigError("arrays of different lengths in a training set", expected=f"{n}, one entry a query")
        for array in (self.positive, self.negatives):
            if array.size and (int(array.max()) >= len(self.passages) or int(array.min()) < -1):
                raise ConfigError("a passage number outside the table", expected=f"below {len(self.passages)}")

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def is_sentence(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """bool[q]: queries that are a span of their passage."""
        return self.spans[:, 0] >= 0

    def with_negatives(self, negatives: Int32Array) -> TrainingSet:
        """The same set with other negatives."""
        return replace(self, negatives=negatives)

    def save(self, folder: Path) -> str:
        """Write the folder; the same set gives the same arrays. Returns the sha256 of the arrays' file."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {name: getattr(self, name) for name in ARRAY_NAMES}
        for name in TABLES:
            table: TokenTable = getattr(self, name)
            arrays[f"{name}_ids"], arrays[f"{name}_lengths"] = table.ids, np.diff(table.starts).astype(np.uint32)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        content = buffer.getvalue()
        write_atomically(folder / ARRAYS, content)
        digest = sha256(content).hexdigest()
        about = {**self.about, "names": list(self.names), "sha256": digest}
        write_atomically(folder / ABOUT, json.dumps(about, indent=1, sort_keys=True).encode())
        return digest

    @classmethod
    def load(cls, folder: Path) -> TrainingSet:
        """The set in a folder.

        Raises:
            ConfigError: If there is none, or its arrays are not those that its description names.
        """
        try:
            about = json.loads((folder / ABOUT).read_bytes())
            content = (folder / ARRAYS).read_bytes()
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"no training set in {folder} ({error})", remedy="make one with: twindex train prepare"
            ) from error
        digest = sha256(content).hexdigest()
        if digest != about.get("sha256"):
            raise ConfigError(f"{folder / ARRAYS} has the sha256 {digest}", expected=str(about.get("sha256")))
        with np.load(io.BytesIO(content)) as stored:
            missing = [name for name in (*ARRAY_NAMES, *(f"{t}_ids" for t in TABLES)) if name not in stored]
            if missing:
                raise ConfigError(
                    f"{folder / ARRAYS} lacks {', '.join(missing)}", remedy="make it again with: twindex train prepare"
                )
            tables: dict[str, Any] = {name: _table(stored[f"{name}_ids"], stored[f"{name}_lengths"]) for name in TABLES}
            rest = {name: stored[name] for name in ARRAY_NAMES}
        return cls(**tables, **rest, names=tuple(about["names"]), about=about)


def _table(ids: Any, lengths: Any) -> TokenTable:
    starts: Int64Array = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    return TokenTable(ids, starts)

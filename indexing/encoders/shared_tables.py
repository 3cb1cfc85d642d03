"""Tables that two models of this package have in common are stored once, with the first of them.

A reranker that began as the twin and kept its word embeddings has the same table, bit for bit, which is half of its
size. Its own file lacks the table; its description says whose it is, and what its bytes hash to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np

from twindex.indexing.encoders.onnx_wire import Tensor, read_tensors, with_tensors, without_tensors
from twindex.indexing.encoders.shipped import MODELS
from twindex.indexing.errors import ConfigError, CorruptIndexError

#: Smaller tables are not worth a second file.
LEAST_BYTES: Final = 1 << 16
MODEL: Final = "model.onnx"


@dataclass(frozen=True, slots=True)
class Shared:
    """Which tables are those of another model: its name in the package, and the sha256 of each table by name."""

    model: str
    tables: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a model's description."""
        return {"model": self.model, "tables": dict(self.tables)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Shared:
        """From a model's description."""
        return cls(str(values["model"]), {str(k): str(v) for k, v in values["tables"].items()})


def share(model: bytes, other: Path) -> tuple[bytes, Shared]:
    """A serialised model without the tables that the model in the folder ``other`` has as well, and which these are.

    Raises:
        ConfigError: If the two have none in common.
    """
    theirs = read_tensors((other / MODEL).read_bytes())
    common = {
        name: _digest(value)
        for name, value in read_tensors(model).items()
        if value.nbytes >= LEAST_BYTES and name in theirs and _digest(theirs[name]) == _digest(value)
    }
    if not common:
        raise ConfigError(f"a model that shares no table with {other.name!r}", expected="one that began as that model")
    return without_tensors(model, common), Shared(other.name, common)


def restore(model: bytes, shared: Shared, *, models: Path = MODELS) -> bytes:
    """The whole model again.

    Raises:
        CorruptIndexError: If the other model is missing or has other tables.
    """
    path = models / shared.model / MODEL
    try:
        theirs = read_tensors(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _altered(path, f"cannot be read ({error})") from error
    wanted = {name: theirs[name] for name in shared.tables if name in theirs}
    for name, digest in shared.tables.items():
        if name not in wanted or _digest(wanted[name]) != digest:
            raise _altered(path, f"has another table {name!r}")
    return with_tensors(model, wanted)


def _digest(value: Tensor) -> str:
    head = f"{value.dtype.str} {value.shape} ".encode()
    return sha256(head + np.ascontiguousarray(value).tobytes()).hexdigest()


def _altered(path: Path, what: str) -> CorruptIndexError:
    return CorruptIndexError(
        f"{path} {what}", expected="the tables that a model shares with it", remedy="install again"
    )

"""The one door to torch, for modules that compute with it."""

from __future__ import annotations

from typing import Any, TypeAlias

from twindex.indexing.optional import load

torch: Any = load("torch", purpose="training an encoder")
functional: Any = torch.nn.functional

#: A ``torch.Tensor``; shapes and dtypes are written where it is used.
Tensor: TypeAlias = Any
#: Weights by name: those of a BERT encoder as the hub names them, and those of heads under "head.".
Parameters: TypeAlias = "dict[str, Any]"

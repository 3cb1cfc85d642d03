"""Weights packed to travel: each matrix as 8-bit codes with a scale a row, the file cut into parts.

Symmetric, per row: code = round(w / s), s = max|w| / 127, so a weight moves by at most s / 2. Vectors (biases, norms)
stay float32. Meant for teachers, whose scores are distilled, and for machines that are far away; what is served has
its own 8-bit form.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from twindex.indexing.errors import ConfigError
from twindex.indexing.optional import load
from twindex.indexing.training.outputs import write_atomically
from twindex.indexing.training.torch_door import Tensor, torch

LEVELS: Final = 127
SCALE: Final = "|scale"
PART_BYTES: Final = 54 << 20


def pack(source: Path, folder: Path, *, part_bytes: int = PART_BYTES) -> list[Path]:
    """The weights of a safetensors file as ``part-000``, ``part-001``, ... of at most ``part_bytes``."""
    safetensors = load("safetensors.torch", purpose="packing weights")
    packed: dict[str, Tensor] = {}
    for name, value in safetensors.load_file(str(source)).items():
        if value.ndim == 2 and value.is_floating_point():
            packed[name], packed[name + SCALE] = quantise_rows(value.float())
        else:
            packed[name] = value
    content = safetensors.save(packed)
    paths = []
    for number, start in enumerate(range(0, len(content), part_bytes)):
        paths.append(folder / f"part-{number:03d}")
        write_atomically(paths[-1], content[start : start + part_bytes])
    return paths


def unpack(folder: Path, target: Path) -> None:
    """The safetensors file, in float16, of the parts in a folder.

    Raises:
        ConfigError: If there are no parts.
    """
    safetensors = load("safetensors.torch", purpose="unpacking weights")
    parts = sorted(folder.glob("part-*"))
    if not parts:
        raise ConfigError(f"no part-000 in {folder}", expected="the parts that packing made")
    stored = safetensors.load(b"".join(part.read_bytes() for part in parts))
    whole = {
        name: (value.float() * stored[name + SCALE]).half() if name + SCALE in stored else value
        for name, value in stored.items()
        if not name.endswith(SCALE)
    }
    write_atomically(target, safetensors.save(whole, {"format": "pt"}))


def quantise_rows(values: Tensor) -> tuple[Tensor, Tensor]:
    """Codes int8[n, m] and scales float32[n, 1]; a row of zeros has the scale 1."""
    largest = values.abs().amax(dim=1, keepdim=True)
    scales = torch.where(largest > 0, largest / LEVELS, torch.ones_like(largest))
    return torch.round(values / scales).to(torch.int8), scales

"""Teachers: what they say of every text is computed once, and kept under the hash of what it depends on.

An embedding teacher leaves float16 vectors of queries, of texts, and of texts with their titles; any score of it is
a product of two of these. BM25 needs nothing kept: it is computed for the documents of a step.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np

from twindex.indexing.encoders.bert_weights import BertShape
from twindex.indexing.encoders.digests import file_sha256
from twindex.indexing.errors import ConfigError
from twindex.indexing.training.batches import DeviceTable, Padded, assemble
from twindex.indexing.training.bert import bert_states, load_bert, mean_pool
from twindex.indexing.training.mpnet import load_body
from twindex.indexing.training.outputs import write_atomically
from twindex.indexing.training.torch_door import Parameters, Tensor, torch
from twindex.indexing.training.training_set import TrainingSet
from twindex.indexing.types import Progress, no_progress

#: Sequences that are sorted by length together.
BLOCK: Final = 8192
PIECES: Final = 16
Embed = Callable[[Padded], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class TeacherVectors:
    """What one embedding teacher says, on a device.

    Shapes: ``queries`` float16[q, d]; ``texts`` and ``titled`` float16[p, d]; rows of length 1.
    """

    name: str
    queries: Tensor
    texts: Tensor
    titled: Tensor


def bert_teacher(path: Path, shape: BertShape, device: str) -> Embed:
    """A sentence encoder of BERT's architecture and some shape, mean pooled, from a ``model.safetensors``."""
    return _mean_of(load_bert(path), shape, device)


def body_teacher(path: Path, device: str) -> Embed:
    """A sentence encoder of MiniLM's or MPNet's shape, mean pooled, from a ``model.safetensors``."""
    return _mean_of(*load_body(path), device)


def _mean_of(weights: Parameters, shape: BertShape, device: str) -> Embed:
    placed = {name: value.to(device) for name, value in weights.items()}

    def embed(batch: Padded) -> Tensor:
        return mean_pool(bert_states(placed, shape, batch.ids, batch.mask), batch.mask)

    return embed


def teacher_vectors(
    name: str,
    embed: Embed,
    data: TrainingSet,
    *,
    device: str,
    digest: str,
    cache: Path | None,
    limit: int = 256,
    progress: Progress = no_progress,
) -> TeacherVectors:
    """The vectors of a training set by one teacher, from the cache if they are there.

    Args:
        name: What the teacher is called in reports.
        embed: The teacher.
        data: The training set.
        device: Where to compute and keep them.
        digest: Hash of the teacher's weights.
        cache: Folder of cached vectors; None = keep nothing.
        limit: Tokens of a text, special ones included.
        progress: Called after each block.
    """
    key = sha256(f"{digest} {data.about.get('sha256', '')} {limit}".encode()).hexdigest()[:24]
    titles = DeviceTable(data.titles, device)
    texts, queries = DeviceTable(data.passages, device), DeviceTable(data.queries, device)
    jobs = {"queries": (queries, None), "texts": (texts, None), "titled": (texts, titles)}
    made = {}
    for part, (table, head) in jobs.items():
        path = None if cache is None else cache / f"{name}-{key}-{part}.npy"
        if path is not None and path.is_file():
            made[part] = torch.from_numpy(np.load(path)).to(device)
            continue
        made[part] = _embed_all(embed, table, head, limit, device, partial(progress, part))
        if path is not None:
            buffer = io.BytesIO()
            np.save(buffer, made[part].cpu().numpy())
            write_atomically(path, buffer.getvalue())
    return TeacherVectors(name, made["queries"], made["texts"], made["titled"])


def weights_digest(path: Path) -> str:
    """Hash of a teacher's weights, for the cache's key.

    Raises:
        ConfigError: If there is no such file.
    """
    if not path.is_file():
        raise ConfigError(f"no teacher weights at {path}", expected="a model.safetensors")
    return file_sha256(path)


def describe(folder: Path, teachers: dict[str, str]) -> None:
    """Write which teachers (by the hash of their weights) a cache belongs to."""
    write_atomically(folder / "teachers.json", json.dumps(teachers, indent=1, sort_keys=True).encode())


def _embed_all(
    embed: Embed,
    table: DeviceTable,
    titles: DeviceTable | None,
    limit: int,
    device: str,
    progress: Callable[[int, int], None],
) -> Tensor:
    total, parts = len(table.lengths), []
    kind = "cuda" if device.startswith("cuda") else "cpu"
    with torch.inference_mode(), torch.autocast(kind, dtype=torch.bfloat16, enabled=kind == "cuda"):
        for start in range(0, total, BLOCK):
            at = torch.arange(start, min(start + BLOCK, total), device=device)
            out = None
            for batch in assemble(table, at, limit=limit, titles=titles, pieces=PIECES):
                found = embed(batch).half()
                out = torch.empty(len(at), found.shape[1], dtype=found.dtype, device=device) if out is None else out
                out[batch.rows] = found
            parts.append(out)
            progress(start + len(at), total)
    return torch.cat(parts)

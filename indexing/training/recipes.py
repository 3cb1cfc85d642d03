"""A run from folders: the training set, the base, the teachers, the candidates, then the trainer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from twindex.indexing.encoders.idf_table import document_frequencies, idf_bytes, idf_weights, read_idf
from twindex.indexing.encoders.term_space import TermSpace
from twindex.indexing.errors import ConfigError, DeviceError
from twindex.indexing.training.candidates import bm25_candidates, dense_candidates
from twindex.indexing.training.config import TrainConfig
from twindex.indexing.training.model import Twin
from twindex.indexing.training.mpnet import load_body
from twindex.indexing.training.outputs import write_atomically
from twindex.indexing.training.teachers import (
    TeacherVectors,
    body_teacher,
    describe,
    teacher_vectors,
    weights_digest,
)
from twindex.indexing.training.torch_door import torch
from twindex.indexing.training.trainer import Trainer
from twindex.indexing.training.training_set import TrainingSet
from twindex.indexing.types import Float32Array, Int32Array, Progress, no_progress

#: Candidates a query from each search, where they are mined here.
MINED = 16
#: Idf of a word of the usual query.
USUAL_IDF = 6.0
IDF = "idf.npz"


@dataclass(frozen=True, slots=True)
class Inputs:
    """Folders and files of a run.

    ``base`` is the student's ``model.safetensors``: a MiniLM, for a reranker also an MPNet. ``teachers`` are folders of
    sentence encoders of these architectures, ``cross`` the weights of a trained cross-encoder, a further teacher.
    ``idf`` None = that of the training texts. ``cache`` keeps teacher vectors and candidates.
    """

    data: Path
    base: Path
    teachers: tuple[Path, ...] = ()
    cross: Path | None = None
    idf: Path | None = None
    cache: Path | None = None
    device: str = "cpu"


def make_trainer(
    config: TrainConfig,
    inputs: Inputs,
    out: Path,
    *,
    probes: Mapping[str, TrainingSet] | None = None,
    progress: Progress = no_progress,
) -> Trainer:
    """Everything that a run needs, loaded.

    Raises:
        ConfigError: If a folder does not hold what it should.
        DeviceError: If the device is absent.
    """
    check_device(inputs.device)
    data = TrainingSet.load(inputs.data)
    idf = training_idf(inputs, data)
    digests = {folder.name: weights_digest(folder / "model.safetensors") for folder in inputs.teachers}
    teachers = [_teacher(folder, data, inputs, digests[folder.name], progress) for folder in inputs.teachers]
    data = with_candidates(data, teachers, idf, inputs, config)
    if inputs.cache is not None:
        describe(inputs.cache, digests)
    write_atomically(out / IDF, idf_bytes(idf, TermSpace.bert_uncased()))
    if config.recipe == "rerank":
        model = Twin(*load_body(inputs.base))
    else:
        model = Twin.load(inputs.base, activation=config.activation)
    about: dict[str, Any] = {"data": data.about.get("sha256"), "base": weights_digest(inputs.base), "teachers": digests}
    weights = torch.from_numpy(idf)
    cross = None
    if inputs.cross is not None:
        cross = Twin(*load_body(inputs.cross))
        about["cross"] = weights_digest(inputs.cross)
    return Trainer(
        config,
        data,
        model,
        teachers,
        weights,
        out=out,
        device=inputs.device,
        probes=probes,
        about=about,
        cross=cross,
    )


def training_idf(inputs: Inputs, data: TrainingSet) -> Float32Array:
    """The given idf table, or that of the training texts.

    Raises:
        ConfigError: If the training set has other terms than this version makes.
    """
    space = TermSpace.bert_uncased()
    if inputs.idf is not None:
        return read_idf(inputs.idf.read_bytes(), space, path=inputs.idf)
    if data.about.get("terms", space.fingerprint) != space.fingerprint:
        raise ConfigError(
            f"a training set with the terms {data.about['terms']}",
            expected=space.fingerprint,
            remedy="make it again with: twindex train prepare",
        )
    frequencies, total = document_frequencies(data.passage_terms, space.size)
    return idf_weights(frequencies, total)


def with_candidates(
    data: TrainingSet, teachers: Sequence[TeacherVectors], idf: Float32Array, inputs: Inputs, config: TrainConfig
) -> TrainingSet:
    """The set with candidates of every search beside its own negatives."""
    name = (
        f"candidates-{data.about.get('sha256', '')[:24]}{f'-far{config.far}-{config.seed}' if config.far else ''}.npy"
    )
    path = None if inputs.cache is None else inputs.cache / name
    if path is not None and path.is_file():
        return data.with_negatives(np.load(path))
    found: list[Int32Array] = [data.negatives]
    found += [dense_candidates(data, teacher, MINED, far=config.far, seed=config.seed) for teacher in teachers]
    if not (data.negatives.size and bool((data.negatives >= 0).all())):
        found.append(bm25_candidates(data, idf, MINED, inputs.device))
    joined = np.concatenate(found, axis=1)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = path.with_suffix(".part.npy")
        np.save(staging, joined)
        staging.replace(path)
    return data.with_negatives(joined)


def train(
    trainer: Trainer, *, minutes: float = math.inf, probe_every: int = 0, progress: Progress = no_progress
) -> bool:
    """Run until done or out of time; whether it is done."""
    return trainer.run(seconds=60 * minutes, probe_every=probe_every, progress=progress)


def ablations(config: TrainConfig) -> dict[str, TrainConfig]:
    """The same run with one switch changed each, by name.

    Where documents carry idf, the model's expansions are not multiplied by it, and begin larger by the mean of it.
    Forms of the penalty differ in size; the factors of their weights were measured so that all begin with one loss.
    """
    by_documents: dict[str, Any] = {"idf_side": "documents", "first_size": config.first_size * USUAL_IDF}

    def weighing(factor: float, **changes: Any) -> TrainConfig:
        return replace(config, penalty_weight=factor * config.penalty_weight, **changes)

    return {
        "plain": config,
        "another-seed": replace(config, seed=config.seed + 1),
        "no-penalty": replace(config, penalty_weight=0.0, target_nonzeros=0),
        "idf-flops": weighing(10.7, penalty="idf-flops"),
        "idf-flops-v1": weighing(0.287, penalty="idf-flops", **by_documents),
        "flops-without-idf": weighing(0.028, **by_documents),
        "df-flops": weighing(18.0, penalty="df-flops"),
        "l0-mask": weighing(1.58, least=60),
        "double-log": weighing(1.3, activation="log1p-log1p"),
        "dense-teachers-alone": replace(config, bm25_weight=0.0),
        "bm25-alone": replace(config, dense_weight=0.0, cosine_share=0.0),
        "no-label": replace(config, label_weight=0.0),
        "sparse-only": replace(config, recipe="sparse"),
        "siamese": replace(config, query_expansion=1.0),
    }


def check_device(device: str) -> None:
    """Nothing, if the device is there.

    Raises:
        DeviceError: If it is not.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceError(f"device {device!r}", expected="a GPU that torch sees", remedy="use cpu")


def write_report(path: Path, trainer: Trainer) -> None:
    """The history of a run as a table of tab-separated values, one line a log entry."""
    keys = sorted({key for record in trainer.history for key in record})
    lines = ["\t".join(keys)] + ["\t".join(str(record.get(key, "")) for key in keys) for record in trainer.history]
    write_atomically(path, ("\n".join(lines) + "\n").encode())


def _teacher(folder: Path, data: TrainingSet, inputs: Inputs, digest: str, progress: Progress) -> TeacherVectors:
    device = inputs.device
    embed = body_teacher(folder / "model.safetensors", device)
    return teacher_vectors(
        folder.name, embed, data, device=device, digest=digest, cache=inputs.cache, progress=progress
    )

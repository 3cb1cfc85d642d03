"""A run's state in a folder: weights, optimiser, step, settings. Written whole, then renamed into place.

``model.safetensors`` holds weights alone, as float16: that is what is exported, and what travels where the
optimiser's state (twice the size in float32) cannot; a run resumed from it starts its moments afresh.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from twindex.indexing.errors import ConfigError
from twindex.indexing.optional import load
from twindex.indexing.training.config import TrainConfig
from twindex.indexing.training.outputs import write_atomically
from twindex.indexing.training.torch_door import Parameters, Tensor

STATE: Final = "state.safetensors"
MODEL: Final = "model.safetensors"
ABOUT: Final = "run.json"
#: The weights that the probes liked best.
BEST: Final = "best.safetensors"


@dataclass(slots=True)
class RunState:
    """Where a run is. ``moments`` holds the optimiser's tensors by "NAME|KEY"; empty = to be started afresh.

    ``best`` is the highest sum of the probes so far.
    """

    step: int
    penalty: float
    weights: Parameters
    moments: Parameters = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    best: float = 0.0


def save_run(folder: Path, state: RunState, config: TrainConfig, about: dict[str, Any]) -> None:
    """Write a checkpoint: all of it in float32, and the weights alone in float16."""
    safetensors = load("safetensors.torch", purpose="writing weights")
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"w|{name}": _plain(value) for name, value in state.weights.items()}
    tensors |= {f"m|{name}": _plain(value) for name, value in state.moments.items()}
    write_atomically(folder / STATE, safetensors.save(tensors, {"step": str(state.step)}))
    write_atomically(folder / MODEL, _halves(state.weights))
    record = {"step": state.step, "penalty": state.penalty, "config": config.to_dict(), "digest": config.digest()}
    record |= {"about": about, "history": state.history, "best": state.best}
    write_atomically(folder / ABOUT, json.dumps(record, indent=1).encode())


def load_run(folder: Path, config: TrainConfig) -> RunState | None:
    """The last checkpoint of a folder; None if there is none.

    Raises:
        ConfigError: If it was made under other settings.
    """
    safetensors = load("safetensors.torch", purpose="reading weights")
    if not (folder / ABOUT).is_file():
        return None
    record = json.loads((folder / ABOUT).read_bytes())
    if record["digest"] != config.digest():
        raise ConfigError(
            f"{folder} holds a run under other settings ({record['digest']})",
            expected=f"settings {config.digest()}",
            remedy="give another folder, or the settings of that run",
        )
    weights: Parameters = {}
    moments: Parameters = {}
    if (folder / STATE).is_file():
        for name, value in safetensors.load_file(str(folder / STATE)).items():
            (weights if name.startswith("w|") else moments)[name[2:]] = value.clone()  # not mapped
    else:
        weights = {k: v.float() for k, v in safetensors.load_file(str(folder / MODEL)).items()}
    return RunState(record["step"], record["penalty"], weights, moments, record["history"], record["best"])


def save_best(folder: Path, weights: Parameters, step: int) -> None:
    """Keep these weights, as float16, apart from the last checkpoint."""
    write_atomically(folder / BEST, _halves(weights, {"step": str(step)}))


def _halves(weights: Parameters, about: dict[str, str] | None = None) -> bytes:
    safetensors = load("safetensors.torch", purpose="writing weights")
    content: bytes = safetensors.save({name: _plain(value).half() for name, value in weights.items()}, about)
    return content


def _plain(value: Tensor) -> Tensor:
    return value.detach().cpu().contiguous()

"""The loop: steps until the plan or the time is over, with a log, checkpoints and a check of health."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from twindex.indexing.training import health, losses
from twindex.indexing.training.batches import assemble
from twindex.indexing.training.checkpoint import RunState, load_run, save_best, save_run
from twindex.indexing.training.config import TrainConfig
from twindex.indexing.training.model import Twin
from twindex.indexing.training.objective import Objective
from twindex.indexing.training.probe import Probe
from twindex.indexing.training.rerank import CrossTeacher, RerankObjective, with_score_head
from twindex.indexing.training.sampling import Sampler
from twindex.indexing.training.sparse_head import BIAS, OWN, TEMPERATURE, calibrate
from twindex.indexing.training.teachers import TeacherVectors
from twindex.indexing.training.torch_door import Parameters, Tensor, torch
from twindex.indexing.training.training_set import TrainingSet
from twindex.indexing.types import Progress, no_progress

logger = logging.getLogger(__name__)
#: Steps between lines of the log.
LOG_EVERY: Final = 50
#: How fast the penalty's weight follows the non-zeros, a step.
STEERING: Final = 0.003
#: Length at which gradients are cut.
CLIP: Final = 1.0
#: Documents that a fresh head is calibrated on.
CALIBRATION: Final = 256
LOG: Final = "log.jsonl"


class Trainer:
    """One run in one folder. Made again on the same folder with the same settings, it resumes.

    Args:
        config: Settings.
        data: The training set.
        model: The student, on the device; a checkpoint in ``out`` replaces its weights.
        teachers: Embedding teachers.
        idf: float32[terms].
        out: Folder of checkpoints and log.
        device: Where the model runs.
        probes: Judged sets to look at now and then, by name.
        about: What else to record (hashes of bases and teachers).
        cross: A trained cross-encoder as a further teacher.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: TrainingSet,
        model: Twin,
        teachers: list[TeacherVectors],
        idf: Tensor,
        *,
        out: Path,
        device: str,
        probes: Mapping[str, TrainingSet] | None = None,
        about: dict[str, Any] | None = None,
        cross: Twin | None = None,
    ) -> None:
        self.config, self.model, self.idf, self.out, self.device = config, model.to(device), idf.to(device), out, device
        form: Any = {"side": config.idf_side, "expansion": config.query_expansion}
        self.probes = {name: Probe(found, len(idf), device, **form) for name, found in (probes or {}).items()}
        self.about = about or {}
        kind = RerankObjective if config.recipe == "rerank" else Objective
        self.objective = kind(config, data, teachers, self.idf, device)
        if cross is not None:
            tables = (self.objective.queries, self.objective.passages, self.objective.titles)
            self.objective.cross = CrossTeacher(cross.to(device).weights, cross.shape, tables, config.document_tokens)
        self.sampler = Sampler(data, config)
        state = load_run(out, config)
        if state is None:
            self.step, self.penalty, self.best, self.history = 0, config.penalty_weight, 0.0, []
            self._calibrate(len(data.passages))
        else:
            self.step, self.penalty, self.best, self.history = state.step, state.penalty, state.best, state.history
            self.model.weights.update({name: value.to(device) for name, value in state.weights.items()})
        if config.recipe == "rerank":
            with_score_head(self.model.weights, config.seed)
        self._cosines: dict[str, Tensor] = {}
        if config.recipe == "rerank" and self.probes:
            self._cosines = {name: found.cosines(self.model) for name, found in self.probes.items()}
        frozen = config.frozen
        self.parameters: Parameters = {k: v for k, v in self.model.weights.items() if not k.startswith(frozen)}
        for value in self.parameters.values():
            value.requires_grad_()
        self.optimiser = self._optimiser(state.moments if state else {})
        out.mkdir(parents=True, exist_ok=True)

    def run(
        self,
        *,
        seconds: float = math.inf,
        probe_every: int = 0,
        save_every: int = 0,
        progress: Progress = no_progress,
        clock: Callable[[], float] = time.monotonic,
    ) -> bool:
        """Train until the planned steps are done (True) or the time is over (False); ends with a checkpoint.

        Raises:
            CollapseError: If training has stopped to mean anything; the last checkpoint is kept.
        """
        started = clock()
        if probe_every and self.step == 0:
            self._probe()
        while self.step < self.config.steps and clock() - started < seconds:
            figures = self._one()
            if self.step % LOG_EVERY == 0 or self.step == self.config.steps:
                figures["seconds"] = clock() - started
                self._log(figures)
            if probe_every and self.step % probe_every == 0:
                self._probe()
            if save_every and self.step % save_every == 0:
                self.save()
            progress("training", self.step, self.config.steps)
        self.save()
        return self.step >= self.config.steps

    def save(self) -> None:
        """Write a checkpoint."""
        state = RunState(self.step, self.penalty, self.model.weights, self._moments(), self.history, self.best)
        save_run(self.out, state, self.config, self.about)

    def _one(self) -> dict[str, float]:
        config = self.config
        rate = _rate(self.step, config)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["base"]
        choice = self.sampler.step(self.step, config.queries, config.group)
        draw = torch.Generator().manual_seed(config.seed * 7_919 + self.step)
        drop = bool(torch.rand(1, generator=draw) < config.drop_sentence)
        kind = "cuda" if self.device.startswith("cuda") else "cpu"
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=kind == "cuda"):
            penalty = self.penalty * losses.ramp(self.step, config.penalty_ramp)
            self.optimiser.zero_grad(set_to_none=True)
            parts = self.objective.loss(self.model, choice, penalty, drop)
        parts.total.backward()
        norm = torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), CLIP)
        figures = parts.figures
        figures["gradient"] = float(norm)
        health.check(figures, vocabulary=self._columns(), step=self.step)
        self.optimiser.step()
        self.step += 1
        self._steer(figures.get("nonzeros", 0.0))
        return figures

    def _columns(self) -> int:
        bias = self.model.weights.get(BIAS)
        return 1 if bias is None else len(bias)

    def _steer(self, nonzeros: float) -> None:
        """Move the penalty's weight towards the wanted number of non-zeros."""
        target = self.config.target_nonzeros
        if target and self.config.is_sparse and self.step > self.config.penalty_ramp // 2:
            off = max(-1.0, min(1.0, nonzeros / target - 1.0))
            self.penalty *= math.exp(STEERING * off)

    def _calibrate(self, passages: int) -> None:
        if not self.config.is_sparse or not self.model.fresh:
            return  # the head of an earlier run is one already
        draw = torch.Generator().manual_seed(self.config.seed)
        at = torch.randperm(passages, generator=draw)[:CALIBRATION].to(self.device)
        with torch.no_grad():
            limit = self.config.document_tokens
            (batch,) = assemble(self.objective.passages, at, limit=limit, titles=self.objective.titles)
            states = self.model.states(batch)
            calibrate(
                self.model.weights, states, batch.inner, active=self.config.first_active, size=self.config.first_size
            )

    def _optimiser(self, moments: Parameters) -> Any:
        config = self.config
        groups: Any = {}
        for name, value in self.parameters.items():
            if name in (BIAS, OWN, TEMPERATURE):
                kind = (config.head_rate, 0.0)
            elif name.startswith("head."):
                kind = (config.head_ratio * config.learning_rate, 0.0)
            else:
                kind = (config.learning_rate, config.weight_decay if value.ndim > 1 else 0.0)
            groups.setdefault(kind, []).append(value)
        groups = [{"params": v, "base": rate, "weight_decay": decay} for (rate, decay), v in groups.items()]
        made = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), eps=1e-8, fused=self.device.startswith("cuda"))
        for name, value in self.parameters.items():
            kept = {
                key: moments[f"{name}|{key}"] for key in ("step", "exp_avg", "exp_avg_sq") if f"{name}|{key}" in moments
            }
            if kept:
                where = {"step": self.device if self.device.startswith("cuda") else "cpu"}
                made.state[value] = {key: tensor.to(where.get(key, self.device)) for key, tensor in kept.items()}
        return made

    def _moments(self) -> Parameters:
        return {
            f"{name}|{key}": tensor
            for name, value in self.parameters.items()
            for key, tensor in self.optimiser.state.get(value, {}).items()
        }

    def _probe(self) -> None:
        total = 0.0
        for name, found in self.probes.items():
            if self.config.recipe == "rerank":
                cross = found.cross(self.model, self.config.document_tokens)
                figures = found.reranked(cross, self._cosines[name])
                total += figures["fused"]
            else:
                figures = found.look(self.model).to_dict()
                total += figures["dense"] * self.config.is_dense + figures["pruned"] * self.config.is_sparse
            self._log({"probe": name, **figures})
        if self.probes and total > self.best:
            self.best = total
            save_best(self.out, self.model.weights, self.step)

    def _log(self, figures: Mapping[str, Any]) -> None:
        record = {"step": self.step, **{k: round(v, 6) if isinstance(v, float) else v for k, v in figures.items()}}
        self.history.append(record)
        line = json.dumps(record)
        with (self.out / LOG).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        logger.info("%s", line)


def _rate(step: int, config: TrainConfig) -> float:
    """Share of the learning rate at a step: up in a line, down in a line."""
    if step < config.warm_up:
        return (step + 1) / config.warm_up
    return max(0.0, (config.steps - step) / max(1, config.steps - config.warm_up))

"""From a run's weights to the folder that is served: an ONNX graph, tables, and what they are."""

from __future__ import annotations

import json
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from twindex.indexing.encoders.bert_graph import Precision
from twindex.indexing.encoders.bert_weights import BertShape, SafetensorsBert
from twindex.indexing.encoders.cross_encoder import ABOUT as RERANK
from twindex.indexing.encoders.idf_table import read_idf
from twindex.indexing.encoders.own_terms import ExpansionRule, QueryRule
from twindex.indexing.encoders.pair_graph import BIAS, WEIGHT, ScoreHead, pair_graph
from twindex.indexing.encoders.term_space import TermSpace
from twindex.indexing.encoders.twin import ABOUT, DEFAULT_LENGTH, MODEL, TERMS, TermWeights
from twindex.indexing.encoders.twin_graph import OWN, VERSION, Activation, SparseHead, twin_graph
from twindex.indexing.encoders.windows import Windows
from twindex.indexing.errors import ConfigError
from twindex.indexing.training.outputs import write_atomically

#: The weights that the probes liked best, and those of the last checkpoint.
WEIGHTS_FILES: Final = ("best.safetensors", "model.safetensors")
RUN_FILE: Final = "run.json"
IDF: Final = "idf.npz"
#: Tokens of a reranker's pair, and where it reads texts.
PAIR_LENGTH: Final = 288
READ: Final = Windows()
MINILM: Final = BertShape(layers=6, heads=12, hidden=384)
#: Weight at which impacts of an index end: they have 255 steps up to it.
MAX_WEIGHT: Final = 3.0
#: Chosen on the steering probes for the twin of the package: words that the text has need little help.
TUNED: Final = ExpansionRule(own_scale=0.5, new_scale=1.4, kept=64)


def export_twin(
    run: Path,
    out: Path,
    *,
    precision: Precision = "int8",
    shape: BertShape = MINILM,
    max_length: int = DEFAULT_LENGTH,
    rule: ExpansionRule = TUNED,
) -> dict[str, Any]:
    """Write the served form of a run's folder; returns its description. The same run gives the same bytes.

    The weights are those that the probes liked best, if there were any, else those of the last checkpoint.

    Raises:
        ConfigError: If the folder lacks weights or an idf table.
    """
    source, record = run_weights(run, (IDF,))
    if record["config"].get("idf_side", "queries") != "queries":
        raise ConfigError(
            "a run whose documents carry idf", expected="one whose queries do: the form that an index can weigh anew"
        )
    weights, space = SafetensorsBert(source, shape), TermSpace.bert_uncased()
    head = SparseHead.fold(weights, cast(Activation, record["config"]["activation"]))
    idf = read_idf((run / IDF).read_bytes(), space, path=run / IDF)
    terms = TermWeights(space, idf, np.maximum(weights.vector(OWN), np.float32(0)), rule)
    files = {MODEL: twin_graph(weights, head, precision), TERMS: terms.to_bytes()}
    about = {
        "kind": "twin",
        "version": VERSION,
        "precision": precision,
        "max_length": max_length,
        "vocabulary": space.size,
        "max_weight": MAX_WEIGHT,
        "terms": space.fingerprint,
        "rule": asdict(rule),
        "queries": asdict(QueryRule()),
    }
    return write_folder(out, ABOUT, files, about, record, source)


def run_weights(run: Path, needed: tuple[str, ...] = ()) -> tuple[Path, dict[str, Any]]:
    """The file of weights that a run is exported from, and the run's record.

    Raises:
        ConfigError: If the folder is none of a run.
    """
    found = [run / name for name in WEIGHTS_FILES if (run / name).is_file()]
    missing = [name for name in (RUN_FILE, *needed) if not (run / name).is_file()]
    if missing or not found:
        raise ConfigError(
            f"no {', '.join(missing) or WEIGHTS_FILES[-1]} in {run}", expected="the folder of a run of twindex train"
        )
    record = json.loads((run / RUN_FILE).read_bytes())
    return found[0], {**record, "step": _step(found[0], record["step"])}


def _step(weights: Path, last: int) -> int:
    """The step of a file of weights, which says so unless it is the last checkpoint."""
    with weights.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return int(header.get("__metadata__", {}).get("step", last))


def write_folder(
    out: Path, name: str, files: dict[str, bytes], about: dict[str, Any], record: dict[str, Any], source: Path
) -> dict[str, Any]:
    """Write files, and beside them a description that names them by sha256; returns the description."""
    for file, content in files.items():
        write_atomically(out / file, content)
    about["sha256"] = {file: sha256(content).hexdigest() for file, content in files.items()}
    about["training"] = {"step": record["step"], "weights": source.name, "config": record["config"], **record["about"]}
    write_atomically(out / name, json.dumps(about, indent=1, sort_keys=True).encode())
    return about


def export_reranker(
    run: Path,
    out: Path,
    *,
    precision: Precision = "int8",
    shape: BertShape = MINILM,
    max_length: int = PAIR_LENGTH,
    windows: Windows | None = READ,
) -> dict[str, Any]:
    """Write the served form of a reranker's run; returns its description. The same run gives the same bytes.

    ``windows``: where texts are read; None = at their beginning.

    Raises:
        ConfigError: If the folder lacks weights, or they are none of a cross-encoder.
    """
    source, record = run_weights(run)
    weights = SafetensorsBert(source, shape)
    head = ScoreHead(weights.vector(WEIGHT).reshape(-1), weights.vector(BIAS).reshape(-1))
    content = pair_graph(weights, head, precision, max_length)
    about: dict[str, Any] = {"kind": "rerank", "precision": precision, "max_length": max_length}
    if windows is not None:
        about["windows"] = windows.to_dict()
    files = {MODEL: content}
    return write_folder(out, RERANK, files, about, record, source)

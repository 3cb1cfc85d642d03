"""From a run's weights to the folder that is served: an ONNX graph, the idf table, and what they are."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import numpy as np

from twindex.indexing.encoders.bert_graph import Precision
from twindex.indexing.encoders.bert_weights import BertShape, SafetensorsBert
from twindex.indexing.encoders.twin import ABOUT, DEFAULT_LENGTH, IDF, MODEL
from twindex.indexing.encoders.twin_graph import PARTS, VERSION, Activation, SparseHead, twin_graph
from twindex.indexing.errors import ConfigError
from twindex.indexing.training.outputs import write_atomically

WEIGHTS_FILE = "model.safetensors"
RUN_FILE = "run.json"
WORDS = "embeddings.word_embeddings.weight"
MINILM = BertShape(layers=6, heads=12, hidden=384)


def export_twin(
    run: Path, out: Path, *, precision: Precision = "int8", shape: BertShape = MINILM, max_length: int = DEFAULT_LENGTH
) -> dict[str, Any]:
    """Write the served form of a run's folder; returns its description. The same run gives the same bytes.

    Raises:
        ConfigError: If the folder lacks weights or an idf table.
    """
    for name in (WEIGHTS_FILE, IDF, RUN_FILE):
        if not (run / name).is_file():
            raise ConfigError(f"no {name} in {run}", expected="the folder of a run of twindex train twin")
    record = json.loads((run / RUN_FILE).read_bytes())
    weights = SafetensorsBert(run / WEIGHTS_FILE, shape)
    activation = cast(Activation, record["config"]["activation"])
    head = SparseHead.fold({name: weights.vector(name) for name in PARTS}, weights.floats(WORDS), activation)
    files = {MODEL: twin_graph(weights, head, precision), IDF: (run / IDF).read_bytes()}
    for name, content in files.items():
        write_atomically(out / name, content)
    about = {
        "kind": "twin",
        "version": VERSION,
        "precision": precision,
        "max_length": max_length,
        "vocabulary": int(np.shape(head.bias)[0]),
        "sha256": {name: sha256(content).hexdigest() for name, content in files.items()},
        "training": {"step": record["step"], "config": record["config"], **record["about"]},
    }
    write_atomically(out / ABOUT, json.dumps(about, indent=1, sort_keys=True).encode())
    return about

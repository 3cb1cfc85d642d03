"""A small corpus of our own, and an index of it with the hashing encoder (no model, deterministic)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twindex.api.cli import main

DOCUMENTS = [
    {
        "_id": "whale",
        "title": "Blue whale",
        "text": "The blue whale is the largest animal that has ever lived.",
        "metadata": {"kind": "animal", "year": 2019},
    },
    {
        "_id": "bee",
        "title": "Honey bee",
        "text": "Honey bees store nectar as honey inside the hive. They dance to tell where flowers are.",
        "metadata": {"kind": "animal", "year": 2021},
    },
    {
        "_id": "tide",
        "title": "Tides",
        "text": "Tides rise and fall with the pull of the moon.",
        "metadata": {"kind": "physics", "year": 2021},
    },
    {
        "_id": "moon",
        "title": "The moon",
        "text": "The moon turns around the earth once a month.",
        "metadata": {"kind": "physics", "year": 2020},
    },
    {
        "_id": "bread",
        "title": "Bread",
        "text": "Bread rises when yeast makes gas in the dough.",
        "metadata": {"kind": "food", "year": 2018},
    },
]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    path.write_text("\n".join(json.dumps(document) for document in DOCUMENTS) + "\n")
    return path


@pytest.fixture(scope="session")
def index(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("index") / "twin"
    with pytest.raises(SystemExit) as left:
        main(["index", str(corpus), "--into", str(path), "--encoder", "hashing"])
    assert left.value.code == 0
    return path


@pytest.fixture(scope="session")
def sparse_index(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("index") / "sparse"
    with pytest.raises(SystemExit) as left:
        main(["index", str(corpus), "--into", str(path), "--encoder", "none"])
    assert left.value.code == 0
    return path

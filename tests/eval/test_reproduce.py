"""Reference scores run for real where the collections are: TWINDEX_DATA names their folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from twindex.eval.reproduce import ReproduceOptions, Reproduction, markdown, reproduce
from twindex.indexing.encoding import Encoder
from twindex.indexing.errors import ModelNotFoundError

DATA = os.environ.get("TWINDEX_DATA")


def no_model(name: str) -> Encoder:
    raise ModelNotFoundError(f"no model {name!r}")


@pytest.mark.skipif(not DATA, reason="TWINDEX_DATA is not set")
@pytest.mark.parametrize("name", ["scifact", "cranfield", "cisi", "convfinqa-dev", "tatqa"])
def test_bm25_is_where_others_are_and_statistics_are_exact(name: str, tmp_path: Path) -> None:
    folder = Path(DATA or "")
    if not (folder / name).is_dir():
        pytest.skip(f"no {name} in TWINDEX_DATA")
    found = reproduce(ReproduceOptions(folder, datasets=(name,), systems=("bm25",), cache=tmp_path), resolve=no_model)
    assert {o.status for o in found.outcomes} == {"OK"}
    assert all(o.statistics for o in found.outcomes)


def test_what_is_not_here_is_missing_and_fails_nothing(tmp_path: Path) -> None:
    found = reproduce(ReproduceOptions(tmp_path, datasets=("scifact",), cache=tmp_path), resolve=no_model)
    assert found.counts() == {"missing": 3}
    assert found.passed
    text = markdown(found, ["- today"])
    assert "- scifact / test / bm25: no corpus" in text
    assert str(tmp_path) not in text  # one machine's folder is nobody's business
    assert text.rstrip().endswith("- today")
    assert Reproduction().passed

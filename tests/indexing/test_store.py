"""Passages of a segment: round trips, lookups, determinism, damage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twindex.indexing.errors import CorpusError, CorruptIndexError
from twindex.indexing.filters import parse_filter
from twindex.indexing.store import StoreReader, StoreWriter
from twindex.indexing.store.writer import json_strings
from twindex.indexing.types import MetaValue, Passage

TEXT = st.text(st.characters(), max_size=20)
VALUES: st.SearchStrategy[MetaValue] = st.one_of(
    st.one_of(TEXT, st.integers(-(2**80), 2**80), st.floats(allow_nan=False, allow_infinity=False)),
    st.one_of(st.booleans(), st.none(), st.lists(TEXT, max_size=3), st.lists(st.integers(-9, 9), max_size=3)),
)
METADATA = st.dictionaries(TEXT, VALUES, max_size=3)
PASSAGES = st.lists(
    st.builds(Passage, TEXT, TEXT, TEXT, TEXT, st.integers(0, 9), st.integers(0, 99), METADATA), max_size=6
)


def write(passages: list[Passage], folder: Path, *, each: int = 2) -> StoreReader:
    folder.mkdir(parents=True, exist_ok=True)
    writer = StoreWriter(folder)
    for at in range(0, len(passages), each):
        writer.add(passages[at : at + each])
    writer.finish()
    return StoreReader(folder)


@settings(max_examples=80, deadline=None)
@given(passages=PASSAGES, each=st.integers(1, 4))
def test_what_goes_in_comes_out(tmp_path_factory: pytest.TempPathFactory, passages: list[Passage], each: int) -> None:
    reader = write(passages, tmp_path_factory.mktemp("store"), each=each)
    everything = np.arange(len(passages))
    assert reader.size == len(passages)
    assert reader.passages(everything[::-1]) == passages[::-1]
    assert reader.ids(everything) == [passage.id for passage in passages]
    assert reader.doc_ids(everything) == [passage.doc_id for passage in passages]
    for wanted in {passage.doc_id for passage in passages} | {"nobody"}:
        expected = [i for i, passage in enumerate(passages) if passage.doc_id == wanted]
        assert reader.find(wanted).tolist() == expected


@settings(max_examples=200, deadline=None)
@given(
    texts=st.lists(
        st.text(st.one_of(st.sampled_from('"\\\n\r\t\b\f\x00\x1f\x7f/é\u2028\ud800'), st.characters())), max_size=4
    )
)
def test_texts_as_json(texts: list[str]) -> None:
    expected = [json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass") for text in texts]
    assert json_strings(texts) == expected
    assert [each for text in texts for each in json_strings([text])] == expected


def test_a_megabyte_and_nothing(tmp_path: Path) -> None:
    passages = [
        Passage("a", "a", "x" * 1_000_000),
        Passage("", "", ""),
        Passage("\x00", "\ud800", "\x00\ud800"),
    ]
    assert write(passages, tmp_path).passages(np.arange(3)) == passages


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {"a": 1}, ["a", 1], [[1]]])
def test_metadata_that_no_column_holds(tmp_path: Path, value: object) -> None:
    writer = StoreWriter(tmp_path)
    with pytest.raises(CorpusError, match=r"'bad'.*'field'"):
        writer.add([Passage("a", "a", "x"), Passage("bad", "bad", "x", metadata={"field": value})])  # type: ignore[dict-item]
    assert writer.size == 0
    writer.close()


BUILD = """
import pathlib, sys
from twindex.indexing.store import StoreWriter
from twindex.indexing.types import Passage

folder, each = pathlib.Path(sys.argv[1]), int(sys.argv[2])
folder.mkdir()
writer = StoreWriter(folder)
metadata = [{"n": i, "tags": ["a", "b"], f"x{i % 5}": "v"} for i in range(500)]
rows = [Passage(str(i), str(i), f"text {i}", metadata=metadata[i]) for i in range(500)]
for at in range(0, 500, each):
    writer.add(rows[at : at + each])
writer.finish()
"""


def test_bytes_do_not_depend_on_seed_threads_or_batches(tmp_path: Path) -> None:
    contents = []
    for seed, each in (("1", 500), ("2", 7)):
        folder = tmp_path / seed
        env = os.environ | {"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": seed}
        subprocess.run([sys.executable, "-c", BUILD, str(folder), str(each)], env=env, check=True)
        contents.append({path.name: path.read_bytes() for path in sorted(folder.iterdir())})
    assert contents[0] == contents[1]


def test_filters_on_many_rows(tmp_path: Path) -> None:
    passages = [Passage(str(i), str(i), "", metadata={"n": i, "even": i % 2 == 0}) for i in range(3000)]
    reader = write(passages, tmp_path, each=1000)
    mask = reader.allowed(parse_filter("n >= 2990 and even = true"))
    assert np.flatnonzero(mask).tolist() == [2990, 2992, 2994, 2996, 2998]
    assert reader.fields()["n"] == ["int"]
    with pytest.raises(ValueError, match="read-only"):
        mask[0] = True
    reader.close()
    reader.close()


@pytest.mark.parametrize("name", ["ids.dat", "ids.off", "docs.dat", "docs.off", "ids.hash"])
def test_missing_and_cut_files_are_named(tmp_path: Path, name: str) -> None:
    write([Passage("a", "a", "text"), Passage("b", "b", "text")], tmp_path)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[:-1])
    with pytest.raises(CorruptIndexError):
        StoreReader(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(CorruptIndexError, match=name):
        StoreReader(tmp_path)


def test_damaged_metadata_is_named(tmp_path: Path) -> None:
    write([Passage("a", "a", "text")], tmp_path)
    (tmp_path / "meta.parquet").write_bytes(b"PAR1 nothing of the kind PAR1")
    with pytest.raises(CorruptIndexError, match=r"meta\.parquet"):
        StoreReader(tmp_path).allowed(parse_filter("id = 'a'"))

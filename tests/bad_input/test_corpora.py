"""Corpora that are broken, empty or strange, through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bad_input.conftest import Run
from tests.properties.strategies import json_values
from twindex.indexing.corpus import open_corpus
from twindex.indexing.errors import CorpusError, DuplicateIdError
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.verify import verify
from twindex.indexing.writer import IndexWriter

GOOD = b'{"_id": "good", "text": "a lamp"}\n'
BAD_LINES = [
    (b"not json", "not JSON"),
    (b'{"_id": "x", "text": "y"', "not JSON"),
    (b"\xff\xfe\x00", "UTF-8"),
    (b"[]", "an object with fields"),
    (b"null", "an object with fields"),
    (b"{}", "no id"),
    (b'{"_id": "x"}', "no text"),
    (b'{"_id": null, "text": "y"}', "no id"),
    (b'{"_id": "", "text": "y"}', "id"),
    (b'{"_id": 1.5, "text": "y"}', "id"),
    (b'{"_id": ["x"], "text": "y"}', "id"),
    (b'{"_id": "x", "text": {"a": 1}}', "text"),
    (b'{"_id": "x", "text": "y", "title": 7}', "title"),
    (b'{"_id": "x", "text": "y", "metadata": "z"}', "metadata"),
    (b'{"_id": "x", "text": "y", "n": Infinity}', "'n'"),
    (b'{"_id": "x", "text": "y", "n": [1, "a"]}', "'n'"),
    (b'{"_id": "x", "text": "y", "n": ' + b"7" * 5000 + b"}", "not JSON"),
    (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "not JSON"),
]


def index_into(twindex: Run, corpus: Path, into: Path, *more: object) -> Any:
    return twindex("index", corpus, "--into", into, "--encoder", "none", "--json", *more)


@pytest.mark.parametrize(("line", "words"), BAD_LINES, ids=[ascii(line[:30]) for line, _ in BAD_LINES])
def test_a_malformed_line_names_file_and_line(twindex: Run, tmp_path: Path, line: bytes, words: str) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(GOOD + b"\n" + line + b"\n" + GOOD.replace(b"good", b"better"))
    refused = index_into(twindex, path, tmp_path / "refused")
    assert refused.status == 2
    assert f"{path}:3: " in refused.err
    assert words in refused.err
    assert not (tmp_path / "refused" / "manifest.json").exists(), "nothing is half an index"
    skipped = index_into(twindex, path, tmp_path / "skipped", "--on-error", "skip")
    assert skipped.status == 0
    report = skipped.json()
    assert (report["documents"], report["skipped_records"]) == (2, 1)
    assert f"{path}:3: " in report["skipped"][0]
    in_words = twindex("index", path, "--into", tmp_path / "text", "--encoder", "none", "--on-error", "skip")
    assert "skipped 1 record" in in_words.err
    assert f"{path}:3: " in in_words.err


def test_duplicate_ids(twindex: Run, tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(GOOD + GOOD.replace(b"lamp", b"bee"))
    refused = index_into(twindex, path, tmp_path / "i")
    assert refused.status == 2
    assert "'good' is there already" in refused.err
    with IndexWriter.create(tmp_path / "j") as writer, pytest.raises(DuplicateIdError):
        writer.add(open_corpus(path))
    path.write_bytes(GOOD)
    assert index_into(twindex, path, tmp_path / "i").status == 0, "a refused build leaves nothing in the way"
    path.write_bytes(GOOD.replace(b"lamp", b"bee") * 3)
    for policy, status in (("error", 2), ("skip", 0), ("replace", 0)):
        assert twindex("add", tmp_path / "i", path, "--on-duplicate", policy, "--json").status == status
    found = twindex("search", tmp_path / "i", "bee", "--json").json()["hits"]
    assert [hit["id"] for hit in found] == ["good"]


EMPTY = [("c.jsonl", b""), ("c.jsonl", b"\n\n"), ("c.csv", b""), ("c.csv", b"id,text\n")]


@pytest.mark.parametrize(("name", "data"), EMPTY)
def test_an_empty_corpus_is_an_empty_index(twindex: Run, tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    made = index_into(twindex, tmp_path / name, tmp_path / "i")
    assert (made.status, made.json()["documents"]) == (0, 0)
    for mode in ("sparse", "hybrid"):
        for more in ([], ["--filter", "year = 3"]):
            outcome = twindex("search", tmp_path / "i", "lamp", "--mode", mode, "--json", *more)
            assert (outcome.status, outcome.json()["hits"]) == (0, [])
    assert twindex("info", tmp_path / "i", "--json").json()["documents"] == 0
    assert twindex("verify", tmp_path / "i").status == 0
    assert twindex("ask", tmp_path / "i", "what is a lamp?", "--json").json()["abstained"]
    assert twindex("merge", tmp_path / "i").status == 0
    assert twindex("delete", tmp_path / "i", "x", "--json").json()["deleted"] == 0


def test_an_empty_corpus_with_an_encoder(twindex: Run, tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_bytes(b"")
    assert twindex("index", tmp_path / "c.jsonl", "--into", tmp_path / "i", "--encoder", "hashing").status == 0
    for mode in ("sparse", "dense", "hybrid"):
        outcome = twindex("search", tmp_path / "i", "lamp", "--mode", mode, "--json")
        assert (outcome.status, outcome.json()["hits"]) == (0, [])


def test_documents_of_nothing_and_of_odd_characters(twindex: Run, tmp_path: Path) -> None:
    records = [
        {"_id": "empty", "text": ""},
        {"_id": "blank", "text": " \n\t"},
        {"_id": "nul\0id", "text": "lamp \0 here", "title": "t\0"},
        {"_id": "\ud800", "text": "lamp \udfff", "title": "\ud83d"},
        {"_id": "esc\x1b[31m", "text": "lamp \x1b[2J [bold]x[/bold]"},
        {"_id": "🐝 東京", "text": "lamp 🐝", "metadata": {"é\0": "\ud800", "": 1, "a" * 3000: True}},
        {"_id": "long", "text": "lamp " * 100_000},
        {"_id": "word", "text": "x" * 1_000_000},
    ]
    path = tmp_path / "c.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in records))
    assert twindex("index", path, "--into", tmp_path / "i", "--encoder", "hashing").status == 0
    assert twindex("verify", tmp_path / "i").status == 0
    for mode in ("sparse", "dense", "hybrid"):
        found = twindex("search", tmp_path / "i", "lamp", "--mode", mode, "--json").json()["hits"]
        assert {"nul\0id", "\ud800", "esc\x1b[31m", "🐝 東京", "long"} <= {hit["id"] for hit in found}
        shown = twindex("search", tmp_path / "i", "lamp", "--mode", mode, "--explain")
        assert shown.status == 0
        assert "\x1b" not in shown.out, "texts do not steer the terminal"
        assert "[bold]x[/bold]" in shown.out
    for id_ in ("\ud800", "esc\x1b[31m", "🐝 東京"):
        assert twindex("delete", tmp_path / "i", id_, "--json").json()["deleted"] == 1


WRONG = [("--format", "xml"), ("--chunk", "words:0"), ("--vectors", "tree"), ("--segment-docs", "0")]


@pytest.mark.parametrize("arguments", WRONG)
def test_options_out_of_range(twindex: Run, tmp_path: Path, arguments: tuple[str, str]) -> None:
    (tmp_path / "c.jsonl").write_bytes(GOOD)
    outcome = index_into(twindex, tmp_path / "c.jsonl", tmp_path / "i", *arguments)
    assert outcome.status == 2
    assert "expected" in outcome.err


def test_what_is_no_corpus(twindex: Run, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "x.docx").write_bytes(b"PK")
    (tmp_path / "x.jsonl.gz").write_bytes(b"\x1f\x8bnot gzip")
    (tmp_path / "x.parquet").write_bytes(b"PAR1PAR1")
    (tmp_path / "dir.jsonl").mkdir()
    for name in ("nowhere", "folder", "x.docx", "x.jsonl.gz", "x.parquet", "dir.jsonl"):
        outcome = index_into(twindex, tmp_path / name, tmp_path / f"i-{name}")
        assert outcome.status == 2, name
        assert "expected" in outcome.err


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(json_values().map(lambda value: json.dumps(value).encode()) | st.binary(max_size=30), max_size=6))
def test_any_lines_are_documents_or_counted(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    """What a corpus gives can be stored, opened, verified and read back."""
    folder = tmp_path_factory.mktemp("lines")
    (folder / "c.jsonl").write_bytes(b"\n".join(lines))
    corpus = open_corpus(folder / "c.jsonl", on_error="skip")
    with IndexWriter.create(folder / "i") as writer:
        report = writer.add(corpus, on_duplicate="skip")
        writer.commit()
    records = sum(1 for line in b"\n".join(lines).split(b"\n") if line.removeprefix(b"\xef\xbb\xbf").strip())
    assert report.documents + report.duplicates + corpus.skipped_count == records
    assert verify(folder / "i").ok
    with Snapshot.open(folder / "i") as snapshot:
        assert snapshot.documents == report.documents


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.dictionaries(st.sampled_from(["_id", "id", "text", "title", "metadata", "x"]), json_values()))
def test_any_record_is_a_document_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.mktemp("record") / "c.jsonl"
    path.write_text(json.dumps(value))
    try:
        count, error = len(list(open_corpus(path))), None
    except CorpusError as raised:
        count, error = 0, raised
    assert count == 1 or (error is not None and (error.line, error.path) == (1, str(path)))

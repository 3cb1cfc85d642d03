"""All readers pass one kit."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.corpus_kit import DOCUMENTS, CorpusKit
from twindex.indexing.corpus import Corpus, IterableCorpus, StdlibDocs, open_corpus
from twindex.indexing.optional import load
from twindex.indexing.types import Document


def records() -> list[dict[str, Any]]:
    return [{"_id": d.id, "title": d.title, "text": d.text, "metadata": dict(d.metadata)} for d in DOCUMENTS]


class TestJsonLines(CorpusKit):
    @pytest.fixture(params=["c.jsonl", "c.ndjson", "c.jsonl.gz", "beir/corpus.jsonl", "beir/corpus.jsonl.gz"])
    def corpus(self, request: pytest.FixtureRequest, tmp_path: Path) -> Corpus:
        path = tmp_path / request.param
        path.parent.mkdir(exist_ok=True)
        data = "\n".join(json.dumps(record) for record in records()).encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
        return open_corpus(path.parent if "beir" in request.param else path)


class TestDelimited(CorpusKit):
    @pytest.fixture(params=["c.csv", "c.tsv"])
    def corpus(self, request: pytest.FixtureRequest, tmp_path: Path) -> Corpus:
        path = tmp_path / request.param
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="," if path.suffix == ".csv" else "\t")
            writer.writerow(["id", "title", "text", "year", "lang"])
            writer.writerows([d.id, d.title, d.text, *d.metadata.values()] for d in DOCUMENTS)
        return open_corpus(path)

    @pytest.fixture
    def documents(self) -> list[Document]:
        """Cells are texts."""
        return [Document(d.id, d.text, d.title, {k: str(v) for k, v in d.metadata.items()}) for d in DOCUMENTS]


class TestParquet(CorpusKit):
    counted = True

    @pytest.fixture(params=["c.parquet", "c[1]*?.parquet"])
    def corpus(self, request: pytest.FixtureRequest, tmp_path: Path) -> Corpus:
        (tmp_path / "c1x.parquet").write_bytes(b"what the name would match as a pattern")
        made = tmp_path / "made"
        connection = load("duckdb", purpose="a test").connect()
        connection.execute('CREATE TABLE t ("_id" VARCHAR, title VARCHAR, "text" VARCHAR, year INTEGER, lang VARCHAR)')
        rows = [[d.id, d.title, d.text, *d.metadata.values()] for d in DOCUMENTS]
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
        connection.sql("FROM t").write_parquet(str(made))
        path = made.rename(tmp_path / request.param)
        return open_corpus(path)


class TestFolder(CorpusKit):
    counted = True

    @pytest.fixture
    def corpus(self, tmp_path: Path) -> Corpus:
        (tmp_path / "sub").mkdir()
        (tmp_path / "b.md").write_text("# Bees\n\nThey fly.", encoding="utf-8")
        (tmp_path / "sub" / "a.txt").write_text("né à 東京", encoding="utf-8")
        (tmp_path / "sub" / "c.htm").write_text("<title>T</title><p>One<p>two", encoding="utf-8")
        return open_corpus(tmp_path)

    @pytest.fixture
    def documents(self) -> list[Document]:
        return [
            Document("b.md", "# Bees\n\nThey fly.", "Bees", {"path": "b.md", "kind": "md"}),
            Document("sub/a.txt", "né à 東京", "a", {"path": "sub/a.txt", "kind": "txt"}),
            Document("sub/c.htm", "One\ntwo", "T", {"path": "sub/c.htm", "kind": "htm"}),
        ]


class TestMemory(CorpusKit):
    counted = True

    @pytest.fixture(params=["documents", "records"])
    def corpus(self, request: pytest.FixtureRequest) -> Corpus:
        return open_corpus(DOCUMENTS if request.param == "documents" else records())


class TestFunction(CorpusKit):
    @pytest.fixture
    def corpus(self) -> Corpus:
        return IterableCorpus(lambda: iter(DOCUMENTS))


class TestStdlib(CorpusKit):
    @pytest.fixture
    def corpus(self, tmp_path: Path) -> Corpus:
        source = '"""%s"""\n\ndef f():\n    """%s"""\n\nclass C:\n    def m(self):\n        "short"\n'
        text = "A text that is long enough to be kept as a document"
        (tmp_path / "pack").mkdir()
        (tmp_path / "pack" / "__init__.py").write_text(source % (text + ".", text + " of f."))
        return StdlibDocs(tmp_path)

    @pytest.fixture
    def documents(self) -> list[Document]:
        text = "A text that is long enough to be kept as a document"
        place = {"module": "pack", "file": "pack/__init__.py"}
        return [
            Document("pack", text + ".", "pack", place | {"kind": "module", "line": 1}),
            Document("pack.f", text + " of f.", "pack.f", place | {"kind": "function", "line": 3}),
        ]

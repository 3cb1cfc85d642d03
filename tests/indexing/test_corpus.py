"""Corpora in all their forms, and what happens to records that cannot be read."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twindex.indexing.corpus import Corpus, JsonLinesCorpus, StdlibDocs, open_corpus
from twindex.indexing.errors import ConfigError, CorpusError
from twindex.indexing.optional import load
from twindex.indexing.types import Document

RECORDS: list[dict[str, Any]] = [
    {"_id": "a", "title": "First", "text": "one é 🐝", "metadata": {"year": 2020, "tags": ["x", "y"]}},
    {"_id": "b", "text": "two", "lang": "en", "where": {"city": "Ghent", "zip": 9000}},
    {"id": 3, "contents": "", "title": None},
]
DOCUMENTS = [
    Document("a", "one é 🐝", "First", {"year": 2020, "tags": ["x", "y"]}),
    Document("b", "two", "", {"lang": "en", "where.city": "Ghent", "where.zip": 9000}),
    Document("3", ""),
]


def jsonl(records: list[dict[str, Any]]) -> bytes:
    return "\n".join(json.dumps(record) for record in records).encode()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["c.jsonl", "c.jsonl.gz", "folder/corpus.jsonl", "folder/corpus.jsonl.gz"])
def test_json_lines(tmp_path: Path, name: str, bom: bytes, end: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    data = bom + (end + end).join(json.dumps(record) for record in RECORDS).encode()
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    corpus = open_corpus(path.parent if "folder" in name else path)
    assert isinstance(corpus, Corpus)
    assert list(corpus) == DOCUMENTS
    assert list(corpus) == DOCUMENTS, "a corpus can be streamed again"
    assert isinstance(corpus, JsonLinesCorpus)
    assert corpus.progress() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"not json", "not JSON"),
        (b'["a"]', "object"),
        (b'{"text": "x"}', "no id"),
        (b'{"_id": "", "text": "x"}', "id"),
        (b'{"_id": true, "text": "x"}', "id"),
        (b'{"_id": "x"}', "no text"),
        (b'{"_id": "x", "text": 5}', "text"),
        (b'{"_id": "x", "text": "y", "title": []}', "title"),
        (b'{"_id": "x", "text": "y", "metadata": 3}', "metadata"),
        (b'{"_id": "x", "text": "y", "m": [[1]]}', "m"),
        (b'{"_id": "x", "text": "y", "m": NaN}', "m"),
        (b'{"_id": "x", "text": "\xff"}', "UTF-8"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_a_bad_line_is_named_or_counted(tmp_path: Path, line: bytes, words: str) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(b'{"_id": "1", "text": "x"}\n' + line + b'\n{"_id": "2", "text": "y"}\n')
    with pytest.raises(CorpusError, match=words) as raised:
        list(open_corpus(path))
    assert raised.value.line == 2
    assert f"{path}:2" in str(raised.value)
    corpus = open_corpus(path, on_error="skip")
    assert [document.id for document in corpus] == ["1", "2"]
    assert corpus.skipped_count == 1
    assert corpus.skipped[0].line == 2


def test_skipped_records_are_all_counted_and_some_kept(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(b"nothing\n" * 500)
    corpus = open_corpus(path, on_error="skip")
    assert list(corpus) == []
    assert (corpus.skipped_count, len(corpus.skipped)) == (500, 100)


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_documents_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "c.jsonl"
    path.write_bytes(data)
    corpus = open_corpus(path, on_error="skip")
    for document in corpus:
        assert isinstance(document, Document)


def test_a_torn_archive_is_an_error_that_no_skipping_hides(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl.gz"
    whole = gzip.compress(jsonl([{"_id": str(i), "text": f"t{i}" * 50} for i in range(500)]))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorpusError, match="breaks off"):
        list(open_corpus(path, on_error="skip"))


@pytest.mark.parametrize(("name", "mark"), [("c.csv", ","), ("c.tsv", "\t")])
def test_tables_of_text(tmp_path: Path, name: str, mark: str) -> None:
    path = tmp_path / name
    rows = [["key", "text", "year"], ["a", 'multi\nline "quoted"', "2020"], ["b", "", ""]]
    cells = ["\n".join(mark.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)]
    path.write_text(cells[0], encoding="utf-8")
    assert list(open_corpus(path, id_field="key")) == [
        Document("a", 'multi\nline "quoted"', "", {"year": "2020"}),
        Document("b", ""),
    ]


def test_a_row_with_too_few_cells(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("id,text\na,b\nc\nd,e\n")
    with pytest.raises(CorpusError, match=r"c\.csv:3: 1 cells"):
        list(open_corpus(path))
    corpus = open_corpus(path, on_error="skip")
    assert [document.id for document in corpus] == ["a", "d"]
    assert corpus.skipped_count == 1


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    load("duckdb", purpose="a test").sql(
        "SELECT * FROM (VALUES ('a', 'one', 2020, DATE '2024-02-03', ['x']), ('b', 'two', NULL, NULL, NULL)) "
        "AS t(id, text, year, day, tags)"
    ).write_parquet(str(path))
    corpus = open_corpus(path)
    assert corpus.total == 2
    assert list(corpus) == [
        Document("a", "one", "", {"year": 2020, "day": "2024-02-03", "tags": ["x"]}),
        Document("b", "two"),
    ]
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(CorpusError, match="Parquet"):
        list(open_corpus(tmp_path / "broken.parquet"))


def test_a_folder_of_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "b.txt").write_text("plain")
    (tmp_path / ".hidden" / "x.txt").write_text("unseen")
    (tmp_path / "ignored.bin").write_bytes(b"\x00")
    (tmp_path / "sub" / "a.md").write_text("intro\n\n# The heading #\n\ntext")
    (tmp_path / "sub" / "c.html").write_text(
        "<!doctype html><head><title>A &amp; B</title><style>p{}</style></head>"
        "<body><p>one<script>no()</script> two</p><p>caf&eacute;</p></body>"
    )
    documents = {document.id: document for document in open_corpus(tmp_path)}
    assert list(documents) == ["b.txt", "sub/a.md", "sub/c.html"]
    assert documents["b.txt"].title == "b"
    assert documents["sub/a.md"].title == "The heading"
    assert (documents["sub/c.html"].title, documents["sub/c.html"].text) == ("A & B", "one two\ncafé")
    assert documents["sub/a.md"].metadata == {"path": "sub/a.md", "kind": "md"}


def test_pdf_files(tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf", reason="needs the extra pdf")
    (tmp_path / "ok.pdf").write_bytes(small_pdf("Bees make honey"))
    assert next(iter(open_corpus(tmp_path))).text == "Bees make honey"
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.4 nothing")
    with pytest.raises(CorpusError, match=r"bad\.pdf"):
        list(open_corpus(tmp_path))
    assert pypdf is not None


def small_pdf(text: str) -> bytes:
    """A PDF of one page with one line, written by hand."""
    stream = f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    out, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    tail = b"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(out)
    return out + b"xref\n0 6\n0000000000 65535 f \n" + table + tail


def test_iterables() -> None:
    corpus = open_corpus([*RECORDS[:2], DOCUMENTS[2]])
    assert list(corpus) == DOCUMENTS
    assert corpus.total == 3
    with pytest.raises(CorpusError, match="memory:2"):
        list(open_corpus([RECORDS[0], {"text": "no id"}]))


def test_what_cannot_be_a_corpus(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.docx").write_bytes(b"")
    for path, words in (
        (tmp_path / "nowhere", "no such"),
        (tmp_path / "empty", "no file"),
        (tmp_path / "x.docx", "kind"),
    ):
        with pytest.raises(CorpusError, match=words) as raised:
            open_corpus(path)
        assert ".jsonl" in raised.value.expected
    with pytest.raises(CorpusError, match="parquet"):
        open_corpus(tmp_path, fmt="xml")
    with pytest.raises(CorpusError, match=r"corpus\.jsonl"):
        open_corpus(tmp_path / "empty", fmt="beir")
    with pytest.raises(ConfigError, match="skip"):
        open_corpus([], on_error="maybe")  # type: ignore[arg-type]


def test_standard_library_documentation() -> None:
    code = (
        "import sys, hashlib; from twindex.indexing.corpus import StdlibDocs\n"
        "docs = list(StdlibDocs()); ids = [d.id for d in docs]\n"
        "print(len(ids), len(set(ids)), 'shutil.copytree' in ids, 'antigravity' in sys.modules,\n"
        "      hashlib.sha256(repr(docs).encode()).hexdigest())"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    count, distinct, found, imported, _ = runs[0].stdout.split()
    assert int(count) > 2_000
    assert count == distinct
    assert (found, imported) == ("True", "False")
    assert runs[0].stdout == runs[1].stdout


def test_an_interpreter_without_sources(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no Python sources"):
        list(StdlibDocs(tmp_path))

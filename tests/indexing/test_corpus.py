"""Corpora in all their forms, and what happens to records that cannot be read."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twindex.indexing.corpus import Corpus, IterableCorpus, JsonLinesCorpus, StdlibDocs, open_corpus, with_estimate
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
        (b'{"_id": "x", "text": "y", "n": ' + b"9" * 5000 + b"}", "not JSON"),
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
    with pytest.raises(CorpusError, match=r"c\.csv:3: 1 cell;"):
        list(open_corpus(path))
    corpus = open_corpus(path, on_error="skip")
    assert [document.id for document in corpus] == ["a", "d"]
    assert corpus.skipped_count == 1


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (b"c", "1 cell"),
        (b"c,d,e", "3 cells"),
        (b'"c" d,e', "not readable"),
        (b"c,\xff", "UTF-8"),
        (b",text", "id"),
    ],
)
def test_a_bad_row_is_named_or_counted(tmp_path: Path, row: bytes, words: str) -> None:
    path = tmp_path / "c.csv"
    path.write_bytes(b"id,text\n1,x\n" + row + b"\n2,y\n")
    with pytest.raises(CorpusError, match=words) as raised:
        list(open_corpus(path))
    assert f"{path}:3: " in str(raised.value)
    corpus = open_corpus(path, on_error="skip")
    assert [document.id for document in corpus] == ["1", "2"]
    assert (corpus.skipped_count, corpus.skipped[0].line) == (1, 3)


@pytest.mark.parametrize(
    ("header", "words"),
    [("id,id,text", "two columns 'id'"), ("key,text", "for the id"), ("id,content", "for the text")],
)
def test_a_header_that_cannot_work_is_an_error_in_any_case(tmp_path: Path, header: str, words: str) -> None:
    path = tmp_path / "c.csv"
    path.write_text(f"{header}\na,b,c\n")
    with pytest.raises(CorpusError, match=words):
        list(open_corpus(path, on_error="skip"))


def test_an_unclosed_quote_names_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text('id,text\na,b\nc,"d\ne,f\n')
    with pytest.raises(CorpusError, match=r"c\.csv:4: not readable"):
        list(open_corpus(path))
    corpus = open_corpus(path, on_error="skip")
    assert [document.id for document in corpus] == ["a"]
    assert corpus.skipped_count == 1


def test_empty_files_are_empty_corpora(tmp_path: Path) -> None:
    for name in ("c.jsonl", "c.csv", "c.tsv"):
        (tmp_path / name).write_bytes(b"")
        assert list(open_corpus(tmp_path / name)) == []


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


def test_parquet_types_that_metadata_does_not_have(tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    load("duckdb", purpose="a test").sql(
        "SELECT UUID '6b1a4f0e-0000-4000-8000-000000000001' AS id, 'x' AS text, 1.5::DECIMAL(4, 2) AS price, "
        "TIMESTAMP '2024-02-03 04:05:06' AS at, {'a': 1, 'b': ['y']} AS nested"
    ).write_parquet(str(path))
    assert list(open_corpus(path)) == [
        Document(
            "6b1a4f0e-0000-4000-8000-000000000001",
            "x",
            "",
            {"price": 1.5, "at": "2024-02-03T04:05:06", "nested.a": 1, "nested.b": ["y"]},
        )
    ]


def test_a_parquet_file_damaged_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    load("duckdb", purpose="a test").sql(
        "SELECT 'd' || i AS id, repeat(md5(i::VARCHAR), 20) AS text FROM range(3000) t(i)"
    ).write_parquet(str(path))
    data = bytearray(path.read_bytes())
    data[1000 : len(data) // 2] = bytes(len(data) // 2 - 1000)
    path.write_bytes(data)
    with pytest.raises(CorpusError, match="Parquet"):
        list(open_corpus(path, on_error="skip"))


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


def test_one_file_is_a_corpus_too(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# One\n\ntext")
    (tmp_path / "b.md").write_text("# Two")
    assert [document.id for document in open_corpus(tmp_path / "a.md")] == ["a.md"]


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("a.txt", "é 東".encode("utf-8-sig"), "é 東"),
        ("a.txt", "é 東".encode("utf-16"), "é 東"),
        ("a.html", b'<head><meta charset="iso-8859-1"></head><p>caf\xe9', "café"),
        ("a.html", b'<meta http-equiv="Content-Type" content="text/html; charset=windows-1252"><p>\x93x\x94', "“x”"),
        ("a.html", "<p>é".encode(), "é"),
    ],
)
def test_encodings(tmp_path: Path, name: str, data: bytes, text: str) -> None:
    (tmp_path / name).write_bytes(data)
    assert next(iter(open_corpus(tmp_path))).text == text


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("b.txt", b"caf\xe9", r"UTF-8 \(at byte 4\)"),
        ("b.html", b'<meta charset="no-such">x', "NO-SUCH"),
        ("b.html", b'<meta charset="hex">x', "HEX"),
        ("b.html", b"<p>x<![foo[y]]>", "HTML"),
        ("b.pdf", b"%PDF-1.4 nothing", "PDF"),
    ],
)
def test_a_bad_file_is_named_or_counted(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / "a.txt").write_text("fine")
    (tmp_path / name).write_bytes(data)
    (tmp_path / "c.txt").write_text("fine")
    if name == "b.html" and words == "HTML" and not _gives_up_on(data):
        pytest.skip("this Python's HTML parser reads it")
    if name == "b.pdf":
        pytest.importorskip("pypdf", reason="needs the extra pdf")
    with pytest.raises(CorpusError, match=words) as raised:
        list(open_corpus(tmp_path))
    assert str(tmp_path / name) in str(raised.value)
    corpus = open_corpus(tmp_path, on_error="skip")
    assert [document.id for document in corpus] == ["a.txt", "c.txt"]
    assert corpus.skipped_count == 1


def _gives_up_on(data: bytes) -> bool:
    parser = HTMLParser()
    try:
        parser.feed(data.decode())
        parser.close()
    except AssertionError:
        return True
    return False


def test_a_file_without_permission_is_named_or_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("x")
    original = Path.read_bytes

    def refuse(self: Path) -> bytes:
        if self.name == "b.txt":
            raise PermissionError(13, "Permission denied", str(self))
        return original(self)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(CorpusError, match=r"b\.txt: not readable \(Permission denied\)"):
        list(open_corpus(tmp_path))
    corpus = open_corpus(tmp_path, on_error="skip")
    assert [document.id for document in corpus] == ["a.txt"]
    assert corpus.skipped_count == 1


@settings(max_examples=150, deadline=None)
@given(
    data=st.lists(
        st.sampled_from([*"<>!-[]/&;=\"' ", "<!", "<![", "<![foo[", "<script", "</p", "&#", "<title>", "é"])
    ).map("".join)
)
def test_any_page_is_a_document_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, data: str) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "a.html"
    path.write_text(data, encoding="utf-8")
    corpus = open_corpus(path, on_error="skip")
    assert len(list(corpus)) + corpus.skipped_count == 1


def test_time_left_from_the_share_that_was_read(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text("".join(json.dumps({"_id": str(i), "text": "word " * 50}) + "\n" for i in range(2000)))
    corpus, calls = open_corpus(path), []
    progress = with_estimate(corpus, lambda stage, done, total: calls.append((stage, done, total)))
    for done, _ in enumerate(corpus, 1):
        progress("indexing", done, corpus.total)
    assert calls[0][2] is None or calls[0][2] > 1000, "a first buffer says little, but nothing silly"
    assert calls[999][2] == pytest.approx(2000, rel=0.2)
    assert calls[-1] == ("indexing", 2000, 2000)
    known = IterableCorpus([])
    silent = lambda stage, done, total: None  # noqa: E731
    assert with_estimate(known, silent) is silent


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


@pytest.mark.parametrize("wrong", [{"id": 5}, {"text": None}, {"title": b"x"}])
def test_a_document_is_made_of_texts(wrong: dict[str, Any]) -> None:
    with pytest.raises(CorpusError, match=f"the {next(iter(wrong))} "):
        Document(**({"id": "a", "text": "x"} | wrong))


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

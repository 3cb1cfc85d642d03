from __future__ import annotations

import hashlib
import http.server
import io
import json
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from twindex.eval import registry
from twindex.eval.download import fetch, nano_folder, unzip_member
from twindex.eval.irdatasets import from_ir_datasets
from twindex.eval.registry import Collection, collections, drops_self_matches, find_dataset, report_split
from twindex.indexing.errors import ConfigError, CorpusError, MissingExtraError, ServiceError

BODY = bytes(range(256)) * 4000
MD5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()


@dataclass
class Site:
    """What a local server serves, and what it was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    stop_after: int | None = None
    ranges: bool = True
    asked: list[str | None] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def site() -> Iterator[Site]:
    state = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.headers.get("Range"))
            body = state.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            start = 0
            if state.ranges and (asked := self.headers.get("Range")):
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                if start >= len(body):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            self.wfile.write(body[start:][: state.stop_after])

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, RUF100
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_download_is_checked_and_reported(site: Site, tmp_path: Path) -> None:
    site.files["/a.zip"] = BODY
    seen: list[tuple[str, int, int | None]] = []
    fetch(f"{site.url}/a.zip", tmp_path / "a.zip", md5=MD5, progress=lambda *a: seen.append(a))
    assert (tmp_path / "a.zip").read_bytes() == BODY
    assert seen[-1] == ("download", len(BODY), len(BODY))
    fetch(f"{site.url}/a.zip", tmp_path / "a.zip", md5=MD5)
    assert len(site.asked) == 1, "a file that is there and right is not fetched again"


def test_an_interrupted_download_goes_on_where_it_stopped(site: Site, tmp_path: Path) -> None:
    site.files["/a.zip"] = BODY
    site.stop_after = 300_000
    with pytest.raises(ServiceError):
        fetch(f"{site.url}/a.zip", tmp_path / "a.zip", md5=MD5)
    assert not (tmp_path / "a.zip").exists()
    have = (tmp_path / "a.zip.part").stat().st_size
    assert 0 < have <= 300_000
    site.stop_after = None
    fetch(f"{site.url}/a.zip", tmp_path / "a.zip", md5=MD5)
    assert site.asked[-1] == f"bytes={have}-"
    assert (tmp_path / "a.zip").read_bytes() == BODY


def test_a_server_without_ranges_starts_over(site: Site, tmp_path: Path) -> None:
    site.files["/a.zip"] = BODY
    site.ranges = False
    (tmp_path / "a.zip.part").write_bytes(b"left over")
    fetch(f"{site.url}/a.zip", tmp_path / "a.zip", md5=MD5)
    assert (tmp_path / "a.zip").read_bytes() == BODY


def test_a_complete_part_needs_only_its_checksum(site: Site, tmp_path: Path) -> None:
    site.files["/a.zip"] = BODY
    (tmp_path / "a.zip.part").write_bytes(BODY)
    fetch(f"{site.url}/a.zip", tmp_path / "a.zip", md5=MD5)
    assert (tmp_path / "a.zip").read_bytes() == BODY


def test_wrong_bytes_are_thrown_away(site: Site, tmp_path: Path) -> None:
    site.files["/a.zip"] = b"an error page"
    with pytest.raises(ServiceError, match="md5"):
        fetch(f"{site.url}/a.zip", tmp_path / "a.zip", md5=MD5)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ServiceError, match="404"):
        fetch(f"{site.url}/none", tmp_path / "none")


def archive(**files: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        for name, text in files.items():
            zipped.writestr(name, text)
    return out.getvalue()


def beir_archive(folder: str) -> bytes:
    return archive(**{
        f"{folder}/corpus.jsonl": '{"_id": "d", "text": "t"}\n',
        f"{folder}/queries.jsonl": '{"_id": "q", "text": "t"}\n',
        f"{folder}/qrels/test.tsv": "query-id\tcorpus-id\tscore\nq\td\t1\n",
        "other/corpus.jsonl": "",
    })  # fmt: skip


def known(site: Site, body: bytes, **more: Any) -> Collection:
    fields: dict[str, Any] = {
        "name": "tiny", "group": "beir", "split": "test", "splits": ("test",), "queries": 1, "documents": 1,
        "self_match": True, "url": f"{site.url}/tiny.zip", "inside": "tiny",
        "md5": hashlib.md5(body, usedforsecurity=False).hexdigest(),
    }  # fmt: skip
    return Collection(**(fields | more))


def test_a_known_name_becomes_a_folder(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = beir_archive("tiny")
    site.files["/tiny.zip"] = body
    table = {"tiny": known(site, body)}
    monkeypatch.setattr(registry, "collections", lambda: table)
    with pytest.raises(CorpusError, match=r"corpus\.jsonl"):
        find_dataset("tiny", root=tmp_path)
    dataset = find_dataset("tiny", root=tmp_path, download=True)
    assert dataset.path == tmp_path / "tiny"
    assert dataset.qrels() == {"q": {"d": 1}}
    assert drops_self_matches(dataset)
    assert find_dataset("tiny", root=tmp_path).path == dataset.path


def test_without_a_network_the_message_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = Collection("tiny", "beir", "test", ("test",), 1, 1, False, url="http://127.0.0.1:9/tiny.zip")
    monkeypatch.setattr(registry, "collections", lambda: {"tiny": row})
    with pytest.raises(ServiceError) as caught:
        find_dataset("tiny", root=tmp_path, download=True)
    assert str(tmp_path / "tiny") in str(caught.value)
    assert "qrels/SPLIT.tsv" in str(caught.value)


def test_what_is_not_there_at_all(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="known collection"):
        find_dataset("no-such-set", root=tmp_path)
    with pytest.raises(CorpusError, match="agreement"):
        find_dataset("bioasq", root=tmp_path, download=True)


def test_archives_that_cannot_be_trusted(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(archive(**{"set/../../evil": "x"}))
    with pytest.raises(CorpusError, match="points out"):
        unzip_member(tmp_path / "a.zip", "set", tmp_path / "set")
    (tmp_path / "b.zip").write_bytes(b"no zip")
    with pytest.raises(CorpusError, match="damaged"):
        unzip_member(tmp_path / "b.zip", "set", tmp_path / "set")
    (tmp_path / "c.zip").write_bytes(archive(other="x"))
    with pytest.raises(CorpusError, match="no folder set"):
        unzip_member(tmp_path / "c.zip", "set", tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_nano_tables_become_a_folder(site: Site, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    tables = {
        "corpus": "select 'd1' as _id, 'one \"text\"' as text union all select 'd2', 'two'",
        "queries": "select 'q1' as _id, 'ask' as text",
        "qrels": "select 'q1' as \"query-id\", 'd2' as \"corpus-id\"",
    }
    with duckdb.connect() as connection:
        for part, query in tables.items():
            path = tmp_path / f"{part}.parquet"
            connection.execute(f"copy ({query}) to '{path}' (format parquet)")
            site.files[f"/{part}/t.parquet"] = path.read_bytes()
    nano_folder(site.url + "/{part}/t.parquet", tmp_path / "nano")
    dataset = find_dataset(tmp_path / "nano")
    assert dataset.qrels() == {"q1": {"d2": 1}}
    assert [q.text for q in dataset.queries()] == ["ask"]
    first = json.loads((tmp_path / "nano" / "corpus.jsonl").read_text().splitlines()[0])
    assert first == {"_id": "d1", "text": 'one "text"'}


def test_the_registry_is_complete_and_sound() -> None:
    every = collections()
    groups = [c.group for c in every.values()]
    assert (groups.count("beir"), groups.count("cqadupstack"), groups.count("nanobeir")) == (18, 12, 13)
    assert sum(c.queries for c in every.values() if c.group == "cqadupstack") == 13_145
    assert all(c.split in c.splits for c in every.values())
    assert all(len(c.md5) == 32 for c in every.values() if c.url)
    assert every["msmarco"].split == "dev"
    assert every["arguana"].self_match


def test_splits_to_report(tmp_path: Path) -> None:
    def folder(name: str, *splits: str) -> Path:
        path = tmp_path / name
        (path / "qrels").mkdir(parents=True)
        (path / "queries.jsonl").write_text("")
        for split in splits:
            (path / "qrels" / f"{split}.tsv").write_text("")
        return path

    assert report_split(find_dataset(folder("msmarco", "train", "dev", "test"))) == "dev"
    assert report_split(find_dataset(folder("own", "train", "dev", "test"))) == "test"
    assert report_split(find_dataset(folder("second", "dev", "extra"))) == "dev"
    assert report_split(find_dataset(folder("third", "only"))) == "only"
    with pytest.raises(ConfigError, match="one of a, b"):
        report_split(find_dataset(folder("fourth", "a", "b")))


def test_ir_datasets_become_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = SimpleNamespace(
        has_docs=lambda: True,
        has_queries=lambda: True,
        has_qrels=lambda: True,
        docs_iter=lambda: [SimpleNamespace(doc_id="d", title="Head", body="Body")],
        queries_iter=lambda: [SimpleNamespace(query_id="q", title="ask")],
        qrels_iter=lambda: [SimpleNamespace(query_id="q", doc_id="d", relevance=2)],
    )
    bare = SimpleNamespace(has_docs=lambda: False)
    shelf = {"a/b": source, "bare": bare}
    monkeypatch.setitem(sys.modules, "ir_datasets", SimpleNamespace(load=lambda name: shelf[name]))
    dataset = from_ir_datasets("a/b", tmp_path)
    assert dataset.name == "a-b"
    assert dataset.qrels() == {"q": {"d": 2}}
    assert json.loads((dataset.path / "corpus.jsonl").read_text()) == {"_id": "d", "title": "Head", "text": "Body"}
    assert dataset.queries()[0].text == "ask"
    assert from_ir_datasets("a/b", tmp_path) == dataset
    with pytest.raises(ConfigError, match="without docs"):
        from_ir_datasets("bare", tmp_path)
    with pytest.raises(ConfigError, match="knows"):
        from_ir_datasets("none", tmp_path)


def test_ir_datasets_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_datasets", None)
    with pytest.raises(MissingExtraError, match="datasets"):
        from_ir_datasets("vaswani", tmp_path)

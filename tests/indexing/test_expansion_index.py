"""Generated queries beside the passages of an index: built, merged, deleted, verified, and the same bytes always."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.indexing.builds import digest, document, documents, encoder
from tests.indexing.expansions import MadeUpQueries
from twindex.api.service.backup import restore_over, take_snapshot
from twindex.indexing import build as building
from twindex.indexing.analysis import pool
from twindex.indexing.config import IndexConfig, VectorKind
from twindex.indexing.directory import FileDirectory
from twindex.indexing.encoders.sparse_hashing import SparseHashingEncoder
from twindex.indexing.errors import ConfigError, CorruptIndexError, FingerprintError
from twindex.indexing.expansion import building as expansion_building
from twindex.indexing.expansion.info import ExpansionInfo
from twindex.indexing.manifest import MANIFEST_FILE, read_manifest
from twindex.indexing.report import AddReport
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Document
from twindex.indexing.vectors import HnswConfig
from twindex.indexing.verify import info, verify
from twindex.indexing.writer import IndexWriter

SOURCE = MadeUpQueries()
SPARSE = SparseHashingEncoder(64)


def settings(*, segment_docs: int = 1000, kind: VectorKind = "flat") -> IndexConfig:
    return IndexConfig(
        encoder=encoder().info,
        sparse_encoder=SPARSE.info,
        segment_docs=segment_docs,
        vector_kind=kind,
        hnsw=HnswConfig(4, 20, 20),
        expansion=SOURCE.info,
    )


def create(path: Path, config: IndexConfig) -> IndexWriter:
    return IndexWriter.create(path, config, encoder=encoder(), sparse_encoder=SPARSE, expansions=SOURCE)


def reopen(path: Path, source: MadeUpQueries | None = SOURCE) -> IndexWriter:
    return IndexWriter.open(path, encoder=encoder(), sparse_encoder=SPARSE, expansions=source)


def build(path: Path, items: Iterable[Document], *, segment_docs: int = 1000, kind: VectorKind = "flat") -> AddReport:
    with create(path, settings(segment_docs=segment_docs, kind=kind)) as writer:
        report = writer.add(items)
        writer.commit()
    return report


def expanded(path: Path) -> dict[str, tuple[str, ...]]:
    """The queries of each live passage."""
    found = {}
    with Snapshot.open(path) as snapshot:
        for segment in snapshot.segments:
            assert segment.expansion is not None
            for local in range(segment.size):
                if segment.live is None or segment.live[local]:
                    found[segment.store.ids(np.array([local]))[0]] = segment.expansion.queries(local)
    return found


def wanted(items: Iterable[Document]) -> dict[str, tuple[str, ...]]:
    return {d.id: SOURCE.queries(f"{d.title} {d.text}" if d.title else d.text) for d in items}


def test_each_passage_has_its_queries_with_vectors_postings_and_impacts(tmp_path: Path) -> None:
    report = build(tmp_path / "i", documents(50))
    queries = wanted(documents(50))
    assert expanded(tmp_path / "i") == queries
    assert {() in queries.values(), len(set(map(len, queries.values()))) > 2} == {True}
    with Snapshot.open(tmp_path / "i") as snapshot:
        segment = snapshot.segments[0]
        there = segment.expansion
        assert there is not None
        assert there.vectors is not None
        assert there.impacts is not None
        flat = [query for some in queries.values() for query in some]
        assert np.array_equal(there.vectors.matrix, encoder().encode_documents(flat))
        assert there.owners.tolist() == [i for i, some in enumerate(queries.values()) for _ in some]
        analyzer = snapshot.analyzer
        lengths = [len(analyzer.terms("\n".join(some))) for some in queries.values()]
        assert there.postings.lengths.tolist() == lengths
        assert there.impacts.num_docs == 50
        empty = [i for i, some in enumerate(queries.values()) if not some]
        assert not np.isin(there.impacts.docs, empty).any()
    plain = report.to_dict()["expansion"]
    assert plain == {"queries": len(flat), "passages": 50 - len(empty)}
    facts = info(tmp_path / "i")["expansion"]
    assert {facts["queries"], facts["config"], facts["limit"]} == {len(flat), "c0ffee", 5}
    assert facts["bytes"] > 0
    assert verify(tmp_path / "i").problems == ()


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_merging_gives_the_bytes_of_building_at_once(tmp_path: Path, kind: VectorKind) -> None:
    with create(tmp_path / "many", settings(segment_docs=7, kind=kind)) as writer:
        writer.add(documents(40))
        writer.commit()
        writer.delete([f"d{n}" for n in range(0, 40, 3)])
        writer.commit()
        assert verify(tmp_path / "many").problems == ()
        writer.merge(1)
        writer.commit()
    build(tmp_path / "one", (document(n) for n in range(40) if n % 3), kind=kind)
    one, many = digest(tmp_path / "one" / "segments"), digest(tmp_path / "many" / "segments")
    ours = [name.split("/", 1)[1] for name in one if "/x/" in name]
    assert len(ours) >= 10
    for name in ours:
        if not name.endswith("imp.json"):  # its sample searches are sums over what was merged
            assert one[f"s000001/{name}"] == next(v for k, v in many.items() if k.endswith(f"/{name}")), name
    assert verify(tmp_path / "many").problems == ()


def test_the_same_corpus_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path / "a", documents(60), segment_docs=25)
    monkeypatch.setattr(expansion_building, "ENCODED", 3)  # what is encoded at once leaves no trace
    build(tmp_path / "b", documents(60), segment_docs=25)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


def test_analysis_in_other_processes_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts and queries alternate in one stream: a process knows one vocabulary at a time."""
    config = IndexConfig(segment_docs=100, expansion=SOURCE.info)
    monkeypatch.setattr(building, "SHARD", 8)
    monkeypatch.setattr(pool, "PATIENCE", 0)
    for name, workers in (("here", 1), ("there", 3)):
        with IndexWriter.create(tmp_path / name, config, expansions=SOURCE, workers=workers) as writer:
            writer.add(documents(250))
            writer.commit()
    assert digest(tmp_path / "here") == digest(tmp_path / "there")


def test_a_new_text_gets_its_own_queries_and_without_a_store_none(tmp_path: Path) -> None:
    build(tmp_path / "i", documents(20))
    with reopen(tmp_path / "i") as writer:
        writer.add([document(3, 1), document(30)], on_duplicate="replace")
        writer.commit()
    texts = [*(document(n) for n in range(20) if n != 3), document(3, 1), document(30)]
    assert expanded(tmp_path / "i") == wanted(texts)
    with reopen(tmp_path / "i", None) as writer:
        writer.add([document(4, 2)], on_duplicate="replace")
        writer.commit()
        writer.merge(1)
        writer.commit()
    assert expanded(tmp_path / "i")["d4"] == ()
    assert expanded(tmp_path / "i")["d5"] == wanted([document(5)])["d5"]
    assert verify(tmp_path / "i").problems == ()


def test_a_failed_build_is_taken_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors of queries are kept in staging, as those of passages are."""
    monkeypatch.setattr(building, "SHARD", 32)
    build(tmp_path / "whole", documents(320))

    def breaking() -> Iterable[Document]:
        yield from documents(300)
        raise OSError("the disk is gone")

    path = tmp_path / "broken"
    with pytest.raises(OSError, match="gone"), create(path, settings()) as writer:
        writer.add(breaking())
    assert list((path / "staging").rglob("*.vectors"))
    build(path, documents(320))
    assert digest(path) == digest(tmp_path / "whole")


def test_an_index_with_expansions_says_so_to_older_readers(tmp_path: Path) -> None:
    build(tmp_path / "i", documents(5))
    values = json.loads((tmp_path / "i" / MANIFEST_FILE).read_text())
    assert values["required_features"] == ["expansion"]
    assert values["config"]["expansion"] == SOURCE.info.to_dict()
    with Snapshot.open(tmp_path / "i") as snapshot:
        assert snapshot.expansion_info == SOURCE.info
    assert IndexConfig.from_dict(settings().to_dict()) == settings()


def test_other_expansions_than_those_of_the_index_are_refused(tmp_path: Path) -> None:
    build(tmp_path / "i", documents(5))
    other = MadeUpQueries(replace(SOURCE.info, limit=7))
    with pytest.raises(FingerprintError, match="limit=7"):
        reopen(tmp_path / "i", other)
    plain = replace(settings(), expansion=None)
    with pytest.raises(FingerprintError, match="no expansions"):
        IndexWriter.create(tmp_path / "j", plain, encoder=encoder(), sparse_encoder=SPARSE, expansions=SOURCE)


@pytest.mark.parametrize("values", [{"limit": 0}, {"threshold": float("nan")}, {"config": ""}, {"limit": True}])
def test_impossible_settings_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        ExpansionInfo.from_dict(SOURCE.info.to_dict() | values)
    with pytest.raises(ConfigError):
        ExpansionInfo.from_dict({"method": "plain"})


@pytest.mark.parametrize("name", ["q.ptr", "q.off", "q.dat", "post.doc", "vec.f32", "len.u32", "imp.u8"])
def test_damage_is_found(tmp_path: Path, name: str) -> None:
    path = tmp_path / "i"
    build(path, documents(30))
    with Snapshot.open(path) as snapshot:
        file = path / snapshot.segments[0].entry.folder / "x" / name
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert any(f"x/{name} was altered" in problem for problem in verify(path).problems)
    file.write_bytes(data[:-8])
    with pytest.raises(CorruptIndexError, match=name):
        Snapshot.open(path)
    shutil.rmtree(file.parent)
    with pytest.raises(CorruptIndexError, match="missing"):
        Snapshot.open(path)


def test_a_name_outside_the_folder_is_no_file_of_a_segment(tmp_path: Path) -> None:
    build(tmp_path / "i", documents(3))
    with Snapshot.open(tmp_path / "i") as snapshot:
        entry = snapshot.segments[0].entry.files[0]
    for name in ("y/terms.dat", "x/../a", "x/.hidden", "/x", "x/a/b", ".x"):
        with pytest.raises(ConfigError):
            replace(entry, name=name)


def test_a_snapshot_of_it_is_a_whole_index(tmp_path: Path) -> None:

    build(tmp_path / "i", documents(10), segment_docs=4)
    take_snapshot(tmp_path / "i", tmp_path / "copy")
    assert expanded(tmp_path / "copy") == wanted(documents(10))
    with reopen(tmp_path / "i") as writer:
        writer.delete(["d1"])
        writer.commit()
    restore_over(tmp_path / "copy", tmp_path / "i")
    assert expanded(tmp_path / "i") == wanted(documents(10))

    assert read_manifest(FileDirectory(tmp_path / "i"), where="i").required_features == ("expansion",)

"""Add, delete, merge, commit, roll back: what each leaves behind, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.indexing.builds import build, digest, document, documents, encoder, ids_of, live_ids
from twindex.indexing.chunking import ChunkConfig
from twindex.indexing.config import IndexConfig
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.errors import (
    ConfigError,
    CorpusError,
    CorruptIndexError,
    DuplicateIdError,
    FingerprintError,
    IndexExistsError,
    IndexNotFoundError,
    LockedIndexError,
    UsageError,
)
from twindex.indexing.files import FILE_KINDS
from twindex.indexing.merge import plan_merge
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.store import hash_doc_ids
from twindex.indexing.types import Document
from twindex.indexing.verify import info, verify
from twindex.indexing.writer import IndexWriter

SPARSE = IndexConfig(segment_docs=4)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    build(tmp_path / "index", documents(10), segment_docs=4)
    return tmp_path / "index"


def test_a_build_leaves_the_documented_files_and_no_others(index: Path) -> None:
    names = {path.relative_to(index).as_posix() for path in index.rglob("*") if path.is_file()}
    kinds = {name for name, kind in FILE_KINDS.items() if kind.leg not in ("impact", "order")} - {"hnsw.faiss"}
    segments = {f"segments/s00000{n}/{kind}" for n in (1, 2, 3) for kind in kinds}
    assert names == segments | {"manifest.json", "write.lock"}
    assert verify(index).ok


def test_every_file_of_the_format_page_is_known_and_the_other_way_round() -> None:
    page = (Path(__file__).parents[2] / "indexing" / "FORMAT.md").read_text()
    table = page.split("## Files of a segment")[1].split("## Learned-sparse impacts")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    listed = {row[1].strip(" `"): [part.strip() for part in row[2].split(",")] for row in rows}
    assert {name for name in listed if "-G" not in name} == set(FILE_KINDS)
    for name, kind in FILE_KINDS.items():
        assert listed[name] == [kind.leg, kind.role]


def test_order_is_that_of_the_corpus(index: Path) -> None:
    assert live_ids(index) == [f"d{n}" for n in range(10)]
    with Snapshot.open(index) as snapshot:
        assert [segment.size for segment in snapshot.segments] == [4, 4, 2]
        assert snapshot.bases.tolist() == [0, 4, 8]
        assert snapshot.generation == 1
        found = snapshot.passages(np.array([9, 0, 4, 9], np.int32))
        assert [passage.doc_id for passage in found] == ["d9", "d0", "d4", "d9"]
        assert found[0].text == document(9).text
        assert dict(found[0].metadata) == dict(document(9).metadata)


def test_ids_are_hashed_as_the_format_page_says(index: Path) -> None:
    content = (index / "segments" / "s000001" / "ids.hash").read_bytes()
    hashes, ords = np.frombuffer(content[:32], "<u8"), np.frombuffer(content[32:], "<u4")
    own = hash_doc_ids([f"d{n}" for n in range(4)])
    assert hashes.tolist() == sorted(own.tolist())
    assert own[ords].tolist() == hashes.tolist()


def test_nothing_shows_before_the_commit(index: Path) -> None:
    with IndexWriter.open(index, encoder=encoder()) as writer:
        writer.add(documents(5, start=10))
        writer.delete(["d0"])
        assert len(live_ids(index)) == 10
        writer.commit()
        assert live_ids(index) == [f"d{n}" for n in range(1, 15)]


def test_leaving_without_a_commit_rolls_back_to_the_byte(index: Path) -> None:
    before = digest(index)
    with IndexWriter.open(index, encoder=encoder()) as writer:
        writer.add(documents(9, start=10))
        writer.delete(["d0", "d12"])
        writer.merge()
    kept = {name for name in digest(index) if name.startswith("staging/")}
    assert {name: value for name, value in digest(index).items() if name not in kept} == before
    with IndexWriter.open(index, encoder=encoder()) as writer:
        writer.add(documents(1, start=10))
        writer.commit()
    assert not (index / "staging").exists()


def test_rollback_makes_the_writer_usable_again(index: Path) -> None:
    with IndexWriter.open(index, encoder=encoder()) as writer:
        writer.add(documents(3, start=10))
        writer.rollback()
        assert writer.add(documents(2, start=10)).documents == 2
        writer.commit()
    assert len(live_ids(index)) == 12


def test_committing_nothing_changes_nothing(index: Path) -> None:
    before = digest(index)
    with IndexWriter.open(index) as writer:
        assert writer.delete(["nobody"]) == 0
        writer.merge(10)
        assert writer.commit().generation == 1
    assert digest(index) == before


def test_an_empty_corpus_is_an_index(tmp_path: Path) -> None:
    manifest = build(tmp_path / "index", [])
    assert (manifest.generation, manifest.segments) == (1, ())
    with Snapshot.open(tmp_path / "index") as snapshot:
        assert snapshot.size == snapshot.live_docs == snapshot.live_length == 0
        assert snapshot.ids(np.empty(0, np.int32)) == []
        assert snapshot.allowed(None) is None
    with IndexWriter.open(tmp_path / "index", encoder=encoder()) as writer:
        writer.add(documents(1))
        writer.commit()
    assert live_ids(tmp_path / "index") == ["d0"]


@pytest.mark.parametrize("segment_docs", [2, 5, 100])
def test_duplicates_in_one_corpus(tmp_path: Path, segment_docs: int) -> None:
    items = [*documents(6), document(1, 1), *documents(4, start=6), document(1, 2), document(9, 1)]
    config = IndexConfig(segment_docs=segment_docs)
    expected = {
        "replace": ["d0", "d2", "d3", "d4", "d5", "d6", "d7", "d8", "d1", "d9"],
        "skip": [f"d{n}" for n in range(10)],
    }
    with IndexWriter.create(tmp_path / "error", config) as writer:
        with pytest.raises(DuplicateIdError, match="'d1'"):
            writer.add(items)
        with pytest.raises(UsageError, match="rollback"):
            writer.commit()
    for policy in ("replace", "skip"):
        path = tmp_path / policy
        with IndexWriter.create(path, config) as writer:
            report = writer.add(items, on_duplicate=policy)
            manifest = writer.commit()
        assert live_ids(path) == expected[policy]
        facts = report.to_dict()
        assert min(facts.pop("phases").values()) >= 0
        assert facts == {
            "documents": 13 if policy == "replace" else 10,
            "passages": 13 if policy == "replace" else 10,
            "replaced": 3 if policy == "replace" else 0,
            "duplicates": 0 if policy == "replace" else 3,
        }
        assert manifest.documents == 10
        assert verify(path).ok


def test_upsert_over_commits(index: Path) -> None:
    with IndexWriter.open(index, encoder=encoder()) as writer:
        with pytest.raises(DuplicateIdError):
            writer.add([document(3, 1)])
        writer.rollback()
        assert writer.add([document(3, 1), document(20)], on_duplicate="replace").replaced == 1
        writer.commit()
    assert live_ids(index) == ["d0", "d1", "d2", "d4", "d5", "d6", "d7", "d8", "d9", "d3", "d20"]
    with Snapshot.open(index) as snapshot:
        assert snapshot.passages(np.array([10], np.int32))[0].text == document(3, 1).text
        assert snapshot.documents == 11
    assert verify(index).ok


def test_deleted_documents_leave_the_statistics(index: Path, tmp_path: Path) -> None:
    with IndexWriter.open(index) as writer:
        assert writer.delete(["d1", "d8", "d9", "d1", "nobody"]) == 3
        manifest = writer.commit()
    assert [segment.name for segment in manifest.segments] == ["s000001", "s000002"]
    build(tmp_path / "fresh", [document(n) for n in (0, 2, 3, 4, 5, 6, 7)])
    with Snapshot.open(index) as snapshot, Snapshot.open(tmp_path / "fresh") as fresh:
        assert (snapshot.live_docs, snapshot.live_length) == (fresh.live_docs, fresh.live_length)
        reference = fresh.segments[0].postings
        for number, term in enumerate(reference.terms()):
            ids = [(segment, segment.postings.term_id(term)) for segment in snapshot.segments]
            assert sum(segment.live_df(i) for segment, i in ids if i >= 0) == reference.df(number)


def test_repeated_deletions_keep_only_the_current_files(index: Path) -> None:
    for generation, doc_id in ((2, "d0"), (3, "d1")):
        with IndexWriter.open(index) as writer:
            writer.delete([doc_id])
            writer.commit()
        names = {path.name for path in (index / "segments" / "s000001").iterdir()}
        deletion = {f"live-{generation:06d}.bits", f"df-{generation:06d}.u32"}
        assert {name for name in names if name.startswith(("live-", "df-"))} == deletion
    assert verify(index).ok


def test_delete_then_add_equals_never_deleted_up_to_order(index: Path, tmp_path: Path) -> None:
    with IndexWriter.open(index, encoder=encoder()) as writer:
        writer.delete([f"d{n}" for n in range(10)])
        writer.add(documents(10))
        writer.merge()
        writer.commit()
    build(tmp_path / "fresh", documents(10))
    ours, fresh = (path / "segments" for path in (index, tmp_path / "fresh"))
    (mine,) = ours.iterdir()
    assert digest(mine) == digest(fresh / "s000001")


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_a_merge_gives_the_bytes_of_a_single_build(tmp_path: Path, kind: str) -> None:
    model = encoder()
    config = IndexConfig(encoder=model.info, segment_docs=3, vector_kind=kind)  # type: ignore[arg-type]
    with IndexWriter.create(tmp_path / "many", config, encoder=model) as writer:
        writer.add(documents(14))
        writer.commit()
        writer.delete(["d2", "d5", "d6", "d13"])
        writer.merge()
        assert len(writer.commit().segments) == 1
    with IndexWriter.create(tmp_path / "one", replace(config, segment_docs=99), encoder=model) as writer:
        writer.add(document(n) for n in range(14) if n not in (2, 5, 6, 13))
        writer.commit()
    (merged,) = (tmp_path / "many" / "segments").iterdir()
    assert digest(merged) == digest(tmp_path / "one" / "segments" / "s000001")
    assert verify(tmp_path / "many").ok


def test_merging_down_to_some_keeps_order(tmp_path: Path) -> None:
    build(tmp_path / "index", documents(20), segment_docs=2, dense=False)
    for count in (7, 3, 1):
        with IndexWriter.open(tmp_path / "index") as writer:
            writer.merge(count)
            assert len(writer.commit().segments) == count
        assert live_ids(tmp_path / "index") == [f"d{n}" for n in range(20)]
    assert len(list((tmp_path / "index" / "segments").iterdir())) == 1


def test_plan_joins_the_smallest_neighbours() -> None:
    assert plan_merge([5, 1, 1, 5], 4) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert plan_merge([5, 1, 1, 5], 3) == [(0, 1), (1, 3), (3, 4)]
    assert plan_merge([5, 1, 1, 5], 2) == [(0, 3), (3, 4)]
    assert plan_merge([5, 1, 1, 5], 1) == [(0, 4)]
    assert plan_merge([], 1) == []
    with pytest.raises(ConfigError):
        plan_merge([1], 0)


def test_chunked_documents_are_deleted_whole(tmp_path: Path) -> None:
    chunking = ChunkConfig("words", 5, 1)
    with IndexWriter.create(tmp_path / "index", IndexConfig(chunking=chunking, segment_docs=3)) as writer:
        report = writer.add(documents(8))
        writer.delete(["d4"])
        manifest = writer.commit()
    assert report.passages > report.documents == 8
    assert manifest.documents == 7
    with Snapshot.open(tmp_path / "index") as snapshot:
        assert all(not passage_id.startswith("d4#") for passage_id in ids_of(snapshot))
        owners: list[set[str]] = []
        for base, segment in zip(snapshot.bases.tolist(), snapshot.segments):
            owners.append(set(snapshot.doc_ids(np.arange(base, base + segment.size, dtype=np.int32))))
        assert sum(map(len, owners)) == len(set().union(*owners))
    assert verify(tmp_path / "index").ok


def test_an_index_is_not_made_over_something(index: Path, tmp_path: Path) -> None:
    with pytest.raises(IndexExistsError, match="add documents"):
        IndexWriter.create(index, SPARSE)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("keep me")
    with pytest.raises(IndexExistsError, match=r"thesis\.txt"):
        IndexWriter.create(tmp_path / "mine", SPARSE)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(IndexExistsError, match="is a file"):
        IndexWriter.create(tmp_path / "mine" / "thesis.txt", SPARSE)


def test_what_is_not_there_is_not_opened_nor_made(tmp_path: Path) -> None:
    for opened in (IndexWriter.open, Snapshot.open, verify, info):
        with pytest.raises(IndexNotFoundError, match="no index"):
            opened(tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []


def test_one_writer_at_a_time(index: Path, tmp_path: Path) -> None:
    with IndexWriter.open(index), pytest.raises(LockedIndexError, match="being written"):
        IndexWriter.open(index)
    with IndexWriter.create(tmp_path / "new", SPARSE), pytest.raises(LockedIndexError):
        IndexWriter.create(tmp_path / "new", SPARSE)
    IndexWriter.open(index).close()


def test_a_closed_writer_says_so(index: Path) -> None:
    writer = IndexWriter.open(index)
    writer.close()
    writer.close()
    with pytest.raises(UsageError, match="closed"):
        writer.commit()


def test_encoders_must_fit(index: Path, tmp_path: Path) -> None:
    other = HashingEncoder(32)
    with pytest.raises(FingerprintError, match=r"hashing:32.*hashing:16"):
        IndexWriter.open(index, encoder=other)
    with pytest.raises(FingerprintError, match="hashing:32"):
        IndexWriter.create(tmp_path / "new", IndexConfig(encoder=encoder().info), encoder=other)
    with pytest.raises(FingerprintError, match="no vectors"):
        IndexWriter.create(tmp_path / "new", IndexConfig(), encoder=other)
    with IndexWriter.open(index) as writer, pytest.raises(ConfigError, match="hashing:16"):
        writer.add(documents(1, start=50))
    with Snapshot.open(index) as snapshot:
        snapshot.check_encoder(encoder())
        with pytest.raises(FingerprintError, match=r"hashing:32.*hashing:16"):
            snapshot.check_encoder(other)


def test_bad_requests_are_named(index: Path) -> None:
    with IndexWriter.open(index, encoder=encoder()) as writer:
        with pytest.raises(ConfigError, match="replace"):
            writer.add([], on_duplicate="maybe")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="list"):
            writer.delete("d1")
        with pytest.raises(ConfigError, match="at least 1"):
            writer.merge(0)
        with pytest.raises(CorpusError, match="without an id"):
            writer.add([Document("", "text")])


def test_a_corpus_that_fails_in_the_middle_changes_nothing(index: Path) -> None:
    def stream() -> object:
        yield from documents(9, start=10)
        raise CorpusError("a bad line", path="corpus.jsonl", line=10)

    before = digest(index)
    with (
        pytest.raises(CorpusError, match=r"corpus\.jsonl:10"),
        IndexWriter.open(index, encoder=encoder()) as w,
    ):
        w.add(stream())  # type: ignore[arg-type]
    assert {k: v for k, v in digest(index).items() if not k.startswith("staging/")} == before


def test_odd_texts_survive(tmp_path: Path) -> None:
    odd = [
        Document("nul\x00id", "a\x00b", "t\x00"),
        Document("emoji 🐝", "🐝🐝 flower"),
        Document("lone \ud800", "surrogate \udfff here"),
        Document("empty", ""),
        Document("blank", "   "),
    ]
    with IndexWriter.create(tmp_path / "index", SPARSE) as writer:
        report = writer.add(odd)
        assert writer.delete(["nul\x00id"]) == 1
        writer.commit()
    assert report.documents == report.passages == 5
    with Snapshot.open(tmp_path / "index") as snapshot:
        ids = ids_of(snapshot)
        assert ids[:2] == ["emoji 🐝", "lone \ud800"]
        assert snapshot.passages(np.array([2], np.int32))[0].text == odd[2].text
    assert verify(tmp_path / "index").ok


def test_info_counts(index: Path) -> None:
    with IndexWriter.open(index) as writer:
        writer.delete(["d1"])
        writer.commit()
    facts = info(index)
    assert (facts["documents"], facts["passages"], facts["deleted_passages"]) == (9, 9, 1)
    assert facts["encoder"]["name"] == "hashing:16"
    assert [segment["passages"] for segment in facts["segments"]] == [3, 4, 2]
    assert facts["bytes"] == sum(p.stat().st_size for p in index.glob("segments/*/*"))


def test_progress_is_told(index: Path) -> None:
    told: list[tuple[str, int, int | None]] = []

    def progress(stage: str, done: int, total: int | None) -> None:
        told.append((stage, done, total))

    with IndexWriter.open(index, encoder=encoder()) as writer:
        writer.add(list(documents(3, start=10)), progress=progress)
        writer.merge(progress=progress)
    assert told[0] == ("indexing", 3, None)
    assert told[-1] == ("merging", 13, 13)


def test_a_merge_leaves_segments_with_few_deletions_alone(tmp_path: Path) -> None:
    path = tmp_path / "index"
    build(path, documents(40), segment_docs=20, dense=False)
    with IndexWriter.open(path) as writer:
        writer.delete(["d1", "d20", "d21", "d22", "d23", "d24"])
        writer.commit()
        for purge in (-0.1, 1.1, float("nan")):
            with pytest.raises(ConfigError, match="purge"):
                writer.merge(2, purge=purge)
        writer.merge(2, purge=0.1)
        names = [(segment.name, segment.size) for segment in writer.commit().segments]
        assert names == [("s000001", 20), ("s000003", 15)]
        writer.merge(2)
        assert [segment.size for segment in writer.commit().segments] == [19, 15]
        writer.merge(1, purge=1.0)
        assert [segment.size for segment in writer.commit().segments] == [34]
    assert live_ids(path) == [f"d{n}" for n in range(40) if n not in (1, 20, 21, 22, 23, 24)]


@pytest.mark.parametrize("damage", ["remove", "cut", "folder", "empty"])
def test_a_writer_does_not_open_what_is_damaged(index: Path, damage: str) -> None:
    for file in sorted((index / "segments" / "s000001").iterdir()):
        data = file.read_bytes()
        file.unlink()
        if damage == "folder":
            file.mkdir()
        elif damage != "remove":
            file.write_bytes(data[:-1] if damage == "cut" else b"")
        if not (damage in ("cut", "empty") and not data):
            with pytest.raises(CorruptIndexError, match=file.name):
                IndexWriter.open(index)
        if damage == "folder":
            file.rmdir()
        file.write_bytes(data)
    IndexWriter.open(index).close()


def test_a_merge_does_not_hide_damage(index: Path) -> None:
    for file in sorted((index / "segments" / "s000002").iterdir()):
        data = file.read_bytes()
        if not data:
            continue
        file.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        with IndexWriter.open(index) as writer, pytest.raises(CorruptIndexError, match=file.name):
            writer.merge()
        file.write_bytes(data)
    with IndexWriter.open(index) as writer:
        writer.merge()
        writer.commit()
    assert verify(index).ok


def test_postings_of_no_passage_are_named(index: Path) -> None:
    file = index / "segments" / "s000001" / "post.doc"
    docs = np.fromfile(file, "<u4")
    docs[0] = 77
    docs.tofile(file)
    with IndexWriter.open(index) as writer:
        writer.delete(["d1"])
        with pytest.raises(CorruptIndexError, match=r"post\.doc.*document 77"):
            writer.commit()

"""The learned-sparse leg: quantised, spilled, read, merged; in an index with deletions, merges and damage."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.sparse_encoder_kit import SparseEncoderKit
from tests.indexing.builds import digest, document, documents
from twindex.indexing.config import IndexConfig
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.encoders.sparse_hashing import SparseHashingEncoder
from twindex.indexing.encoding import SparseEncoder, SparseEncoderInfo, SparseRows
from twindex.indexing.errors import ConfigError, CorruptIndexError, FingerprintError
from twindex.indexing.postings import ImpactFacts, ImpactReader, build_impacts, impact_facts, impacts, merge_impacts
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.sparse_cache import SparseCache
from twindex.indexing.types import Document
from twindex.indexing.verify import info, verify
from twindex.indexing.writer import IndexWriter

VOCABULARY = 9
SCALE = 0.25
#: One document: dimension -> weight; around the edges of rounding, dropping and clipping.
ROW = st.dictionaries(
    st.integers(0, VOCABULARY - 1), st.sampled_from([0.0, 0.1, 0.125, 0.13, 0.375, 1.0, 63.0, 63.75, 63.9, 99.0])
)
Rows = list[dict[int, float]]


def sparse(rows: Rows) -> SparseRows:
    pointers = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    ids = [dimension for row in rows for dimension in sorted(row)]
    weights = [row[dimension] for row in rows for dimension in sorted(row)]
    return SparseRows(pointers, np.array(ids, np.int32), np.array(weights, np.float32))


def expected(rows: Rows) -> dict[int, dict[int, int]]:
    out: dict[int, dict[int, int]] = {}
    for number, row in enumerate(rows):
        for dimension, weight in row.items():
            units = min(round(float(np.float32(weight)) / SCALE), 255)  # Python rounds half to even as well
            if units:
                out.setdefault(dimension, {})[number] = units
    return out


def contents(reader: ImpactReader) -> dict[int, dict[int, int]]:
    lists = {d: reader.postings(d) for d in range(reader.vocabulary)}
    return {d: dict(zip(docs.tolist(), values.tolist())) for d, (docs, values) in lists.items() if len(docs)}


def build(rows: Rows, folder: Path, *, each: int = 4) -> ImpactReader:
    batches = (sparse(rows[at : at + each]) for at in range(0, len(rows), each))
    build_impacts(folder, batches, vocabulary=VOCABULARY, scale=SCALE)
    return ImpactReader(folder)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def random_rows(count: int, seed: int = 3) -> Rows:
    rng = np.random.default_rng(seed)
    return [
        {int(d): float(rng.gamma(2.0, 4.0)) for d in rng.choice(VOCABULARY, rng.integers(0, VOCABULARY), replace=False)}
        for _ in range(count)
    ]


class TestSparseHashing(SparseEncoderKit):
    @pytest.fixture
    def encoder(self) -> SparseEncoder:
        return SparseHashingEncoder(512)


@settings(max_examples=80, deadline=None)
@given(rows=st.lists(ROW, max_size=12), each=st.integers(1, 5))
def test_reader_holds_the_rounded_weights(tmp_path_factory: pytest.TempPathFactory, rows: Rows, each: int) -> None:
    reader = build(rows, tmp_path_factory.mktemp("impacts"), each=each)
    assert contents(reader) == expected(rows)
    assert (reader.num_docs, reader.vocabulary, reader.scale) == (len(rows), VOCABULARY, SCALE)
    assert [reader.df(d) for d in range(VOCABULARY)] == [len(expected(rows).get(d, {})) for d in range(VOCABULARY)]
    assert reader.problems() == []
    weights = [weight for row in rows for weight in row.values()]
    assert reader.facts.clipped == sum(round(float(np.float32(w)) / SCALE) > 255 for w in weights)
    assert reader.facts.dropped == sum(w > 0 and round(float(np.float32(w)) / SCALE) == 0 for w in weights)


@pytest.mark.parametrize("limit", [1, 37, 400])
def test_spilled_runs_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    rows = random_rows(300)
    build(rows, tmp_path / "whole", each=300)
    monkeypatch.setattr(impacts, "BYTES_PER_POSTING", (256 << 20) // limit)
    monkeypatch.setattr(impacts, "CHUNK", 50)
    build(rows, tmp_path / "spilled", each=7)
    assert bytes_of(tmp_path / "whole") == bytes_of(tmp_path / "spilled")


@settings(max_examples=60, deadline=None)
@given(parts=st.lists(st.lists(st.tuples(ROW, st.booleans()), max_size=6), min_size=1, max_size=4))
def test_merging_equals_building_from_what_is_kept(tmp_path_factory: pytest.TempPathFactory, parts: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("merge")
    readers = [build([row for row, _ in part], folder / str(n)) for n, part in enumerate(parts)]
    keep = [np.array([kept for _, kept in part], np.bool_) if part else None for part in parts]
    (folder / "merged").mkdir()
    merge_impacts(readers, keep, folder / "merged")
    build([row for part in parts for row, kept in part if kept], folder / "direct")
    merged, direct = bytes_of(folder / "merged"), bytes_of(folder / "direct")
    facts = ImpactFacts.from_bytes(merged.pop("imp.json"))
    assert (facts.docs, facts.postings) == (ImpactReader(folder / "direct").num_docs, len(direct["imp.u8"]))
    assert facts.queries == sum(reader.facts.queries for reader in readers)
    direct.pop("imp.json")
    assert merged == direct


def test_exactness_is_measured(tmp_path: Path) -> None:
    """Against the same searches written out, over all documents: 64 of at most 2,048 documents are all here."""
    rows = random_rows(60)
    facts = build(rows, tmp_path).facts
    quantised = [{d: min(round(w / SCALE), 255) * SCALE for d, w in row.items()} for row in rows]
    errors: list[float] = []
    same = queries = 0
    for row in rows:
        query = dict(sorted(row.items(), key=lambda item: (-np.float32(item[1]), item[0]))[: impact_facts.QUERY_TERMS])
        if not query:
            continue
        exact, stored = (
            [sum(query[d] * other.get(d, 0) for d in query) for other in side] for side in (rows, quantised)
        )
        best, other = (sorted(range(60), key=lambda i: (-s[i], i))[:10] for s in (exact, stored))
        best = [i for i in best if exact[i] > 0]
        same += best == [i for i in other if stored[i] > 0]
        errors += [abs(stored[i] - exact[i]) / exact[i] for i in best]
        queries += 1
    assert (facts.queries, facts.scores, facts.same_top) == (queries, len(errors), same)
    assert facts.error_max == pytest.approx(max(errors), rel=1e-5)
    assert facts.error_mean == pytest.approx(math.fsum(errors) / len(errors), rel=1e-5)
    assert 0 < facts.error_mean < 0.05


def test_the_sample_stays_small_and_even() -> None:
    sample = impact_facts.Sample(10)
    for start in range(0, 1000, 7):
        rows = [{0: float(n)} for n in range(start, min(start + 7, 1000))]
        sample.add(sparse(rows), np.ones(len(rows), np.uint8))
    kept = [float(row.weights[0]) for row, _ in sample._kept]
    assert 5 <= len(kept) <= 10
    assert kept[0] == 0
    assert len(set(np.diff(kept))) == 1


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (SparseRows(np.array([0, 1]), np.array([9], np.int32), np.ones(1, np.float32)), "ids from 9"),
        (SparseRows(np.array([0, 1]), np.array([-1], np.int32), np.ones(1, np.float32)), "ids from -1"),
        (SparseRows(np.array([0, 2]), np.array([3, 3], np.int32), np.ones(2, np.float32)), "ascend"),
        (SparseRows(np.array([0, 2]), np.array([3, 2], np.int32), np.ones(2, np.float32)), "ascend"),
        (SparseRows(np.array([0, 1]), np.array([3], np.int32), np.array([-1], np.float32)), "below 0"),
        (SparseRows(np.array([0, 1]), np.array([3], np.int32), np.array([np.nan], np.float32)), "finite"),
        (SparseRows(np.array([0, 2]), np.array([3], np.int32), np.ones(1, np.float32)), "pointers"),
        (SparseRows(np.array([0, 1]), np.array([3], np.int32), np.ones(1)), "dtypes"),  # type: ignore[arg-type]
    ],
)
def test_rows_that_are_no_sparse_vectors(tmp_path: Path, rows: SparseRows, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        build_impacts(tmp_path, [rows], vocabulary=VOCABULARY, scale=SCALE)


@pytest.mark.parametrize("bad", [{"vocabulary": 0}, {"vocabulary": 1 << 25}, {"max_weight": 0.0}, {"max_weight": -1.0}])
def test_encoders_that_cannot_be(bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        SparseEncoderInfo(**({"name": "x", "fingerprint": "x", "vocabulary": 8, "max_weight": 1.0} | bad))


# In an index.


def model() -> SparseHashingEncoder:
    return SparseHashingEncoder(256)


def make(path: Path, *, segment_docs: int = 1000, count: int = 60) -> None:
    config = IndexConfig(sparse_encoder=model().info, segment_docs=segment_docs)
    with IndexWriter.create(path, config, sparse_encoder=model()) as writer:
        report = writer.add(documents(count))
        writer.commit()
    assert sum(facts.docs for facts in report.impacts) == count
    assert report.to_dict()["impacts"]["sample_queries"] > 0


def stored(path: Path) -> dict[str, dict[int, int]]:
    """Impacts of each live passage by its id."""
    out: dict[str, dict[int, int]] = {}
    with Snapshot.open(path) as snapshot:
        for segment, base in zip(snapshot.segments, snapshot.bases.tolist()):
            assert segment.impacts is not None
            live = np.ones(segment.size, np.bool_) if segment.live is None else segment.live
            ids = snapshot.ids(np.arange(base, base + segment.size, dtype=np.int32))
            rows: list[dict[int, int]] = [{} for _ in ids]
            for dimension, found in contents(segment.impacts).items():
                for ord_, impact in found.items():
                    rows[ord_][dimension] = impact
            out |= {name: row for name, row, alive in zip(ids, rows, live) if alive}
    return out


def fresh(items: list[Document]) -> dict[str, dict[int, int]]:
    """Impacts as a new encoding gives them."""
    out = {}
    for item in items:
        row = model().encode_documents([f"{item.title} {item.text}" if item.title else item.text])
        units = np.rint(row.weights.astype(np.float64) / model().info.scale).astype(int)
        out[item.id] = {d: u for d, u in zip(row.ids.tolist(), units.tolist()) if u}
    return out


def test_add_replace_delete_and_merge_keep_step(tmp_path: Path) -> None:
    path = tmp_path / "index"
    make(path, segment_docs=17)
    assert stored(path) == fresh(list(documents(60)))
    now = {n: 0 for n in range(60)}
    with IndexWriter.open(path, sparse_encoder=model()) as writer:
        writer.add((document(n, 1) for n in range(50, 70)), on_duplicate="replace")
        writer.delete([f"d{n}" for n in range(0, 40, 3)])
        writer.commit()
    now |= dict.fromkeys(range(50, 70), 1)
    left = [document(n, version) for n, version in now.items() if n not in range(0, 40, 3)]
    assert stored(path) == fresh(left)
    with IndexWriter.open(path) as writer:  # a merge encodes nothing
        writer.merge()
        writer.commit()
    assert stored(path) == fresh(left)
    assert verify(path).problems == ()
    assert info(path)["impacts"]["postings"] == sum(map(len, fresh(left).values()))


def test_segments_do_not_change_an_impact(tmp_path: Path) -> None:
    make(tmp_path / "one")
    make(tmp_path / "many", segment_docs=7)
    assert stored(tmp_path / "one") == stored(tmp_path / "many")


def test_vectors_without_an_encoder_and_without_text(tmp_path: Path) -> None:
    items = list(documents(40))
    texts = [f"{item.title} {item.text}" if item.title else item.text for item in items]
    rows = model().encode_documents(texts)
    config = IndexConfig(sparse_encoder=model().info, segment_docs=15)
    for name, given_items in (("texts", items), ("bare", [Document(item.id, "") for item in items])):
        with IndexWriter.create(tmp_path / name, config) as writer:
            report = writer.add_vectors(given_items, rows)
            assert report.documents == 40
            again = writer.add_vectors(given_items[:5], rows.slice(0, 5), on_duplicate="replace")
            assert again.replaced == 5
            writer.commit()
        assert stored(tmp_path / name) == fresh(items)
        assert verify(tmp_path / name).problems == ()
    make(tmp_path / "encoded", segment_docs=15, count=40)
    for name in ("imp.doc", "imp.u8", "imp.ptr"):
        one, two = (tmp_path / which / "segments" / "s000001" / name for which in ("texts", "encoded"))
        assert one.read_bytes() == two.read_bytes()


def test_texts_and_vectors_in_one_index(tmp_path: Path) -> None:
    items = list(documents(12))
    texts = [f"{item.title} {item.text}" if item.title else item.text for item in items]
    rows = model().encode_documents(texts)
    config = IndexConfig(sparse_encoder=model().info)
    with IndexWriter.create(tmp_path / "index", config, sparse_encoder=model()) as writer:
        writer.add(items[:4])
        writer.add_vectors(items[4:9], rows.slice(4, 9))
        writer.add(items[9:])
        writer.commit()
    assert stored(tmp_path / "index") == fresh(items)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "index")
    other = SparseHashingEncoder(512)
    with pytest.raises(FingerprintError, match="512"):
        IndexWriter.open(tmp_path / "index", sparse_encoder=other)
    with pytest.raises(FingerprintError, match="no impacts"):
        IndexWriter.create(tmp_path / "none", IndexConfig(), sparse_encoder=other)
    with IndexWriter.open(tmp_path / "index") as writer:
        with pytest.raises(ConfigError, match="with 2 rows"):
            writer.add_vectors([Document("x", "")], model().encode_documents(["a", "b"]))
        with pytest.raises(ConfigError, match="sparse_encoder"):
            writer.add([Document("x", "a text")])
    with Snapshot.open(tmp_path / "index") as snapshot:
        snapshot.check_sparse_encoder(model())
        with pytest.raises(FingerprintError):
            snapshot.check_sparse_encoder(other)
    dense = HashingEncoder(8)
    config = IndexConfig(encoder=dense.info, sparse_encoder=model().info)
    with (
        IndexWriter.create(tmp_path / "both", config, encoder=dense) as writer,
        pytest.raises(ConfigError, match="no dense"),
    ):
        writer.add_vectors([Document("x", "")], model().encode_documents(["a"]))


@pytest.mark.parametrize("name", ["imp.ptr", "imp.doc", "imp.u8", "imp.json"])
@pytest.mark.parametrize("damage", ["cut", "lengthen", "remove", "flip"])
def test_damage_is_found(tmp_path: Path, name: str, damage: str) -> None:
    make(tmp_path / "index")
    path = tmp_path / "index" / "segments" / "s000001" / name
    data = path.read_bytes()
    path.unlink()
    if damage != "remove":
        changed = bytes([data[0] ^ 0xFF]) + data[1:]
        path.write_bytes({"cut": data[:-1], "lengthen": data + b"\0", "flip": changed}[damage])
    assert not verify(tmp_path / "index").ok
    if damage == "flip":
        return
    with pytest.raises(CorruptIndexError, match=name):
        Snapshot.open(tmp_path / "index")


@pytest.mark.parametrize("name", ["imp.ptr", "imp.doc", "imp.u8", "imp.json"])
def test_files_that_contradict_each_other(tmp_path: Path, name: str) -> None:
    """What no manifest guards: the reader by itself."""
    build(random_rows(20), tmp_path)
    path = tmp_path / name
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 // 8 * 8])
    with pytest.raises(CorruptIndexError, match=r"imp\."):
        ImpactReader(tmp_path)
    path.unlink()
    with pytest.raises(CorruptIndexError, match=name):
        ImpactReader(tmp_path)


@pytest.mark.parametrize(
    ("name", "at", "value", "problem"),
    [
        ("imp.doc", 0, 2**31, "document 2147483648 of 20"),
        ("imp.doc", 1, 0, "do not ascend"),
        ("imp.u8", 3, 0, "impact of 0"),
        ("imp.ptr", 0, 1, "pointers"),
        ("imp.ptr", 2, 2**40, "pointers"),
    ],
)
def test_contradictions_are_named(tmp_path: Path, name: str, at: int, value: int, problem: str) -> None:
    build([{0: 1.0, 1: 2.0, 2: 3.0} for _ in range(20)], tmp_path)
    path = tmp_path / name
    values = np.fromfile(path, {"imp.doc": "<u4", "imp.u8": "u1", "imp.ptr": "<u8"}[name])
    values[at] = value
    values.tofile(path)
    assert any(problem in found for found in ImpactReader(tmp_path).problems())


@pytest.mark.parametrize("change", [{"scale": -1.0}, {"docs": "3"}, {"docs": True}, {"error_sum": float("nan")}])
def test_facts_are_checked(tmp_path: Path, change: dict[str, Any]) -> None:
    build(random_rows(5), tmp_path)
    path = tmp_path / "imp.json"
    values = json.loads(path.read_bytes()) | change
    path.write_text(json.dumps(values, sort_keys=True, separators=(",", ":")))
    with pytest.raises(CorruptIndexError, match=r"imp\.json"):
        ImpactReader(tmp_path)


class Counting(SparseHashingEncoder):
    """Counts the texts that it was given, and stops at one of them."""

    def __init__(self, stop: str = "") -> None:
        super().__init__(256)
        self.seen = 0
        self._stop = stop

    def encode_documents(self, texts: Any) -> SparseRows:
        if self._stop and any(self._stop in text for text in texts):
            raise KeyboardInterrupt
        self.seen += len(texts)
        return super().encode_documents(texts)


def test_an_interrupted_build_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twindex.indexing.build.SHARD", 10)
    items = [*documents(55), Document("last", "unmistakable"), *documents(10, start=60)]
    config = IndexConfig(sparse_encoder=model().info, segment_docs=40)
    first, second, third = Counting("unmistakable"), Counting(), Counting()
    with (
        pytest.raises(KeyboardInterrupt),
        IndexWriter.create(tmp_path / "index", config, sparse_encoder=first) as writer,
    ):
        writer.add(items)
    with IndexWriter.create(tmp_path / "index", config, sparse_encoder=second) as writer:
        writer.add(items)
        writer.commit()
    assert first.seen + second.seen == len(items)
    assert not (tmp_path / "index" / "staging").exists()
    with IndexWriter.create(tmp_path / "at once", config, sparse_encoder=third) as writer:
        writer.add(items)
        writer.commit()
    assert digest(tmp_path / "index") == digest(tmp_path / "at once")


def test_damaged_checkpoints_are_encoded_anew(tmp_path: Path) -> None:
    encoder = Counting()
    texts = ["a copper lantern", "a violin"]
    SparseCache(tmp_path).encode(texts, encoder)
    (path,) = tmp_path.glob("*.rows")
    whole = path.read_bytes()
    for damaged in (whole, whole[:-1], whole[:20] + b"\1" + whole[21:], b"", whole + b"\0"):
        path.write_bytes(damaged)
        found = SparseCache(tmp_path).encode(texts, encoder)
        assert found.ids.tolist() == encoder.encode_documents(texts).ids.tolist()
        assert path.read_bytes() == whole
    assert encoder.seen == 2 + 4 * 2 + 5 * 2
    shutil.rmtree(tmp_path)

"""The expansion store: what was appended is read back, whatever happened to the process that wrote it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twindex.indexing.errors import (
    ConfigError,
    CorruptIndexError,
    FormatVersionError,
    IndexNotFoundError,
    LockedIndexError,
)
from twindex.indexing.expansion.duplicates import distinct
from twindex.indexing.expansion.records import Record, config_hash, content_hash, parse
from twindex.indexing.expansion.store import LOG_FILE, ExpansionStore, TopicWeight
from twindex.indexing.expansion.writer import ExpansionWriter, export
from twindex.indexing.vector_cache import _digest

PLAIN = {"name": "plain", "temperature": 0.8}
GUIDED = {"name": "guided", "temperature": 0.8}
ONE, TWO = content_hash("Title one text"), content_hash("two")


def queries(config: bytes, document: bytes, number: int, *texts: str) -> Record:
    return Record(config, document, "queries", number, list(texts))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with ExpansionWriter(tmp_path / "store") as writer:
        plain, guided = writer.configure(PLAIN), writer.configure(GUIDED)
        writer.append([queries(plain, ONE, 1, "third", "first?"), queries(plain, TWO, 0, "other")])
        writer.append([queries(plain, ONE, 0, "First", "second")])
        writer.append(
            [
                Record(guided, ONE, "topics", 0, [[3, 0.75, "birds"], [1, 0.25, ""]]),
                Record(guided, ONE, "keywords", 0, ["nest", "egg"]),
                Record(guided, ONE, "failed", 0, {"why": "no queries", "text": "..."}),
            ]
        )
    return tmp_path / "store"


def test_queries_come_in_order_of_sets_without_near_duplicates(folder: Path) -> None:
    with ExpansionStore.open(folder) as store:
        assert store.queries(ONE, "plain") == ("First", "second", "third")
        assert store.queries(ONE, "plain", duplicates=True) == ("First", "second", "third", "first?")
        assert store.queries(ONE, "plain", 2) == ("First", "second")
        assert store.queries(TWO) == ("other",)
        assert store.queries(content_hash("never seen")) == ()
        assert store.queries(ONE, "guided") == ()


def test_topics_and_keywords(folder: Path) -> None:
    with ExpansionStore.open(folder) as store:
        assert store.topics(ONE) == (TopicWeight(3, 0.75, "birds"), TopicWeight(1, 0.25, ""))
        assert store.keywords(ONE, "guided") == ("nest", "egg")
        assert store.keywords(TWO, "guided") == ()
        assert store.sets(ONE, config_hash(GUIDED)) == {0}
        assert list(store.documents(config_hash(PLAIN))) == [ONE, TWO]


def test_a_content_hash_is_the_vector_caches_key() -> None:
    assert content_hash("a text") == _digest(b"a text")


def test_configurations_are_found_by_name_and_by_hash(folder: Path) -> None:
    with ExpansionStore.open(folder) as store:
        plain = config_hash(PLAIN)
        assert store.resolve(None) == store.resolve("plain") == store.resolve(plain.hex()[:6]) == plain
        assert store.configs()[plain] == PLAIN
        with pytest.raises(ConfigError, match=r"no configuration is named 'x y'.*plain \("):
            store.resolve("x y")
    with ExpansionWriter(folder) as writer:
        writer.append([queries(config_hash(GUIDED), TWO, 0, "q")])
        with pytest.raises(ConfigError, match="2 configurations have queries"):
            writer.store.resolve(None)


def test_scores_filter_and_give_thresholds(folder: Path) -> None:
    plain = config_hash(PLAIN)
    with ExpansionWriter(folder) as writer:
        writer.append([Record(plain, ONE, "scores", 0, {"by": "e", "values": [0.5, 0.25]})])
        store = writer.store
        assert [score for _, score in store.scored(ONE)][:2] == [0.5, 0.25]
        assert math.isnan(store.scored(ONE)[2].score)
        assert store.queries(ONE, at_least=0.3) == ("First", "third")
        assert store.threshold(plain, 0.5) == 0.25
        assert store.threshold(plain, 0.0) == 0.25
        with pytest.raises(ConfigError):
            store.threshold(plain, 1.0)
        with pytest.raises(ConfigError, match="has a score"):
            store.threshold(config_hash(GUIDED), 0.5)


def test_a_reader_sees_more_after_refresh(folder: Path) -> None:
    with ExpansionStore.open(folder) as store, ExpansionWriter(folder) as writer:
        writer.append([queries(config_hash(PLAIN), TWO, 1, "later")])
        assert store.queries(TWO) == ("other",)
        assert store.refresh() == 1
        assert store.queries(TWO) == ("other", "later")
        assert store.refresh() == 0


def test_one_writer(folder: Path) -> None:
    with ExpansionWriter(folder), pytest.raises(LockedIndexError, match="is being written by process"):
        ExpansionWriter(folder)


def test_a_torn_tail_is_dropped_at_every_byte(folder: Path) -> None:
    log = folder / LOG_FILE
    whole = log.read_bytes()
    last = whole.rindex(b"batch ")
    for cut in range(last, len(whole)):
        log.write_bytes(whole[:cut])
        with ExpansionStore.open(folder) as store:
            assert store.queries(ONE, "plain") == ("First", "second", "third")
            assert store.sets(ONE, config_hash(GUIDED)) == set()
    with ExpansionWriter(folder) as writer:
        assert log.stat().st_size == last
        writer.append([queries(config_hash(PLAIN), TWO, 5, "after")])
    with ExpansionStore.open(folder) as store:
        assert store.queries(TWO) == ("other", "after")


def test_every_flipped_byte_before_the_last_batch_is_noticed(folder: Path) -> None:
    log = folder / LOG_FILE
    whole = log.read_bytes()
    for at in range(0, whole.rindex(b"batch "), 7):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        log.write_bytes(bytes(damaged))
        with pytest.raises((CorruptIndexError, FormatVersionError)):
            ExpansionStore.open(folder)
        with pytest.raises((CorruptIndexError, FormatVersionError)):
            ExpansionWriter(folder)
        assert log.read_bytes() == bytes(damaged)  # a writer that refuses has changed nothing


def test_a_barely_begun_log_is_an_empty_store(folder: Path) -> None:
    log = folder / LOG_FILE
    for size in (0, 5, 20):
        log.write_bytes(log.read_bytes()[:size])
        with ExpansionStore.open(folder) as store:
            assert len(store) == 0
        with ExpansionWriter(folder) as writer:
            writer.append([queries(writer.configure(PLAIN), ONE, 0, "a")])
            assert writer.store.queries(ONE) == ("a",)


def test_not_a_store(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError, match="twindex expand"):
        ExpansionStore.open(tmp_path)
    (tmp_path / LOG_FILE).write_bytes(b"twindex expansion 2\n")
    with pytest.raises(FormatVersionError, match="version 2"):
        ExpansionStore.open(tmp_path)
    (tmp_path / LOG_FILE).write_bytes(b"something else\n")
    with pytest.raises(CorruptIndexError):
        ExpansionStore.open(tmp_path)


def test_an_export_opens_as_the_same_store(folder: Path, tmp_path: Path) -> None:
    with ExpansionStore.open(folder) as store:
        size = export(store, tmp_path / "all.xz")
        assert size == (tmp_path / "all.xz").stat().st_size
        export(store, tmp_path / "one.xz", [config_hash(PLAIN)])
        with ExpansionStore.open(tmp_path / "all.xz") as copy, ExpansionStore.open(tmp_path / "one.xz") as part:
            assert copy.configs() == store.configs()
            for config in store.configs():
                assert list(copy.all_records(config)) == list(store.all_records(config))
            assert list(part.configs()) == [config_hash(PLAIN)]
            assert part.queries(ONE) == store.queries(ONE, "plain")
    whole = (tmp_path / "all.xz").read_bytes()
    (tmp_path / "cut.xz").write_bytes(whole[:-40])
    with pytest.raises(CorruptIndexError, match="cannot be unpacked"):
        ExpansionStore.open(tmp_path / "cut.xz")


def test_many_records_are_found_again(tmp_path: Path) -> None:
    with ExpansionWriter(tmp_path) as writer:
        config = writer.configure(PLAIN)
        documents = [content_hash(str(number)) for number in range(2000)]
        for number in range(20):
            writer.append(
                [queries(config, document, number, f"{number} of {document.hex()}") for document in documents]
            )
    with ExpansionStore.open(tmp_path) as store:
        assert len(store) == 40_001
        for document in documents[::97]:
            assert store.queries(document) == tuple(f"{number} of {document.hex()}" for number in range(20))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(), max_size=5), st.integers(0, 10**9))
def test_any_text_survives(texts: list[str], number: int) -> None:
    record = queries(config_hash(PLAIN), ONE, number, *texts)
    assert record.line().count(b"\n") == 1
    assert parse(record.line()) == record


def test_near_duplicates() -> None:
    assert distinct(["How do birds fly?", "how does a bird fly", "bird  flying", "", "  ", "fly birds"]) == [
        "How do birds fly?",
        "bird  flying",
    ]
    assert distinct(["What is it?", "who are they"]) == ["What is it?", "who are they"]

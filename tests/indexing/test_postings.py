"""The inverted file: built, spilled, read, merged, counted; against a dictionary of dictionaries."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twindex.indexing.analysis.base import TermBatch, Vocabulary
from twindex.indexing.errors import ConfigError, CorruptIndexError
from twindex.indexing.postings import PostingsBuilder, PostingsReader, live_df, merge_postings
from twindex.indexing.postings import builder as builder_module

Texts = list[list[str]]
texts = st.lists(
    st.lists(st.sampled_from(["a", "b", "bb", "é", "\ud800", "z\x00", "🐝", "蜂"]), max_size=12), max_size=12
)


def batch(documents: Texts, vocabulary: Vocabulary) -> TermBatch:
    ids = [vocabulary.add(term) for document in documents for term in document]
    offsets = np.cumsum([0] + [len(document) for document in documents], dtype=np.int64)
    return TermBatch(np.array(ids, np.int32), offsets)


def build(documents: Texts, directory: Path, *, each: int = 3) -> PostingsReader:
    directory.mkdir(parents=True, exist_ok=True)
    vocabulary, builder = Vocabulary(), PostingsBuilder(directory)
    for at in range(0, len(documents), each):
        builder.add(batch(documents[at : at + each], vocabulary))
    builder.finish(vocabulary)
    return PostingsReader(directory)


def expected(documents: Texts) -> dict[str, dict[int, int]]:
    out: dict[str, dict[int, int]] = {}
    for number, document in enumerate(documents):
        for term, tf in Counter(document).items():
            out.setdefault(term, {})[number] = tf
    return out


def contents(reader: PostingsReader) -> dict[str, dict[int, int]]:
    out = {}
    for number, term in enumerate(reader.terms()):
        docs, tfs = reader.postings(number)
        out[term] = dict(zip(docs.tolist(), tfs.tolist()))
    return out


def bytes_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


@settings(max_examples=60, deadline=None)
@given(documents=texts, each=st.integers(1, 5))
def test_reader_holds_what_was_added(tmp_path_factory: pytest.TempPathFactory, documents: Texts, each: int) -> None:
    reader = build(documents, tmp_path_factory.mktemp("p"), each=each)
    assert contents(reader) == expected(documents)
    assert reader.lengths.tolist() == [len(document) for document in documents]
    assert reader.total_length == sum(map(len, documents))
    names = list(reader.terms())
    encoded = [name.encode("utf-8", "surrogatepass") for name in names]
    assert encoded == sorted(encoded)
    assert [reader.term_id(name) for name in names] == list(range(reader.num_terms))
    assert reader.term_id("nowhere") == -1


def test_spilled_runs_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    documents = [[f"t{number}" for number in rng.zipf(1.5, size=40) % 500] for _ in range(300)]
    build(documents, tmp_path / "whole", each=300)
    monkeypatch.setattr(builder_module, "BYTES_PER_TOKEN", (256 << 20) // 700)
    monkeypatch.setattr(builder_module, "CHUNK", 97)
    build(documents, tmp_path / "spilled", each=7)
    assert bytes_of(tmp_path / "whole") == bytes_of(tmp_path / "spilled")


def test_frequencies_beyond_a_byte(tmp_path: Path) -> None:
    documents = [["a"] * 254, ["a"] * 255, ["b"], ["a"] * 70_000]
    reader = build(documents, tmp_path)
    assert contents(reader) == expected(documents)
    assert reader.tf(reader.term_id("a"), 3) == 70_000
    assert reader.tf(reader.term_id("a"), 2) == 0


@settings(max_examples=60, deadline=None)
@given(parts=st.lists(texts, min_size=1, max_size=4), data=st.data())
def test_merge_equals_building_from_what_is_kept(
    tmp_path_factory: pytest.TempPathFactory, parts: list[Texts], data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("m")
    readers = [build(part, root / f"s{number}") for number, part in enumerate(parts)]
    masks = [data.draw(st.lists(st.booleans(), min_size=len(part), max_size=len(part))) for part in parts]
    keep = [None if all(mask) else np.array(mask, np.bool_) for mask in masks]
    (root / "merged").mkdir()
    merge_postings(readers, keep, root / "merged")
    survivors = [doc for part, mask in zip(parts, masks) for doc, kept in zip(part, mask) if kept]
    build(survivors, root / "fresh")
    assert bytes_of(root / "merged") == bytes_of(root / "fresh")


@settings(max_examples=40, deadline=None)
@given(documents=texts, data=st.data())
def test_live_frequencies(tmp_path_factory: pytest.TempPathFactory, documents: Texts, data: st.DataObject) -> None:
    reader = build(documents, tmp_path_factory.mktemp("l"))
    live = data.draw(st.lists(st.booleans(), min_size=len(documents), max_size=len(documents)))
    counts = live_df(reader, np.array(live, np.bool_))
    wanted = expected(documents)
    for number, term in enumerate(reader.terms()):
        assert counts[number] == sum(live[doc] for doc in wanted[term])


@pytest.mark.parametrize("name", ["post.ptr", "post.doc", "post.tf", "terms.dat", "terms.off", "len.u32", "post.big"])
def test_missing_and_cut_files_are_named(tmp_path: Path, name: str) -> None:
    build([["a", "b"], ["b"] * 300], tmp_path)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink()
    with pytest.raises(CorruptIndexError, match=name):
        PostingsReader(tmp_path)
    (tmp_path / name).write_bytes(data[:-1])
    if name != "len.u32":  # its length has no twin inside the inverted file; the manifest knows it
        with pytest.raises(CorruptIndexError):
            PostingsReader(tmp_path)


def test_a_budget_too_small_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="1048576"):
        PostingsBuilder(tmp_path, memory_budget=10)

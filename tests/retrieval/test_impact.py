"""The learned-sparse leg over real segments: both engines against a plain twin, deletions, filters, explanations."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from twindex.indexing import Document, IndexConfig, IndexWriter, Snapshot
from twindex.indexing.encoders.sparse_hashing import SparseHashingEncoder
from twindex.indexing.errors import CorruptIndexError, FingerprintError, QueryError
from twindex.indexing.filters import parse_filter
from twindex.retrieval.base import Retriever
from twindex.retrieval.impact import ImpactRetriever
from twindex.retrieval.types import Query

WORDS = ["lamp", "light", "house", "sea", "storm", "keeper", "night", "ship", "rock", "wave", "bird", "fog"]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(5)
    path = tmp_path_factory.mktemp("impact") / "index"
    encoder = SparseHashingEncoder(vocabulary=64)
    config = IndexConfig(analyzer="english", sparse_encoder=encoder.info)
    with IndexWriter.create(path, config, sparse_encoder=encoder) as writer:
        for part in range(3):
            writer.add(
                Document(f"d{part}-{i}", " ".join(rng.choice(WORDS, 6)), metadata={"even": i % 2}) for i in range(80)
            )
            writer.commit()
        writer.delete([f"d1-{i}" for i in range(0, 80, 3)])
        writer.commit()
    return path


def twin(snapshot: Snapshot, retriever: ImpactRetriever, query: Query, k: int) -> list[tuple[int, float]]:
    allowed = snapshot.allowed(query.filter)
    hits = []
    for ord_ in range(snapshot.size):
        at = int(np.searchsorted(snapshot.bases, ord_, side="right")) - 1
        reader, score = snapshot.segments[at].impacts, np.float32(0)
        assert reader is not None
        for t, weight in zip(*retriever.terms(query.text), strict=True):
            docs, impacts = reader.postings(int(t))
            for p in np.flatnonzero(docs == ord_ - int(snapshot.bases[at])):
                score += weight * np.float32(impacts[p])
        if score > 0 and (allowed is None or allowed[ord_]):
            hits.append((ord_, float(score)))
    return sorted(hits, key=lambda hit: (-hit[1], hit[0]))[:k]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_equals_its_twin(index: Path, engine: str) -> None:
    if engine == "compiled":
        pytest.importorskip("numba")
    with Snapshot.open(index) as snapshot:
        retriever = ImpactRetriever(snapshot, SparseHashingEncoder(vocabulary=64), engine=engine)  # type: ignore[arg-type]
        assert isinstance(retriever, Retriever)
        filters = (None, parse_filter("even = 1"))
        asked = [Query(text, one) for text in ("lamp", "storm sea", "keeper night fog lamp", "") for one in filters]
        for k in (0, 1, 10, 1000):
            run = retriever.retrieve(asked, k)
            for query, ranking in zip(asked, run, strict=True):
                found = list(zip(ranking.ords.tolist(), ranking.scores.tolist(), strict=True))
                assert found == twin(snapshot, retriever, query, k)
                for ord_, score in found[:3]:
                    assert retriever.explain(query, ord_).value == score
        assert retriever.plan("lamp", 10).strategy == ("numpy" if engine == "numpy" else "exhaustive")


def test_explanations_say_why_not(index: Path) -> None:
    with Snapshot.open(index) as snapshot:
        retriever = ImpactRetriever(snapshot, SparseHashingEncoder(vocabulary=64), engine="numpy")
        assert retriever.explain(Query("lamp"), 80).value == 0  # deleted
        with pytest.raises(QueryError, match="ordinal 240"):
            retriever.explain(Query("lamp"), 240)
        with pytest.raises(QueryError, match="k = -1"):
            retriever.retrieve([Query("lamp")], -1)


def test_another_encoder_is_refused(index: Path) -> None:
    with Snapshot.open(index) as snapshot, pytest.raises(FingerprintError):
        ImpactRetriever(snapshot, SparseHashingEncoder(vocabulary=65))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ["numpy", "compiled"])
@pytest.mark.parametrize("name", ["imp.doc", "imp.u8", "imp.ptr"])
def test_damaged_lists_are_named_and_never_followed(index: Path, engine: str, name: str, tmp_path: Path) -> None:
    if engine == "compiled":
        pytest.importorskip("numba")
    shutil.copytree(index, tmp_path / "index")
    file = next((tmp_path / "index").rglob(name))
    if name == "imp.ptr":
        pointers = np.fromfile(file, "<u8")
        pointers[1:-1] = pointers[1:-1][::-1]  # the ends stay, so that sizes fit
        pointers.tofile(file)
    else:
        file.write_bytes((b"\xff" if name == "imp.doc" else b"\x00") * file.stat().st_size)
    with Snapshot.open(tmp_path / "index") as snapshot:
        retriever = ImpactRetriever(snapshot, SparseHashingEncoder(vocabulary=64), engine=engine)  # type: ignore[arg-type]
        asked = [Query(" ".join(WORDS))]
        if engine == "compiled" or name == "imp.doc":
            with pytest.raises(CorruptIndexError, match="name passages that are not there"):
                retriever.retrieve(asked, 10)
        else:
            assert len(retriever.retrieve(asked, 10)) == 1  # wrong, but within bounds: `twindex verify` finds it

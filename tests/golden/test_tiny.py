"""Twenty documents whose scores were computed by hand: BM25, its explanation, fusion by ranks, and the measures.

The derivation. Analysed by the english analyzer (title and text), the documents have 200 terms, 10 on average: fourteen
have 10, three (g02, g18, g19) have 15 and three (g09, g14, g15) have 5. With k1 = 0.9 and b = 0.4::

    K(length) = 0.9 * (0.6 + 0.4 * length / 10)        K(5) = 0.72     K(10) = 0.9      K(15) = 1.08
    T(tf, length) = tf / (tf + K(length))              T(1, 5) = 0.581395   T(1, 10) = 0.526316   T(1, 15) = 0.480769
                                                       T(2, 15) = 0.649351
    idf(df) = ln(1 + (20 - df + 0.5) / (df + 0.5))     idf(1) = ln 14 = 2.639057   idf(2) = ln 8.4 = 2.128232
                                                       idf(3) = ln 6 = 1.791759
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.contracts.explanations import check_tree
from twindex.eval.beir import Dataset
from twindex.eval.evaluate import evaluate
from twindex.eval.measures import parse
from twindex.eval.runs import Hits, format_run, table_from_run
from twindex.indexing.config import IndexConfig
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.writer import IndexWriter
from twindex.retrieval.fusion import RRF
from twindex.retrieval.lexical import LexicalRetriever
from twindex.retrieval.types import Query, Ranking

FOLDER = Path(__file__).parent / "tiny"
DATA = Dataset(FOLDER)
QUERIES = DATA.queries()

#: Query -> hits with their scores, best first; equal scores in corpus order.
BM25 = {
    # lighthous: df 3 (g01, g02, g03); lamp: df 3 (g01, g02 twice, g05); idf 1.791759 both
    "q1": {
        "g02": 2.024902,  # (0.480769 + 0.649351) * 1.791759
        "g01": 1.886062,  # (0.526316 + 0.526316) * 1.791759
        "g03": 0.943031,  # 0.526316 * 1.791759
        "g05": 0.943031,
    },
    # tide: df 3 (g11, g12, g13); rock: df 3 (g04, g12, g13); "the" and "and" are stop words
    "q2": {"g12": 1.886062, "g13": 1.886062, "g04": 0.943031, "g11": 0.943031},
    # bread: df 2 (g09, g10), asked for twice; sugar: df 1 (g08)
    "q3": {
        "g09": 2.474688,  # 2 * 0.581395 * 2.128232
        "g10": 2.240244,  # 2 * 0.526316 * 2.128232
        "g08": 1.388977,  # 0.526316 * 2.639057
    },
    # keeper: df 2 (g01, g15); orchard: df 2 (g06, g15)
    "q4": {
        "g15": 2.474688,  # (0.581395 + 0.581395) * 2.128232
        "g01": 1.120122,  # 0.526316 * 2.128232
        "g06": 1.120122,
    },
    "q5": {},  # stop words only
    "q6": {},  # not in the vocabulary
    # letter: df 2 (g18, g19 twice); sea: df 3 (g03, g17, g19); "at" is a stop word
    "q7": {
        "g19": 2.243392,  # 0.649351 * 2.128232 + 0.480769 * 1.791759
        "g18": 1.023188,  # 0.480769 * 2.128232
        "g03": 0.943031,  # 0.526316 * 1.791759
        "g17": 0.943031,
    },
}


@pytest.fixture(scope="module", params=[1000, 3], ids=["one segment", "seven segments"])
def snapshot(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    path = tmp_path_factory.mktemp("tiny") / "index"
    with IndexWriter.create(path, IndexConfig(segment_docs=request.param)) as writer:
        writer.add(DATA.corpus())
        writer.commit()
    with Snapshot.open(path) as opened:
        yield opened


def test_statistics(snapshot: Snapshot) -> None:
    lengths = [int(length) for segment in snapshot.segments for length in segment.postings.lengths]
    assert lengths == [10, 15, 10, 10, 10, 10, 10, 10, 5, 10, 10, 10, 10, 5, 5, 10, 10, 15, 15, 10]
    assert (snapshot.live_docs, snapshot.live_length) == (20, 200)


def test_bm25(snapshot: Snapshot) -> None:
    run = LexicalRetriever(snapshot).retrieve([Query(query.text) for query in QUERIES], 10)
    for i, query in enumerate(QUERIES):
        expected = BM25[query.id]
        assert run.ids(i) == list(expected), query.id
        assert run[i].scores.tolist() == pytest.approx(list(expected.values()), abs=2e-6), query.id


def test_the_run_file_is_the_same_to_the_byte(snapshot: Snapshot) -> None:
    run = LexicalRetriever(snapshot).retrieve([Query(query.text) for query in QUERIES], 10)
    table = table_from_run([query.id for query in QUERIES], run)
    assert format_run(table, "tiny") == (FOLDER / "bm25.run").read_text(encoding="utf-8")


def test_the_explanation_of_the_first_hit(snapshot: Snapshot) -> None:
    retriever = LexicalRetriever(snapshot)
    tree = retriever.explain(Query("lighthouse lamp"), 1)  # g02
    check_tree(tree)
    lamp, lighthouse = tree.details
    assert (lamp.data["term"], lighthouse.data["term"]) == ("lamp", "lighthous")
    assert [d.value for d in lamp.details] == pytest.approx([math.log(6), 2 / 3.08], rel=1e-6)
    assert [d.value for d in lighthouse.details] == pytest.approx([math.log(6), 1 / 2.08], rel=1e-6)
    assert lamp.details[0].data == {"idf": pytest.approx(math.log(6)), "df": 3, "N": 20, "boost": 1}
    wanted = {"tf": 2, "length": 15, "average": 10.0, "k1": 0.9, "b": 0.4}
    assert {key: lamp.details[1].data[key] for key in wanted} == wanted
    assert tree.value == pytest.approx(2.024902, abs=2e-6)


def test_the_explanation_file(snapshot: Snapshot) -> None:
    """Texts and data of the tree as a user and a machine see it."""
    found = LexicalRetriever(snapshot).explain(Query("lighthouse lamp"), 1).to_dict()
    stored = json.loads((FOLDER / "explanation.json").read_text(encoding="utf-8"))
    assert _rounded(found) == _rounded(stored)


def test_reciprocal_rank_fusion(snapshot: Snapshot) -> None:
    """With a second ranking g05, g01, g20 that somebody else made."""
    sparse = LexicalRetriever(snapshot).retrieve([Query("lighthouse lamp")], 10)[0]
    other = Ranking(np.array([4, 0, 19], np.int32), np.array([0.9, 0.8, 0.7], np.float32))
    fused = RRF(60).fuse([sparse, other], 10)
    expected = {
        "g01": 0.032258,  # 1/62 + 1/62
        "g05": 0.032018,  # 1/64 + 1/61
        "g02": 0.016393,  # 1/61
        "g03": 0.015873,  # 1/63, before g20 in the corpus
        "g20": 0.015873,  # 1/63
    }
    assert snapshot.ids(fused.ords) == list(expected)
    assert fused.scores.tolist() == pytest.approx(list(expected.values()), abs=1e-6)


def test_measures(snapshot: Snapshot) -> None:
    run = LexicalRetriever(snapshot).retrieve([Query(query.text) for query in QUERIES], 10)
    table: dict[str, Hits] = table_from_run([query.id for query in QUERIES], run)
    found = evaluate(table, DATA.qrels("test"), [parse("nDCG@10"), parse("AP"), parse("RR@10"), parse("R@100")])
    values = found.per_query()
    # q1: gains 1 (g02), 2 (g01), 1 (g03), 0 (g05). DCG = 1 + 2 / log2 3 + 1 / log2 4 = 2.761860;
    # ideal: 2, 1, 1: 2 + 1 / log2 3 + 1 / log2 4 = 3.130930
    assert values["q1"] == pytest.approx({"nDCG@10": 0.882121, "AP": 1.0, "RR@10": 1.0, "R@100": 1.0}, abs=1e-6)
    # q2: g12 first, g20 not found. DCG = 1; ideal 1 + 1 / log2 3 = 1.630930; AP = (1 / 1) / 2
    assert values["q2"] == pytest.approx({"nDCG@10": 0.613147, "AP": 0.5, "RR@10": 1.0, "R@100": 0.5}, abs=1e-6)
    # q3: gains 1 (g09), 2 (g10). DCG = 1 + 2 / log2 3 = 2.261860; ideal 2 + 1 / log2 3 = 2.630930
    assert values["q3"] == pytest.approx({"nDCG@10": 0.859719, "AP": 1.0, "RR@10": 1.0, "R@100": 1.0}, abs=1e-6)
    # q6: nothing is found. q4 and q5 are not judged.
    assert values["q6"] == {"nDCG@10": 0.0, "AP": 0.0, "RR@10": 0.0, "R@100": 0.0}
    assert values["q7"] == {"nDCG@10": 1.0, "AP": 1.0, "RR@10": 1.0, "R@100": 1.0}
    assert list(values) == ["q1", "q2", "q3", "q6", "q7"]
    # (0.882121 + 0.613147 + 0.859719 + 0 + 1) / 5
    assert found.aggregate()["nDCG@10"] == pytest.approx(0.670997, abs=1e-6)


def _rounded(value: object) -> object:
    """Numbers to five digits, so that the last bits of a logarithm do not matter."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, 5) if isinstance(value, float) else value

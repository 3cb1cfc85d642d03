"""One collection, one system: scores equal to trec_eval on the written run, self-matches, chunks, caches, the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.eval.made_up import make_collection, write_lines
from twindex.eval.beir import Dataset
from twindex.eval.evaluate import evaluate
from twindex.eval.harness import BeirOptions, evaluate_beir, store_result
from twindex.eval.indexes import index_config, leg_bytes
from twindex.eval.latency import latencies
from twindex.eval.measures import parse_all
from twindex.eval.qrels import read_qrels
from twindex.eval.results import Results
from twindex.eval.runs import read_run
from twindex.indexing.chunking import ChunkConfig
from twindex.indexing.config import IndexConfig
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.errors import ConfigError
from twindex.indexing.writer import IndexWriter
from twindex.retrieval.engine import Searcher
from twindex.retrieval.fusion import RRF
from twindex.retrieval.profile import Profile, Recipe

pytrec_eval = pytest.importorskip("pytrec_eval")
TREC = {"nDCG@10": "ndcg_cut_10", "R@100": "recall_100", "AP": "map", "P@5": "P_5", "Success@5": "success_5"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_collection(tmp_path_factory.mktemp("data"), "made-up", documents=60, queries=50)


@pytest.mark.parametrize("mode", ["sparse", "dense", "hybrid"])
def test_scores_equal_trec_evals_on_the_written_run(folder: Path, tmp_path: Path, mode: str) -> None:
    options = BeirOptions(mode=mode, measures=parse_all(TREC), average="judged", cache=tmp_path)  # type: ignore[arg-type]
    run_file = tmp_path / "a.run"
    result = evaluate_beir(folder, options, encoder=HashingEncoder(32), run_file=run_file)
    run: dict[str, dict[str, float]] = {}
    for line in run_file.read_text().splitlines():
        query, _, document, _, score, _ = line.split()
        run.setdefault(query, {})[document] = float(score)
    qrels = {q: dict(levels) for q, levels in read_qrels(folder / "qrels" / "test.tsv").items()}
    names = {n.replace("_cut_", "_cut.").replace("recall_", "recall.") for n in TREC.values()}
    names = {n.replace("P_", "P.").replace("success_", "success.") for n in names}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, names).evaluate(run)
    assert len(theirs) > 40
    for query, row in theirs.items():
        for ours, name in TREC.items():
            assert result.report.per_query()[query][ours] == pytest.approx(row[name], abs=1e-6)


def test_a_query_that_is_a_document_does_not_find_itself_when_asked(tmp_path: Path) -> None:
    folder = make_collection(tmp_path, "arguana", documents=10, queries=5)
    write_lines(folder / "queries.jsonl", [{"_id": f"d{i}", "text": f"title {i}"} for i in range(5)])
    judged = [f"d{i}\td{(i + 1) % 10}\t1" for i in range(5)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]) + "\n")
    results = {}
    for drop in (None, True, False):
        options = BeirOptions(mode="sparse", drop_self=drop, cache=tmp_path / "cache", k=4)
        results[drop] = evaluate_beir(folder, options, run_file=tmp_path / f"{drop}.run")
    assert results[None].self_matches == results[True].self_matches == 5  # the published rule of this name
    assert results[False].self_matches == 0
    lines = [line.split() for line in (tmp_path / "True.run").read_text().splitlines()]
    assert all(line[0] != line[2] for line in lines)
    per_query = {q: sum(line[0] == q for line in lines) for q in {line[0] for line in lines}}
    assert set(per_query.values()) == {4}  # one more was retrieved, so that k are left


def test_chunks_roll_up_to_documents(folder: Path, tmp_path: Path) -> None:
    config = IndexConfig(analyzer="whitespace", chunking=ChunkConfig("words", 4, 1))
    with IndexWriter.create(tmp_path / "chunked", config) as writer:
        writer.add(Dataset(folder).corpus())
        writer.commit()
    options = BeirOptions(mode="sparse", k=20)
    run_file = tmp_path / "a.run"
    result = evaluate_beir(folder, options, index_dir=tmp_path / "chunked", run_file=run_file)
    assert result.index["passages"] > result.index["documents"] == 60
    pairs = [tuple(line.split()[::2][:2]) for line in run_file.read_text().splitlines()]
    assert len(set(pairs)) == len(pairs)  # each document once a query
    assert all(document.startswith("d") and "#" not in document for _, document in pairs)
    again = evaluate(read_run(run_file), read_qrels(folder / "qrels" / "test.tsv")).aggregate("answerable")
    assert result.measures == pytest.approx(again)
    assert result.measures["nDCG@10"] > 0.3


def test_an_index_is_made_once_and_vectors_are_shared(folder: Path, tmp_path: Path) -> None:
    encoder = HashingEncoder(16)
    first = evaluate_beir(folder, BeirOptions(cache=tmp_path), encoder=encoder)
    second = evaluate_beir(folder, BeirOptions(cache=tmp_path), encoder=encoder)
    assert first.timing["index_s"] > 0 == second.timing["index_s"]
    assert first.measures == second.measures
    assert (tmp_path / "vectors" / "documents").is_dir()
    assert index_config(encoder).encoder == encoder.info


def test_a_profile_changes_the_fusion_and_is_part_of_the_run(folder: Path, tmp_path: Path) -> None:
    encoder = HashingEncoder(16)
    plain = evaluate_beir(folder, BeirOptions(cache=tmp_path), encoder=encoder)
    lexical = Profile(Recipe(RRF(60), (1.0, 0.0)))
    tuned = evaluate_beir(folder, BeirOptions(cache=tmp_path, profile=lexical), encoder=encoder)
    sparse = evaluate_beir(folder, BeirOptions(mode="sparse", cache=tmp_path), encoder=encoder)
    assert tuned.measures["nDCG@10"] == pytest.approx(sparse.measures["nDCG@10"])
    assert tuned.measures != plain.measures
    with Results(tmp_path / "r.duckdb") as store:
        ids = [store_result(result, store) for result in (plain, tuned, sparse, plain)]
        assert len(set(ids)) == 3
        assert len(store.runs()) == 3
        assert store.scores(ids[2], "answerable")["nDCG@10"] == pytest.approx(sparse.measures["nDCG@10"])
        query = sparse.report.queries[0]
        assert store.hits(ids[2], query)[0][0] == sparse.hits[query].ids[0]


@pytest.mark.parametrize("wrong", [{"mode": "both"}, {"average": "some"}, {"k": 0}, {"measures": ()}])
def test_options_out_of_range(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        BeirOptions(**wrong)  # type: ignore[arg-type]


def test_dense_without_an_encoder_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="vectors"):
        evaluate_beir(folder, BeirOptions(mode="dense", cache=tmp_path))


def test_latency_is_of_single_queries_in_every_mode(folder: Path, tmp_path: Path) -> None:
    evaluate_beir(folder, BeirOptions(cache=tmp_path), encoder=HashingEncoder(16))
    index = next((tmp_path / "indexes").iterdir())
    with Searcher.open(index, encoder=HashingEncoder(16)) as searcher:
        texts = [q.text for q in Dataset(folder).queries()]
        found = latencies(searcher, texts, sample=10)
        assert set(found) == {"hybrid", "sparse", "dense"}
        assert all(0 < ms < 10_000 for ms in found.values())
        assert latencies(searcher, []) == {"hybrid": 0.0, "sparse": 0.0, "dense": 0.0}
        sizes = leg_bytes(searcher.snapshot)
    assert sizes["dense"] == 60 * 16 * 4
    assert sizes["learned"] == 0
    assert min(sizes["bm25"], sizes["store"]) > 0

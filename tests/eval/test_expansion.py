"""Experiments with generated queries: out of fold, resumable, with tables that say what is significant."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.eval.made_up import NOUNS, make_collection
from twindex.api.cli import main
from twindex.eval import expansion as experiment
from twindex.eval.beir import Dataset
from twindex.eval.expansion import Cell, ExpansionTask, methods_of, run_expansion
from twindex.eval.expansion_bench import ExpansionBench
from twindex.eval.expansion_report import markdown, report
from twindex.eval.expansion_sets import chosen_ids, open_set, parse_name, part_of
from twindex.eval.expansion_settings import APPENDED, TEXT, field_settings
from twindex.eval.indexes import index_config
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.errors import ConfigError
from twindex.indexing.expansion.records import Record, content_hash
from twindex.indexing.expansion.writer import ExpansionWriter
from twindex.indexing.writer import IndexWriter
from twindex.retrieval.engine import Searcher

MODEL = HashingEncoder(32)


def make_store(folder: Path, datasets: list[Dataset]) -> Path:
    """Two methods: "told" has been told the very queries, "noise" says anything."""
    rng = np.random.default_rng(1)
    with ExpansionWriter(folder) as writer:
        for name in ("told", "noise"):
            config = writer.configure({"name": name, "method": name})
            records = []
            for dataset in datasets:
                about: dict[str, list[str]] = {}
                for split in dataset.splits:
                    qrels = dataset.qrels(split)
                    for query in dataset.queries(qrels):
                        for doc in qrels[query.id]:
                            about.setdefault(doc, []).append(query.text)
                for document in dataset.corpus():
                    contents = f"{document.title} {document.text}"
                    noise = [" ".join(rng.choice(NOUNS, 3)) for _ in range(4)]
                    queries = noise if name == "noise" else about.get(document.id, [])[:2] + noise[:2]
                    scores = {"by": "test", "values": [1.0 / (n + 1) for n in range(len(queries))]}
                    records.append(Record(config, content_hash(contents), "queries", 0, queries))
                    records.append(Record(config, content_hash(contents), "scores", 0, scores))
            writer.append(records)
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExpansionTask]:
    root = tmp_path_factory.mktemp("expansion")
    sets = [
        Dataset(make_collection(root, "plain-set", documents=60, queries=60, seed=3)),
        Dataset(make_collection(root, "trained-set", documents=60, queries=140, splits=("test", "train"), seed=4)),
    ]
    store = make_store(root / "store", sets)
    return root, ExpansionTask(tuple(sets), store, ("told", "noise"), (2, 4), cache=root / "cache", control=True)


@pytest.fixture(scope="module")
def cells(world: tuple[Path, ExpansionTask]) -> list[Cell]:
    return run_expansion(world[1], MODEL)


def test_every_method_budget_and_way_is_there(cells: list[Cell]) -> None:
    assert [(c.dataset, c.method, c.budget) for c in cells] == [
        (name, method, budget)
        for name in ("plain-set", "trained-set")
        for method, budget in (("", 0), ("told", 2), ("told", 4), ("noise", 2), ("noise", 4))
    ]
    for cell in cells:
        ways = {"bm25", "dense", "hybrid"} if not cell.method else {"appended", "field", "dual", "dense, appended"}
        assert ways <= set(cell.outcomes)
        assert cell.expansion_bytes == 0 if not cell.method else cell.expansion_bytes > 0
        queries = len(next(iter(cell.outcomes.values())).values["nDCG@10"])
        assert all(len(v) == queries for o in cell.outcomes.values() for v in o.values.values())
    assert [c.queries for c in cells[:5]] == [0, 120, cells[2].queries, 120, 240]
    assert "folds" in cells[1].protocol
    assert "another split" in cells[-1].protocol


def test_what_was_told_helps_significantly_and_noise_does_not(cells: list[Cell]) -> None:
    found = report(cells, baseline="noise")
    told = [c for c in found.contrasts if (c.method, c.budget) == ("told", 2) and c.measure == "nDCG@10"]
    by_way = {(c.condition, c.against): c.comparison for c in told}
    for way, against in (
        ("appended", "bm25"),
        ("field", "bm25"),
        ("dual", "dense"),
        ("hybrid, field + dual", "hybrid"),
    ):
        assert by_way[way, against].difference > 0.05
        assert by_way[way, against].significant()
        assert by_way[way, "noise at 2"].significant()
    noise = [c.comparison for c in found.contrasts if c.method == "noise" and c.condition == "field"]
    assert not any(c.significant() and c.difference > 0 for c in noise)
    text = markdown(found)
    assert "| told | 2 | dual | dense | 2 |" in text
    assert "▲" in text
    assert "## trained-set" in text
    assert json.loads(json.dumps(found.to_dict()))["contrasts"][0]["comparison"]["queries"] > 0


def test_a_second_run_loads_what_was_run(
    world: tuple[Path, ExpansionTask], cells: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment._Runner, "_run", lambda *_: pytest.fail("searched again"))
    again = run_expansion(world[1], MODEL)
    assert [c.outcomes["field"].values for c in again if c.method] == [
        c.outcomes["field"].values for c in cells if c.method
    ]
    left = list((world[0] / "cache" / "expansion" / "indexes").iterdir())
    assert len(left) == 2  # those without generated queries


def test_without_an_encoder_only_words_are_searched(world: tuple[Path, ExpansionTask]) -> None:
    task = ExpansionTask(world[1].datasets[:1], world[1].store, ("told",), (4,), (0.0, 0.5), world[0] / "sparse")
    plain, whole, filtered = run_expansion(task, None)
    assert set(plain.outcomes) == {"bm25"}
    assert "dual" not in whole.outcomes
    assert filtered.method == "told, 50% dropped"
    assert filtered.queries < whole.queries


def test_a_query_is_searched_with_settings_chosen_without_it(world: tuple[Path, ExpansionTask]) -> None:
    """Changing one query's judgements cannot change the setting that this query itself is searched with."""
    dataset = world[1].datasets[0]
    path = world[0] / "leak"
    with experiment.ExpansionStore.open(world[1].store) as store:
        source = experiment.StoredQueries(store, "told", limit=4)
        config = index_config(None)
        with IndexWriter.create(path, replace(config, expansion=source.info), expansions=source) as writer:
            writer.add(dataset.corpus())
            writer.commit()
    with Searcher.open(path) as searcher:
        bench = ExpansionBench(dataset, searcher)
        settings = field_settings()
        legs = [bench._search("sparse", setting, "reported") for setting in settings]
        before, _ = bench._pick("sparse", settings, legs)
        name = list(bench.qrels)[7]
        table = dict(bench.qrels.table)
        table[name] = {"d1": 2, "d2": 1}
        bench.qrels = type(bench.qrels)(table)
        after, _ = bench._pick("sparse", settings, legs)
        assert after[7] == before[7]
        assert bench.fixed("sparse", APPENDED).rankings != bench.fixed("sparse", TEXT).rankings


def test_parts_hold_every_judged_document(tmp_path: Path) -> None:
    folder = make_collection(tmp_path, "whole", documents=50, queries=8)
    dataset = Dataset(folder)
    judged = {doc for docs in dataset.qrels("test").values() for doc in docs}
    part = part_of(dataset, 20, tmp_path / "part")
    ids = [d.id for d in part.corpus()]
    assert len(ids) == 20
    assert judged <= set(ids)
    assert ids == sorted(ids, key=lambda name: int(name[1:]))  # the order of the corpus
    assert set(ids) == chosen_ids(dataset, 20)
    assert open_set(f"{folder}:20", root=None, cache=tmp_path / "c").name == "whole-20"
    with pytest.raises(ConfigError, match="are judged"):
        chosen_ids(dataset, 2)
    assert parse_name("financebench:2000") == ("financebench", 2000)
    assert parse_name("scifact") == ("scifact", None)
    with pytest.raises(ConfigError):
        parse_name("scifact:0")


def test_the_command_writes_tables_and_json(
    world: tuple[Path, ExpansionTask], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [str(dataset.path) for dataset in world[1].datasets[:1]]
    arguments: list[Any] = [
        "eval",
        "expansion",
        *sets,
        "--store",
        world[1].store,
        "--budgets",
        "2",
        "--methods",
        "told",
    ]
    arguments += ["--encoder", "none", "--cache", tmp_path / "c", "--markdown", tmp_path / "t.md", "--json", "-"]
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    assert not left.value.code
    found = json.loads(capsys.readouterr().out)
    assert [cell["method"] for cell in found["cells"]] == ["", "told"]
    assert "| told | 2 | field |" in (tmp_path / "t.md").read_text()
    assert methods_of(world[1].store, []) == ("told", "noise")
    with pytest.raises(ConfigError):
        methods_of(world[1].store, ["unknown"])
    with pytest.raises(ConfigError):
        ExpansionTask((), world[1].store, ("told",))

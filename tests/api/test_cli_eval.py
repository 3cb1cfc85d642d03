"""``twindex eval``: each command once, its JSON, and what wrong requests lead to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.eval.made_up import make_collection, make_t2
from twindex.api.cli import main


class Cli:
    """Runs commands in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], cache: Path) -> None:
        self.capsys = capsys
        self.cache = cache

    def __call__(self, *arguments: object, status: int = 0) -> str:
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(["eval", *(str(a) for a in arguments), "--cache", str(self.cache)])
        captured = self.capsys.readouterr()
        assert "Traceback" not in captured.err
        code = left.value.code
        assert (code if isinstance(code, int) else 0) == status, captured.err + captured.out
        return captured.out if status == 0 else captured.err

    def json(self, *arguments: object) -> Any:
        return json.loads(self(*arguments, "--json", "-"))


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    return Cli(capsys, tmp_path / "cache")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    make_collection(root, "alpha", seed=1)
    make_collection(root, "beta", seed=2, queries=120, splits=("test", "train"))
    return root


HASHING = ("--encoder", "hashing:32")


def test_beir_writes_the_documented_json_and_a_run(cli: Cli, data: Path, tmp_path: Path) -> None:
    cli("beir", data / "alpha", "--mode", "sparse", "--json", tmp_path / "o.json", "--run", tmp_path / "o.run")
    found = json.loads((tmp_path / "o.json").read_text())
    assert {"dataset", "split", "mode", "measures", "per_query", "timing"} <= set(found)
    assert (found["dataset"], found["split"], found["mode"]) == ("alpha", "test", "sparse")
    assert list(found["measures"]) == ["nDCG@10", "R@100", "AP", "RR@10"]
    assert len(found["per_query"]) == 30
    assert (tmp_path / "o.run").read_text().split()[1] == "Q0"
    text = cli("beir", data / "alpha", "--mode", "hybrid", *HASHING, "--measures", "P@5, judged@10")
    assert "judged@10" in text
    assert "hybrid" in text


def test_beir_by_name_with_an_index_and_a_profile(cli: Cli, data: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    profile = tmp_path / "p.json"
    tuned = cli.json("tune", data / "beta", *HASHING, "--profile", profile)
    assert tuned["chosen_on"] == "60 queries of another split"
    assert json.loads(profile.read_text()) == tuned["profile"]
    first = cli.json("beir", "beta", "--data", data, "--index", index, *HASHING, "--profile", profile)
    again = cli.json("beir", "beta", "--data", data, "--index", index, *HASHING, "--profile", profile)
    assert first["measures"] == again["measures"]
    assert again["timing"]["index_s"] == 0
    assert first["config"]["profile"] == tuned["profile"]
    assert "oracle" in cli("tune", data / "beta", *HASHING)


def test_matrix_report_and_compare(cli: Cli, data: Path, tmp_path: Path) -> None:
    page, pages = tmp_path / "r.html", tmp_path / "r.md"
    found = cli.json("matrix", data, *HASHING, "--html", page, "--markdown", pages)
    assert [s["dataset"] for s in found["sets"]] == ["alpha", "beta"]
    assert found["systems"] == ["bm25", "dense", "rrf", "convex", "tuned"]
    assert page.read_text().startswith("<!doctype html>")
    assert "| alpha (test) |" in pages.read_text()
    assert cli.json("report")["means"] == found["means"]
    assert "tuned against" in cli("report")
    side = cli.json("compare", "tuned", "bm25", "--dataset", "beta", "--data", data)
    assert side["measures"]["nDCG@10"]["queries"] == 60
    mean = side["measures"]["nDCG@10"]["mean_a"] - side["measures"]["nDCG@10"]["mean_b"]
    assert side["measures"]["nDCG@10"]["difference"] == pytest.approx(mean)
    assert "W/L/T" in cli("compare", "dense", "bm25", "--dataset", "beta", "--data", data)
    other = cli.json("matrix", data, "--only", "alpha", *HASHING, "--encoder-of", "alpha=hashing:16")
    assert [s["dataset"] for s in other["sets"]] == ["alpha"]


def test_compare_run_files(cli: Cli, data: Path, tmp_path: Path) -> None:
    for mode in ("sparse", "dense"):
        cli("beir", data / "alpha", "--mode", mode, *HASHING, "--run", tmp_path / f"{mode}.run")
    qrels = data / "alpha" / "qrels" / "test.tsv"
    found = cli.json("compare", tmp_path / "sparse.run", tmp_path / "dense.run", "--qrels", qrels)
    assert found["measures"]["nDCG@10"]["queries"] == 30
    change = found["changed_most"][0]
    assert change["a_hits"]
    assert change["b_hits"]
    assert all(len(hit) == 2 for hit in change["a_hits"])
    same = cli.json("compare", tmp_path / "sparse.run", tmp_path / "sparse.run", "--qrels", qrels)
    assert same["measures"]["nDCG@10"]["p_adjusted"] == 1.0
    assert same["changed_most"] == []


def test_rag_and_t2rag(cli: Cli, data: Path, tmp_path: Path) -> None:
    found = cli.json("rag", data / "alpha", "--mode", "sparse", "--limit", 8)
    assert found["questions"] == 8
    assert found["split"] == "test"
    assert "citation_recall" in found["measures"]
    assert "exact" in cli("rag", data / "alpha", "--mode", "sparse", "--limit", 4, "--context", "oracle")
    root = make_t2(tmp_path / "t2")
    bench = cli.json("t2rag", root, *HASHING)
    assert [c["dataset"] for c in bench["collections"]] == ["t2-finqa", "t2-convfinqa", "t2-tat-dqa", "t2-pooled"]
    one = cli.json("t2rag", root, "--subset", "FinQA", "--split", "test", "--context", "none", *HASHING)
    assert one["collections"][0]["answers"] == []
    assert one["collections"][0]["split"] == "test"
    assert "RR@3" in cli("t2rag", root, data / "alpha", "--subset", "ConvFinQA", *HASHING)


def test_reproduce(cli: Cli, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "conditions"
    folder.mkdir()
    score = cli.json("beir", data / "alpha", "--mode", "sparse")["measures"]["nDCG@10"]
    text = (
        "dataset: alpha\nsplit: test\nconditions:\n  - system: bm25\n    expected: {{nDCG@10: {}}}\n"
        "    tolerance: {{nDCG@10: 0.001}}\n    source: this test\n"
    )
    (folder / "alpha.yaml").write_text(text.format(round(score, 4)))
    monkeypatch.setattr("twindex.eval.reproduce.load_conditions", lambda _: _load(folder))
    found = cli.json("reproduce", "--data", data, "--markdown", tmp_path / "RESULTS.md", "--log", "first")
    assert found["passed"]
    assert found["counts"] == {"OK": 1}
    cli("reproduce", "--data", data, "--markdown", tmp_path / "RESULTS.md", "--log", "second")
    log = (tmp_path / "RESULTS.md").read_text().partition("## Reproduction log")[2]
    assert [line for line in log.splitlines() if line] == ["- first", "- second"]
    (folder / "alpha.yaml").write_text(text.format(round(score / 2, 4)))
    assert "alpha/test/bm25" in cli("reproduce", "--data", data, status=1)


def _load(folder: Path) -> Any:
    from twindex.eval.references import load_conditions

    return load_conditions(folder)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("beir",), 2, "--list"),
        (("beir", "{data}/nowhere"), 2, "corpus.jsonl"),
        (("beir", "irds:vaswani", "--data", "{data}"), 4, "ir_datasets"),
        (("beir", "{data}/alpha", "--split", "dev"), 2, "test"),
        (("beir", "{data}/alpha", "--mode", "both"), 2, "hybrid"),
        (("beir", "{data}/alpha", "--measures", "F1@10"), 2, "nDCG@k"),
        (("beir", "{data}/alpha", "--average", "some"), 2, "answerable"),
        (("beir", "{data}/alpha", "--encoder", "no-such-model"), 4, "no-such-model"),
        (("matrix", "{data}/nowhere"), 2, "--data"),
        (("matrix", "{data}", "--only", "gamma"), 2, "gamma"),
        (("matrix", "{data}", "--encoder-of", "alpha"), 2, "SET=NAME"),
        (("compare", "a", "b"), 2, "--dataset"),
        (("compare", "a", "b", "--dataset", "alpha"), 2, "no run of 'a'"),
        (("report",), 2, "twindex eval matrix"),
        (("rag", "{data}/alpha", "--context", "hearsay"), 2, "oracle"),
        (("t2rag", "{data}/nowhere"), 2, "corpus.jsonl"),
    ],
)
def test_wrong_requests_are_messages(cli: Cli, data: Path, arguments: tuple[str, ...], status: int, words: str) -> None:
    assert words in cli(*(a.replace("{data}", str(data)) for a in arguments), status=status)


def test_the_known_collections_are_listed(cli: Cli) -> None:
    text = cli("beir", "--list")
    for name in ("scifact", "cqadupstack-android", "nanobeir", "msmarco"):
        assert name in text.lower()

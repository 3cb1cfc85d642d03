"""The README's examples run: each command of its block, and its Python lines, on a small corpus of our own."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from twindex.api.cli import main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
DOCUMENTS = [
    {"_id": f"d{n}", "title": title, "text": text, "metadata": {"year": 2018 + n, "lang": "en"}}
    for n, (title, text) in enumerate(
        [
            ("strptime", "Parse a date from a string with a format, and return a time tuple."),
            ("fromisoformat", "A date is parsed from a text in ISO 8601 form."),
            ("sqrt", "The square root of a number."),
            ("copytree", "Copy a whole directory tree to another place."),
        ]
    )
]


def commands() -> list[str]:
    lines = [line.partition("#")[0].strip() for _, block in BLOCKS for line in block.splitlines()]
    return [line for line in lines if line.startswith("twindex ")]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with everything that the README's examples name."""
    lines = "".join(json.dumps(document) + "\n" for document in DOCUMENTS)
    (tmp_path / "my-corpus.jsonl").write_text(lines)
    (tmp_path / "more.jsonl").write_text(json.dumps({"_id": "d9", "text": "Format a date."}) + "\n")
    beir = tmp_path / "path" / "to" / "scifact"
    (beir / "qrels").mkdir(parents=True)
    (beir / "corpus.jsonl").write_text(lines)
    (beir / "queries.jsonl").write_text('{"_id": "q1", "text": "read a date"}\n')
    (beir / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td0\t1\n")
    monkeypatch.setenv("TWINDEX_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_of_the_readme_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = []
    for line in commands():
        words = shlex.split(line)
        if words[1] == "serve":  # does not return; the REST tests start the same application
            continue
        with pytest.raises(SystemExit) as left:
            main(words[1:])
        assert left.value.code in (0, None), (line, capsys.readouterr().err)
        ran.append(words[1])
    assert {"index", "search", "ask", "add", "eval", "doctor"} <= set(ran)


def test_the_python_example_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["index", "my-corpus.jsonl", "--into", "my-index", "--encoder", "hashing"])
    examples = [block for language, block in BLOCKS if language == "python"]
    assert examples
    for block in examples:
        exec(compile(block, "README.md", "exec"), {})
    assert "d0" in capsys.readouterr().out

"""Run in an empty environment that holds only the built wheel: the main job, by the command line, from elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

BIN = Path(sysconfig.get_path("scripts")) / "twindex"
#: Megabytes that a default install may take in site-packages.
SIZE_BAR = 450


def run(*arguments: str) -> str:
    done = subprocess.run([str(BIN), *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"twindex {' '.join(arguments)} left with {done.returncode}: {done.stderr}")
    return done.stdout


def main() -> None:
    site = Path(sysconfig.get_path("purelib"))
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) / 1e6
    assert size <= SIZE_BAR, f"site-packages holds {size:.0f} MB, the bar is {SIZE_BAR}"
    for heavy in ("torch", "numba", "pyserini"):
        assert not (site / heavy).exists(), f"the default install brings {heavy}"
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.jsonl"
        texts = {
            "whale": "The blue whale is the largest animal that has ever lived.",
            "bee": "Honey bees store nectar as honey inside the hive.",
            "tide": "Tides rise and fall with the pull of the moon.",
        }
        lines = [json.dumps({"_id": key, "title": key.title(), "text": text}) for key, text in texts.items()]
        corpus.write_text("\n".join(lines))
        index = str(Path(folder) / "index")
        run("index", str(corpus), "--into", index)
        for mode, query in (("sparse", "largest animal"), ("dense", "biggest creature"), ("hybrid", "huge animal")):
            found = json.loads(run("search", index, query, "--mode", mode, "--json"))
            assert found["hits"][0]["id"] == "whale", found
        answer = json.loads(run("ask", index, "What do honey bees store inside the hive?", "--json"))
        assert answer["citations"], answer
        assert answer["citations"][0]["doc_id"] == "bee", answer
        run("verify", index)
        run("doctor")
    print(f"smoke: ok ({size:.0f} MB in site-packages)")


if __name__ == "__main__":
    main()

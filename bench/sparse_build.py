"""Building from text, analysis included: documents a second, side by side.

    python bench/sparse_build.py --data DATA --cache CACHE [--corpora scifact acm-cr] [--python lucene=/path/python ...]

Texts are in memory before the clock starts (title, a blank, text). It stops when the index can be searched: on disk and
committed for ours, PISA, tantivy and Lucene, in memory for bm25s. English analysis with stemming and stop words
everywhere, each engine's own. Each build is a fresh process, in turns; the median counts, by the clock and by processor
time, that of other processes and threads included. 200 documents are built first, so that modules are loaded; what is
loaded later, as our compiled analysis is after 16 million characters, counts. Ours uses the cores as its default is;
``twindex-1`` one process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sparse_text import folders, texts

HERE: Final = Path(__file__).resolve().parent


def ours(documents: list[str], folder: Path, workers: int | None = None) -> dict[str, Any]:
    """Twindex, sparse leg alone, committed."""
    from twindex.indexing.config import IndexConfig
    from twindex.indexing.types import Document
    from twindex.indexing.writer import IndexWriter

    with IndexWriter.create(folder / "index", IndexConfig(), workers=workers) as writer:
        report = writer.add([Document(id=str(number), text=text) for number, text in enumerate(documents)])
        writer.commit()
    return {"phases": report.to_dict()["phases"]}


def ours_single(documents: list[str], folder: Path) -> dict[str, Any]:
    """The same in one process."""
    return ours(documents, folder, 1)


def bm25s(documents: list[str], folder: Path) -> dict[str, Any]:
    """bm25s with its own tokenizer and PyStemmer; in memory."""
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")
    tokens = bm25s.tokenize(documents, stopwords="en", stemmer=stemmer, show_progress=False)
    bm25s.BM25(method="lucene", k1=0.9, b=0.4).index(tokens, show_progress=False)
    return {}


def pisa(documents: list[str], folder: Path) -> dict[str, Any]:
    """PISA with its parser and the second Porter stemmer, all cores, block maxima and compression included."""
    import pyterrier_pisa

    index = pyterrier_pisa.PisaIndex(str(folder / "index"), text_field="text", threads=os.cpu_count())
    index.index({"docno": str(number), "text": text} for number, text in enumerate(documents))
    index.bm25(k1=0.9, b=0.4)
    return {}


def tantivy(documents: list[str], folder: Path) -> dict[str, Any]:
    """tantivy's en_stem, all cores."""
    import tantivy as engine

    builder = engine.SchemaBuilder()
    builder.add_text_field("text", stored=False, tokenizer_name="en_stem", index_option="freq")
    writer = engine.Index(builder.build(), path=str(folder)).writer(heap_size=1 << 30, num_threads=os.cpu_count() or 1)
    for text in documents:
        writer.add_document(engine.Document(text=text))
    writer.commit()
    writer.wait_merging_threads()
    return {}


def lucene(documents: list[str], folder: Path) -> dict[str, Any]:
    """Lucene's EnglishAnalyzer through the Java bridge, one thread."""
    from twindex.retrieval.interop.lucene import cast, crossing, java

    prefix = "org.apache.lucene"
    analyzer = cast(f"{prefix}.analysis.Analyzer", java(f"{prefix}.analysis.en.EnglishAnalyzer")())
    config = java(f"{prefix}.index.IndexWriterConfig")(analyzer)
    directory = java(f"{prefix}.store.FSDirectory").open(java("java.nio.file.Paths").get(str(folder)))
    writer = java(f"{prefix}.index.IndexWriter")(directory, config)
    field, document = java(f"{prefix}.document.TextField"), java(f"{prefix}.document.Document")
    store = java(f"{prefix}.document.Field$Store")
    for text in documents:
        one = document()
        one.add(field("text", crossing(text), store.NO))
        writer.addDocument(one)
    writer.close()
    return {}


BUILDERS: Final[dict[str, Callable[[list[str], Path], dict[str, Any]]]] = {
    "twindex": ours,
    "twindex-1": ours_single,
    "bm25s": bm25s,
    "pisa": pisa,
    "tantivy": tantivy,
    "lucene": lucene,
}


def one(engine: str, data: Path, corpus: str) -> dict[str, Any]:
    """One build, in this process."""
    documents = [text for folder in folders(data, corpus) for text in texts(folder)]
    build = BUILDERS[engine]
    with tempfile.TemporaryDirectory() as warm, tempfile.TemporaryDirectory() as scratch:
        build(documents[:200], Path(warm))
        used, started = processor_seconds(), time.perf_counter()
        details = build(documents, Path(scratch))
        seconds = time.perf_counter() - started
        used = processor_seconds() - used
    return {"seconds": seconds, "processor": used, "documents": len(documents)} | details


def processor_seconds() -> float:
    """Of this process, and of those it started that have ended."""
    return sum(os.times()[:4])


def spawned(engine: str, python: str, data: Path, corpus: str) -> dict[str, Any]:
    """One build in a fresh process."""
    paths = os.pathsep.join([str(HERE), str(HERE.parent / "tests" / "types")])
    done = subprocess.run(
        [python, str(HERE / "sparse_build.py"), "--data", str(data), "--one", engine, "--corpora", corpus],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )
    if done.returncode:
        return {"reason": done.stderr.strip().splitlines()[-1]}
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def compare(engines: list[str], pythons: dict[str, str], data: Path, corpus: str, repeat: int) -> dict[str, Any]:
    """Builds in turns; the median of each."""
    found: dict[str, list[dict[str, Any]]] = {engine: [] for engine in engines}
    for turn in range(repeat):
        for engine in engines:
            found[engine].append(spawned(engine, pythons.get(engine, sys.executable), data, corpus))
            print(f"{corpus} {turn}: {engine} {found[engine][-1]}", file=sys.stderr, flush=True)
    out = {}
    for engine, runs in found.items():
        if "reason" in runs[0]:
            out[engine] = runs[0]
            continue
        rates = [run["documents"] / run["seconds"] for run in runs]
        out[engine] = {
            "median": statistics.median(rates),
            "per_processor": statistics.median(run["documents"] / run["processor"] for run in runs),
            "all": rates,
            "phases": runs[-1].get("phases"),
        }
    return out


def main() -> None:
    """Compare, and leave the figures beside those of ``sparse.py``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--corpora", nargs="+", default=["scifact", "acm-cr"])
    parser.add_argument("--engines", nargs="+", default=list(BUILDERS), choices=list(BUILDERS))
    parser.add_argument("--python", nargs="*", default=[], metavar="ENGINE=PATH")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--one", choices=list(BUILDERS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(arguments.one, arguments.data, arguments.corpora[0])))
        return
    pythons = dict(pair.split("=", 1) for pair in arguments.python)
    folder = arguments.cache / "results"
    folder.mkdir(parents=True, exist_ok=True)
    for corpus in arguments.corpora:
        built = compare(arguments.engines, pythons, arguments.data, corpus, arguments.repeat)
        facts = {"building": corpus, "date": datetime.now(UTC).strftime("%Y-%m-%d"), "engines": built}
        (folder / f"building-{corpus}.json").write_text(json.dumps(facts | {"repeat": arguments.repeat}, indent=1))


if __name__ == "__main__":
    main()

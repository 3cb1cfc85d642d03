"""Prints what a prepared corpus is like: its df curve, lengths, bursts, queries and scores, side by side.

python bench/sparse_stats.py FOLDER/acm-cr FOLDER/bm25-1m ...
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
from sparse_oracle import Oracle
from sparse_store import Corpus

RANKS = (0, 10, 100, 1_000, 10_000, 100_000)
SAMPLE = 100


def facts(corpus: Corpus) -> dict[str, str]:
    """Figures by name."""
    df = np.diff(corpus.array("post_ptr"))
    curve = np.sort(df)[::-1]
    values = corpus.array("doc_values")
    out = {
        "documents": f"{corpus.size:,}",
        "terms used": f"{np.count_nonzero(df):,}",
        "postings a document": f"{corpus.postings / corpus.size:.1f}",
    }
    if corpus.kind == "bm25":
        out["tokens a document (sd)"] = f"{corpus.average_length:.1f} ({corpus.array('lengths').std():.1f})"
        out["share of postings with tf > 1, > 2"] = f"{(values > 1).mean():.3f}, {(values > 2).mean():.3f}"
    else:
        out["impact mean, p50, p99"] = (
            f"{values.mean():.0f}, {np.percentile(values, 50):.0f}, {np.percentile(values, 99):.0f}"
        )
        out["weight in a document's heavier half"] = f"{_half(corpus):.2f}"
    for rank in RANKS:
        if rank < np.count_nonzero(df):
            out[f"df / N at rank {rank:,}"] = f"{curve[rank] / corpus.size:.6f}"
    return out | _queries(corpus, df)


def _half(corpus: Corpus) -> float:
    """Share of a document's summed impacts that its heavier half holds, mean over some documents."""
    ptr, values = np.array(corpus.array("doc_ptr")[:2001]), corpus.array("doc_values")
    shares = []
    for a, b in pairwise(ptr.tolist()):
        part = np.sort(np.array(values[a:b], np.float64))[::-1]
        shares.append(part[: len(part) // 2].sum() / part.sum())
    return float(np.mean(shares))


def _queries(corpus: Corpus, df: np.ndarray) -> dict[str, str]:
    queries = corpus.first_queries(corpus.queries)
    distinct = [np.unique(ids) for ids, _ in queries]
    read = np.array([df[ids].sum() for ids in distinct]) / corpus.size
    oracle = Oracle(corpus)
    drops, matched = [], []
    for number in range(min(SAMPLE, corpus.queries)):
        scores = oracle.scores(number)
        best = np.sort(scores)[::-1]
        reached = oracle.ceiling(number)
        drops.append([best[min(r, len(best) - 1)] / reached for r in (0, 9, 99, 999)])
        matched.append(np.count_nonzero(scores) / corpus.size)
    shape = ", ".join(f"{value:.2f}" for value in np.mean(drops, axis=0))
    return {
        "terms a query (distinct)": f"{np.mean([len(ids) for ids in distinct]):.1f}",
        "postings a query / N (median)": f"{read.mean():.3f} ({np.median(read):.3f})",
        "documents matched / N": f"{np.mean(matched):.3f}",
        "score at ranks 1, 10, 100, 1000 / sum of term maxima": shape,
    }


def main() -> None:
    """Print one column a corpus."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    corpora = [Corpus(folder) for folder in parser.parse_args().folders]
    columns = [facts(corpus) for corpus in corpora]
    names = list(dict.fromkeys(name for column in columns for name in column))
    print("| | " + " | ".join(corpus.name for corpus in corpora) + " |")
    print("|---|" + "---|" * len(corpora))
    for name in names:
        print(f"| {name} | " + " | ".join(column.get(name, "") for column in columns) + " |")


if __name__ == "__main__":
    main()

"""How good topics are, against other ways to find them; and how many documents a second get keywords.

    python bench/topics.py quality path/to/data cranfield cisi [--ways ours,ward] [--cache FOLDER] [--encoder NAME]
    python bench/topics.py speed path/to/data scifact [--cache FOLDER] [--encoder NAME]

``quality`` puts clusterings of scikit-learn in the place of ours: the same sentence vectors, the same description of
topics, the same assignment to the nearest centre, so that nothing but the centres differs. It needs scikit-learn. For
each way: topics; coherence (mean normalised pointwise mutual information over documents of the pairs of a topic's first
ten words; -1 = never together, 1 = always); distinct phrases among all; processor seconds; and what topics do for a
search: BM25 (k1 0.9, b 0.4) of the text plus 0.6 times the idf of the words of the three weightiest topics of a
document, times their shares.

``speed`` fits topics and then measures keywords with ten keyword queries a document, vectors of documents and words
known beforehand, in one process and in two.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from twindex.indexing.analysis import get_analyzer
from twindex.indexing.encoders.find import DEFAULT_ENCODER
from twindex.indexing.encoders.resolve import resolve_encoder
from twindex.indexing.encoding import Encoder
from twindex.indexing.expansion import topics as topics_module
from twindex.indexing.expansion.keyword_queries import keyword_queries
from twindex.indexing.expansion.keywords import KeywordSelector
from twindex.indexing.expansion.spherical_kmeans import kmeans
from twindex.indexing.expansion.topic_config import TopicConfig
from twindex.indexing.expansion.topics import TopicModel
from twindex.indexing.expansion.whole_vectors import Int8Array, norms, whole
from twindex.indexing.expansion.words import words
from twindex.indexing.types import Float32Array
from twindex.indexing.vector_cache import VectorCache

Centres = Callable[..., Int8Array]
K1, B, WEIGHT = 0.9, 0.4, 0.6
BATCH = 64


@dataclass(frozen=True)
class Way:
    """A way to find topics: settings of ours, and what takes the place of the clustering."""

    settings: dict[str, Any]
    centres: Centres = kmeans


def _labelled(rows: Int8Array, label: Any) -> Int8Array:
    """Centres of labelled rows; below 0 = noise."""
    unit = rows / norms(rows).astype(np.float64)[:, None]
    return whole(np.stack([unit[label == number].mean(axis=0) for number in range(int(label.max()) + 1)]))


def _reduced(rows: Int8Array, dim: int) -> Any:
    """The first principal components of the rows."""
    unit = rows / norms(rows).astype(np.float64)[:, None]
    unit -= unit.mean(axis=0)
    _, vectors = np.linalg.eigh(unit.T @ unit)
    return unit @ vectors[:, ::-1][:, :dim]


def _sklearn(dim: int, make: Callable[[Any, int, int], Any]) -> Centres:
    def centres(rows: Int8Array, count: int, *, seed: int, rounds: int) -> Int8Array:
        import sklearn.cluster  # type: ignore[import-untyped]

        whole_rows = np.asarray(rows)
        return _labelled(whole_rows, make(sklearn.cluster, count, seed).fit_predict(_reduced(whole_rows, dim)))

    return centres


WAYS = {
    "ours": Way({}),
    "ours seed 1": Way({"seed": 1}),
    "ours seed 2": Way({"seed": 2}),
    "ours without context": Way({"context": 0.0}),
    "ours twice as many": Way({"sentences_per_topic": 25}),
    "ours half as many": Way({"sentences_per_topic": 100}),
    "ours without outliers": Way({"outliers": 0.0}),
    "ours with 30 % outliers": Way({"outliers": 0.3}),
    "minibatch": Way({}, _sklearn(50, lambda lib, k, seed: lib.MiniBatchKMeans(k, random_state=seed, n_init=3))),
    "ward": Way({}, _sklearn(50, lambda lib, k, seed: lib.AgglomerativeClustering(k))),
    "hdbscan": Way({}, _sklearn(5, lambda lib, k, seed: lib.HDBSCAN(min_cluster_size=5, min_samples=3, copy=True))),
}


class Collection:
    """Documents and judged queries, with exact BM25."""

    def __init__(self, folder: Path) -> None:
        rows = list(_rows(folder / "corpus.jsonl.gz"))
        self.ids = [row["_id"] for row in rows]
        self.texts = [f"{row['title']} {row['text']}" if row.get("title") else row["text"] for row in rows]
        split = next(path for name in ("train", "dev", "test") if (path := folder / "qrels" / f"{name}.tsv").exists())
        self.judged: dict[str, dict[str, int]] = {}
        with open(split, encoding="utf-8") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                if int(row["score"]) > 0:
                    self.judged.setdefault(row["query-id"], {})[row["corpus-id"]] = int(row["score"])
        texts = {row["_id"]: row["text"] for row in _rows(folder / "queries.jsonl.gz")}
        analyzer = get_analyzer("english")
        self.queries = {name: Counter(analyzer.terms(texts[name])) for name in self.judged}
        wanted = {term for counts in self.queries.values() for term in counts}
        self.terms = analyzer.terms
        self.counts: dict[str, list[tuple[int, int]]] = {term: [] for term in wanted}
        self.lengths = np.zeros(len(rows))
        for number, text in enumerate(self.texts):
            found = analyzer.terms(text)
            self.lengths[number] = len(found)
            for term, count in Counter(found).items():
                if term in wanted:
                    self.counts[term].append((number, count))

    def idf(self, term: str) -> float:
        seen = len(self.counts[term])
        return float(np.log1p((len(self.ids) - seen + 0.5) / (seen + 0.5)))

    def ndcg(self, extra: Sequence[dict[str, float]]) -> tuple[float, float]:
        """nDCG@10 and R@100 of BM25 plus the weights of each document's extra terms."""
        field: dict[str, list[tuple[int, float]]] = {}
        for number, weights in enumerate(extra):
            for term, weight in weights.items():
                field.setdefault(term, []).append((number, weight))
        norm = K1 * (1 - B + B * self.lengths / self.lengths.mean())
        gains, recalls = [], []
        for name, counts in self.queries.items():
            scores = np.zeros(len(self.ids))
            for term, times in counts.items():
                for number, count in self.counts[term]:
                    scores[number] += times * self.idf(term) * count / (count + norm[number])
                for number, weight in field.get(term, ()):
                    scores[number] += times * self.idf(term) * WEIGHT * weight
            order = np.argsort(-scores, kind="stable")[:100]
            found = np.array([self.judged[name].get(self.ids[at], 0) if scores[at] > 0 else 0 for at in order])
            best = np.sort(list(self.judged[name].values()))[::-1][:10]
            discount = 1 / np.log2(np.arange(2, 12))
            gains.append(float((found[:10] * discount).sum() / (best * discount[: len(best)]).sum()))
            recalls.append(float((found > 0).sum() / len(self.judged[name])))
        return float(np.mean(gains)), float(np.mean(recalls))

    def of_topics(self, model: TopicModel) -> list[dict[str, float]]:
        """Terms that the topics of each document add, with weights."""
        extra: list[dict[str, float]] = []
        for document in model.documents(self.texts):
            phrases: dict[str, float] = {}
            for number, share in document.top(3):
                for place, phrase in enumerate(model.topics[number].words):
                    phrases[phrase] = phrases.get(phrase, 0.0) + share * (1 - place / 20)
            weights: dict[str, float] = {}
            for phrase, weight in phrases.items():
                for term in self.terms(phrase):
                    weights[term] = max(weights.get(term, 0.0), weight)
            extra.append(weights)
        return extra


def coherence(model: TopicModel, texts: Sequence[str]) -> float:
    """Mean NPMI over documents of the pairs of each topic's first ten words."""
    holds: dict[str, set[int]] = {}
    for number, text in enumerate(texts):
        for word in set(words(text)):
            holds.setdefault(word, set()).add(number)
    values = []
    for topic in model.topics:
        first = list(dict.fromkeys(word for phrase in topic.words for word in phrase.split(" ")))[:10]
        for one, other in combinations(first, 2):
            both = len(holds[one] & holds[other])
            if both == 0:
                values.append(-1.0)
            elif both < len(texts):
                ratio = both * len(texts) / (len(holds[one]) * len(holds[other]))
                values.append(float(np.log(ratio) / -np.log(both / len(texts))))
    return float(np.mean(values))


def quality(data: Path, names: Sequence[str], encoder: Encoder, cache: Path, ways: Sequence[str]) -> None:
    for name in names:
        collection = Collection(data / name)
        gain, recall = collection.ndcg([{}] * len(collection.ids))
        print(f"\n{name}: BM25 alone nDCG@10 {gain:.4f}, R@100 {recall:.4f}\n")
        print("| way | topics | coherence | distinct | CPU s | nDCG@10 | R@100 |\n|---|---|---|---|---|---|---|")
        for title in ways:
            started = time.process_time()
            with patch.object(topics_module, "kmeans", WAYS[title].centres):
                config = TopicConfig(**WAYS[title].settings)
                model = TopicModel.fit(collection.texts, encoder, config, cache=cache)
            seconds = time.process_time() - started
            phrases = [phrase for topic in model.topics for phrase in topic.words]
            gain, recall = collection.ndcg(collection.of_topics(model))
            measured = f"{coherence(model, collection.texts):.3f} | {len(set(phrases)) / len(phrases):.2f}"
            print(
                f"| {title} | {len(model.topics)} | {measured} | {seconds:.0f} | {gain:.4f} | {recall:.4f} |",
                flush=True,
            )


def _chosen(selector: KeywordSelector, texts: Sequence[str], vectors: Float32Array) -> int:
    found = 0
    for at in range(0, len(texts), BATCH):
        for choice in selector.select_many(texts[at : at + BATCH], vectors[at : at + BATCH]):
            found += len(keyword_queries(choice, 10))
    return found


def speed(data: Path, names: Sequence[str], encoder: Encoder, cache: Path) -> None:
    for name in names:
        texts = Collection(data / name).texts
        model = TopicModel.fit(texts, encoder, cache=cache)
        store = VectorCache(cache, encoder.info)
        vectors = np.concatenate([store.encode(texts[at : at + BATCH], encoder) for at in range(0, len(texts), BATCH)])
        selector = KeywordSelector(model)
        _chosen(selector, texts[:BATCH], vectors[:BATCH])
        for processes in (1, 2):
            parts = [slice(part, None, processes) for part in range(processes)]
            # Forked, so that both have the model; started before the clock.
            with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
                list(pool.map(int, range(processes)))
                started = time.perf_counter()
                jobs = [pool.submit(_chosen, selector, texts[part], vectors[part]) for part in parts]
                queries = sum(job.result() for job in jobs)
                seconds = time.perf_counter() - started
            print(
                f"{name}: {processes} process(es): {len(texts) / seconds:.0f} documents/s, {queries} queries",
                flush=True,
            )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("quality", "speed"))
    parser.add_argument("data", type=Path)
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/twindex/eval/vectors/documents").expanduser())
    parser.add_argument("--encoder", default=DEFAULT_ENCODER)
    options = parser.parse_args()
    encoder = resolve_encoder(options.encoder)
    if options.what == "quality":
        quality(options.data, options.sets, encoder, options.cache, [way.strip() for way in options.ways.split(",")])
    else:
        speed(options.data, options.sets, encoder, options.cache)


if __name__ == "__main__":
    main()

"""How well the extractive generator answers, measured on SQuAD in BEIR's layout.

    python bench/answers.py path/to/data [--half 1] [--step 1] [--sentences 1 2]

``path/to/data`` holds ``squad-v1.1-dev`` and ``squad-v2.0-dev``, each with corpus, queries (answers in their
metadata) and qrels. Articles, in alphabetical order, are dealt to two halves: half 0 served for tuning, half 1 is
reported. Contexts are the gold paragraph alone, or the five best of BM25 (k1 0.9, b 0.4, needs ``bm25s``) over
all articles; for questions off topic, over the articles of the other half, which cannot hold an answer.

``contained``: a gold answer stands, letter by letter, in the drafted text. ``abstained``: nothing was drafted.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bm25s  # type: ignore[import-untyped]

from twindex.indexing.analysis import get_analyzer
from twindex.rag import BRIEF, Context, ContextPassage, ExtractiveConfig, ExtractiveGenerator, Part, render

THRESHOLDS = (0.0, 0.25, 0.3, 0.35, 0.4, 0.5)


@dataclass(frozen=True)
class Question:
    """One question, its gold paragraph, its answers (none if it cannot be answered)."""

    text: str
    gold: str
    answers: tuple[str, ...]


class Data:
    """One data set with BM25 over all of it or over one half of its articles."""

    def __init__(self, folder: Path) -> None:
        self.analyzer = get_analyzer("english")
        self.paragraphs = {row["_id"]: row for row in _rows(folder / "corpus.jsonl.gz")}
        names = sorted({_article(name) for name in self.paragraphs})
        self.half_of = {name: i % 2 for i, name in enumerate(names)}
        gold = dict(line.split("\t")[:2] for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:])
        self.questions = [
            Question(row["text"], gold[row["_id"]], tuple(row["metadata"].get("answers") or ()))
            for row in _rows(folder / "queries.jsonl.gz")
        ]

    def half(self, number: int, step: int) -> list[Question]:
        """Every step-th question of one half of the articles."""
        return [q for q in self.questions if self.half_of[_article(q.gold)] == number][::step]

    def search(self, questions: Sequence[Question], halves: tuple[int, ...], k: int = 5) -> Iterator[list[str]]:
        """The k best paragraphs of each question among the articles of these halves."""
        ids = [name for name in self.paragraphs if self.half_of[_article(name)] in halves]
        index = bm25s.BM25(method="lucene", k1=0.9, b=0.4)
        contents = [f"{self.paragraphs[name]['title']} {self.paragraphs[name]['text']}" for name in ids]
        index.index([self.analyzer.terms(text) for text in contents], show_progress=False)
        for question in questions:
            found, _ = index.retrieve([self.analyzer.terms(question.text)], k=k, show_progress=False)
            yield [ids[i] for i in found[0]]

    def context(self, names: Sequence[str]) -> Context:
        """These paragraphs, numbered in this order."""
        passages = []
        for rank, name in enumerate(names, 1):
            row = self.paragraphs[name]
            size = len(row["text"])
            part = (Part(0, size, name),)
            passages.append(
                ContextPassage(rank, name, name, row["title"], row["text"], 0, size, rank, 1.0 / rank, 1, part)
            )
        return Context(tuple(passages))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _article(name: str) -> str:
    return name.rsplit("#", 1)[0]


def contained(
    data: Data, questions: Sequence[Question], contexts: Iterator[list[str]], sizes: Sequence[int], ratio: float
) -> str:
    """Shares of questions whose answer stands in a draft of at most so many sentences."""
    generators = {
        n: ExtractiveGenerator(ExtractiveConfig(max_sentences=n, min_support=0.0, ratio=ratio)) for n in sizes
    }
    right: Counter[int] = Counter()
    written: Counter[int] = Counter()
    for question, names in zip(questions, contexts):
        prompt = render(BRIEF, question.text, data.context(names))
        for n, generator in generators.items():
            draft = generator.generate(prompt, max_tokens=1000, temperature=0.0, stop=(), seed=0)
            right[n] += any(answer in draft.text for answer in question.answers)
            written[n] += len(draft.bindings or ())
    total = len(questions)
    return ", ".join(f"{n}: {right[n] / total:.4f} ({written[n] / total:.2f} written)" for n in sizes)


def support(data: Data, questions: Sequence[Question], contexts: Iterator[list[str]]) -> list[float]:
    """The support on which the generator decides whether to abstain."""
    generator = ExtractiveGenerator(ExtractiveConfig(max_sentences=1, min_support=0.0))
    prompts = (render(BRIEF, q.text, data.context(names)) for q, names in zip(questions, contexts))
    drafts = (generator.generate(p, max_tokens=1000, temperature=0.0, stop=(), seed=0) for p in prompts)
    return [draft.support or 0.0 for draft in drafts]


def report_abstention(data: Data, half: int, step: int) -> None:
    """Shares of answerable, unanswerable and off-topic questions that each threshold turns away."""
    questions = data.half(half, step)
    answerable = [q for q in questions if q.answers]
    unanswerable = [q for q in questions if not q.answers]
    rows = {
        "answerable, gold": support(data, answerable, iter([q.gold] for q in answerable)),
        "unanswerable, its paragraph": support(data, unanswerable, iter([q.gold] for q in unanswerable)),
        "answerable, top 5": support(data, answerable, data.search(answerable, (0, 1))),
        "unanswerable, top 5": support(data, unanswerable, data.search(unanswerable, (0, 1))),
        "off topic, top 5": support(data, answerable, data.search(answerable, (1 - half,))),
    }
    print(f"{'abstained at threshold':28}" + "".join(f"{t:>8.2f}" for t in THRESHOLDS))
    for name, values in rows.items():
        shares = (sum(v < t for v in values) / len(values) for t in THRESHOLDS)
        print(f"{name:28}" + "".join(f"{share:8.3f}" for share in shares))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--half", type=int, choices=(0, 1), default=1)
    parser.add_argument("--step", type=int, default=1, help="take every step-th question")
    parser.add_argument("--sentences", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--ratio", type=float, default=ExtractiveConfig().ratio)
    args = parser.parse_args()
    data = Data(args.data / "squad-v1.1-dev")
    questions = data.half(args.half, args.step)
    print(f"contained, half {args.half}, {len(questions)} questions, by number of sentences at most")
    gold = contained(data, questions, iter([q.gold] for q in questions), args.sentences, args.ratio)
    print(f"  gold paragraph  {gold}")
    top = contained(data, questions, data.search(questions, (0, 1)), args.sentences, args.ratio)
    print(f"  BM25 top 5      {top}")
    report_abstention(Data(args.data / "squad-v2.0-dev"), args.half, args.step)


if __name__ == "__main__":
    main()

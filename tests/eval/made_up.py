"""Small made-up collections in BEIR's layout, with a known relation between queries and documents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

NOUNS = [
    f"{a}{b}" for a in ("bar", "cel", "dor", "fen", "gal", "hum", "jas", "kel") for b in ("on", "ith", "ade", "ux")
]


def make_collection(
    root: Path, name: str, *, documents: int = 40, queries: int = 30, splits: Sequence[str] = ("test",), seed: int = 0
) -> Path:
    """A folder: each query holds two words of its document, and one of another."""
    rng = np.random.default_rng(seed)
    folder = root / name
    (folder / "qrels").mkdir(parents=True)
    texts = [" ".join(rng.choice(NOUNS, 12)) for _ in range(documents)]
    write_lines(
        folder / "corpus.jsonl",
        [{"_id": f"d{i}", "title": f"title {i}", "text": t, "metadata": {}} for i, t in enumerate(texts)],
    )
    records, judged = [], []
    for number in range(queries):
        home = int(rng.integers(documents))
        words = [*rng.choice(texts[home].split(), 2), str(rng.choice(NOUNS))]
        answer = str(words[0])
        records.append({"_id": f"q{number}", "text": " ".join(words), "metadata": {"answers": [answer]}})
        judged.append((f"q{number}", f"d{home}", int(rng.integers(1, 3))))
    write_lines(folder / "queries.jsonl", records)
    for place, split in enumerate(splits):
        rows = judged[place :: len(splits)]
        lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in rows)]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    return folder


def write_lines(path: Path, records: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")


def make_t2(root: Path) -> Path:
    """The benchmark's published layout, in small: three subsets, a few questions each."""
    facts = {
        "FinQA": [("train", "Alpha Corp", "2019", "Revenue of Alpha Corp was 120 million in 2019.", "120"),
                  ("test", "Beta Inc", "2020", "Net income of Beta Inc reached 45.5 in 2020.", "45.5"),
                  ("test", "Beta Inc", "2020", "Net income of Beta Inc reached 45.5 in 2020.", "45.5")],
        "ConvFinQA": [("turn_0", "Gamma Ltd", "2018", "Gamma Ltd paid dividends of 7 per share in 2018.", "7")],
        "TAT-DQA": [("dev", "Delta plc", "2019", "Operating costs of Delta plc fell by 3.2 percent in 2019.", "-3.2"),
                    ("train", "Delta plc", "2019", "Delta plc employed 310 people in 2019.", "310")],
    }  # fmt: skip
    for subset, rows in facts.items():
        by_file: dict[str, list[dict[str, Any]]] = {}
        for number, (split, company, year, context, answer) in enumerate(rows):
            by_file.setdefault(split, []).append({
                "id": f"{subset}-{number}", "context_id": f"{subset}-{context[:24]}", "split": split,
                "question": f"What does {company} report for {year}, case {number}?", "program_answer": answer,
                "original_answer": answer, "context": context, "file_name": f"{company}.pdf",
                "company_name": company, "report_year": year,
            })  # fmt: skip
        for split, records in by_file.items():
            folder = root / "data" / subset / split
            folder.mkdir(parents=True)
            write_lines(folder / "metadata.jsonl", records)
    return root

"""Compares the english analyzer with Lucene's own, text by text; needs the extra ``lucene``.

    python scripts/lucene_terms.py [--random N] [--seed N] [--points] [CORPUS ...]

CORPUS: whatever ``twindex index`` takes. ``--random``: texts of random code points, weighted towards those that word
segmentation treats specially. ``--points``: every code point, between letters, between digits, and doubled. Prints how
many texts and terms were compared and the first differences; exit status 1 if there are any.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from twindex.indexing.analysis import get_analyzer
from twindex.indexing.corpus import open_corpus
from twindex.retrieval.interop.lucene import LuceneEnglish, crossing, lucene_version

SHOWN = 20
LAST = 0x10FFFF
SPECIAL = (
    "abzAZ019_.,:;'\"’＇·-#* \n\u00ad\u0301\u200b\u200c\u200d\u202f\ufe0e\ufe0f\u20e3"
    "אעصカーひ東한กຂ🐝👩🏽🇩🇪🏴\U000e0067\U000e007f𝔘𠀋"
)


def corpus_texts(path: Path) -> Iterator[str]:
    for document in open_corpus(path):
        yield f"{document.title} {document.text}" if document.title else document.text


def random_texts(count: int, seed: int) -> Iterator[str]:
    rng = random.Random(seed)
    for _ in range(count):
        length = rng.choice((3, 10, 40, 40, 400))
        share = rng.random()
        yield "".join(
            rng.choice(SPECIAL) if rng.random() < share else chr(rng.randint(0, rng.choice((0x2FF, 0xFFFF, LAST))))
            for _ in range(length)
        )


def point_texts() -> Iterator[str]:
    for start in range(0, LAST + 1, 64):
        points = [chr(code) for code in range(start, start + 64) if not 0xD800 <= code <= 0xDFFF]
        yield "\n".join(f"x{c}y {c} 1{c}2 {c}{c} א{c}א カ{c}カ _{c} {c}\u200d{c}" for c in points)


def compare(name: str, texts: Iterable[str], reference: LuceneEnglish) -> int:
    ours = get_analyzer("english")
    started, count, terms, different = time.perf_counter(), 0, 0, 0
    for text in map(crossing, texts):
        mine, theirs = ours.terms(text), reference.terms(text)
        count += 1
        terms += len(theirs)
        if mine != theirs:
            different += 1
            if different <= SHOWN:
                at = next((i for i, (a, b) in enumerate(zip(mine, theirs)) if a != b), min(len(mine), len(theirs)))
                print(f"  {name}: {mine[at - 1 : at + 3]!a} here, {theirs[at - 1 : at + 3]!a} in Lucene")
    seconds = time.perf_counter() - started
    print(f"{name}: {count:,} texts, {terms:,} terms, {different} texts differ ({seconds:.0f} s)", flush=True)
    return different


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpora", nargs="*", type=Path, metavar="CORPUS")
    parser.add_argument("--random", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--points", action="store_true")
    options = parser.parse_args()
    reference = LuceneEnglish()
    print(f"Lucene {lucene_version()}; {get_analyzer('english').fingerprint}")
    different = sum(compare(str(path.name), corpus_texts(path), reference) for path in options.corpora)
    if options.random:
        different += compare(f"random (seed {options.seed})", random_texts(options.random, options.seed), reference)
    if options.points:
        different += compare("every code point", point_texts(), reference)
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())

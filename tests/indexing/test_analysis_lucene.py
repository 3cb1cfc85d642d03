"""The english analyzer against Lucene itself, through pyserini; runs with the extra ``lucene``.

``scripts/lucene_terms.py`` compares whole collections; this is a part of that which takes seconds.
"""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings

from tests.properties.strategies import texts
from twindex.indexing.analysis import get_analyzer
from twindex.indexing.corpus import beir_corpus_file, open_corpus
from twindex.indexing.optional import available
from twindex.retrieval.interop.lucene import LuceneEnglish, crossing, java, lucene_version

pytestmark = pytest.mark.skipif(not available("pyserini"), reason="needs the extra lucene")
GOLDEN = Path(__file__).parents[1] / "golden" / "analysis_english.json"
DATA = Path(os.environ.get("TWINDEX_DATA", "nowhere"))


@pytest.fixture(scope="module")
def lucene() -> LuceneEnglish:
    return LuceneEnglish()


def test_the_door(lucene: LuceneEnglish) -> None:
    assert lucene_version().split(".")[0].isdecimal()
    assert java("java.lang.Integer").MAX_VALUE == 2**31 - 1
    assert crossing("a\ud800b🐝") == "a\ufffdb🐝"


def test_the_golden_file_is_what_lucene_says(lucene: LuceneEnglish) -> None:
    for case in json.loads(GOLDEN.read_text(encoding="utf-8")):
        assert lucene.terms(case["text"]) == case["terms"]


def test_random_texts(lucene: LuceneEnglish) -> None:
    analyzer = get_analyzer("english")

    @settings(max_examples=1500, deadline=None)
    @given(text=texts(max_size=80))
    def same(text: str) -> None:
        assert analyzer.terms(crossing(text)) == lucene.terms(text)

    same()


def test_code_points_between_letters_and_digits(lucene: LuceneEnglish) -> None:
    analyzer = get_analyzer("english")
    for start in range(0, 0x30000, 0x100):
        points = [chr(code) for code in range(start, start + 0x100, 5)]
        text = "\n".join(f"x{c}y {c} 1{c}2 {c}{c}" for c in map(crossing, points))
        assert analyzer.terms(text) == lucene.terms(text), f"U+{start:04X}"


@pytest.mark.skipif(not DATA.is_dir(), reason="needs TWINDEX_DATA")
@pytest.mark.parametrize("name", sorted(path.name for path in DATA.iterdir()) if DATA.is_dir() else [])
def test_collections(lucene: LuceneEnglish, name: str) -> None:
    folder = DATA / name
    if not folder.is_dir() or beir_corpus_file(folder) is None:
        pytest.skip("no corpus here")
    analyzer = get_analyzer("english")
    for document in itertools.islice(open_corpus(folder), 200):
        text = crossing(f"{document.title} {document.text}")
        assert analyzer.terms(text) == lucene.terms(text), document.id

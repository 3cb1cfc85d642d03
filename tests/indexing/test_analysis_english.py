"""English analysis: what Lucene gave for a list of texts, and the rules one by one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.strategies import texts
from twindex.indexing.analysis import EnglishAnalyzer, Vocabulary, english
from twindex.indexing.analysis.words import MAX_TOKEN, WordBreaker, pieces, scan

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "analysis_english.json").read_text(encoding="utf-8"))


def terms(text: str) -> list[str]:
    return EnglishAnalyzer().terms(text)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: ascii(case["text"])[1:30])
def test_golden(case: dict[str, object]) -> None:
    """The terms in the file are Lucene's own."""
    assert terms(str(case["text"])) == case["terms"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ab cd\tef\ngh", "ab cd ef gh"),  # WB3a to WB3d: white space breaks
        (
            "a.b.c a.. .a",
            "a.b.c",
        ),  # WB6, WB7: a full stop between letters holds; "a" is a stop word
        ("x:y x,y x;y", "x:y x y x y"),  # a colon holds letters, comma and semicolon do not
        ("1.5 1,5 1;5 1:5", "1.5 1,5 1;5 1 5"),  # WB11, WB12: between digits it is the other way round
        ("x1 1x x.1 1.x", "x1 1x x 1 1 x"),  # WB9, WB10: letters and digits hold, with nothing between them
        ("x_y _1_ __", "x_y _1_"),  # WB13a, WB13b; joiners alone are no word
        ("xe\u0301\u200by", "xe\u0301 y"),  # WB4: marks belong to what precedes them; U+200B is a border
        ("カタカナ_カナ", "カタカナ_カナ"),  # WB13
        ("ひら東京", "ひ ら 東 京"),  # Lucene: one token a Hiragana or Han character
        ("한국어", "한국어"),
        ("ภาษาไทย x", "ภาษาไทย x"),  # South-East Asian: the whole run
        ("🇩🇪🇫🇷🇩", "🇩🇪 🇫🇷"),  # WB15, WB16: flags are pairs
        ("👍🏽 👩\u200d💻", "👍🏽 👩\u200d💻"),  # WB3c: emoji with skin tone or joiner
    ],
)
def test_words(text: str, expected: str) -> None:
    assert terms(text) == expected.split(" ")


@pytest.mark.parametrize("apostrophe", ["'", "\u2019", "\uff07"])
def test_possessives(apostrophe: str) -> None:
    assert terms(f"keeper{apostrophe}s KEEPER{apostrophe}S") == ["keeper", "keeper"]
    assert terms(f"o{apostrophe}neil{apostrophe}s") == [f"o{apostrophe}neil"]
    assert terms(f"keepers{apostrophe}") == ["keeper"], "a closing quote is no part of the word"
    assert terms("keeperʼs") != ["keeper"], "U+02BC is a letter, and no apostrophe to Lucene"


def test_stop_words_go_before_stemming_and_after_lower_case() -> None:
    assert len(english.STOP_WORDS) == 33
    for word in english.STOP_WORDS:
        assert terms(f"{word} {word.upper()} {word.title()}") == []
        assert terms(f"{word}'s") == [], "the possessive ending goes first"
    assert terms("thes ands") == ["the", "and"], "a stem may look like a stop word"


def test_lower_case_is_javas() -> None:
    assert terms("İSTANBUL ΣΊΣΥΦΟΣ ẞ Ǆ") == ["istanbul", "σίσυφοσ", "ß", "ǆ"]


@settings(max_examples=300, deadline=None)
@given(text=texts())
def test_the_quick_ways_equal_the_scanner(text: str) -> None:
    """Pieces, ASCII and one combined pattern are short cuts; the scanner alone is the definition."""
    breaker = WordBreaker(english.classes.RUNS)
    slow = [word for piece in text.split("\n") for word in scan(piece, breaker.classes(piece))]
    assert breaker.words(text) == slow
    assert [word for piece in pieces(text) for word in breaker.words(piece)] == slow


@given(st.integers(1, 700), st.sampled_from(["x", "é", "1", "_x", "𝔘", "x'"]))
def test_no_token_is_longer_than_lucene_allows(count: int, unit: str) -> None:
    words = WordBreaker(english.classes.RUNS).words(unit * count)
    assert all(len(word.encode("utf-16-le")) // 2 <= MAX_TOKEN for word in words)
    assert len("".join(words)) >= len(unit * count) - 1 - len(words), "all but a quote at a border"


def test_each_distinct_word_is_normalised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    original = english.normalise

    def counted(token: str) -> str | None:
        seen.append(token)
        return original(token)

    monkeypatch.setattr(english, "normalise", counted)
    analyzer = EnglishAnalyzer()
    analyzer.analyze(["Bees make honey, bees make honey."] * 50, Vocabulary())
    analyzer.terms("honey bees")
    assert sorted(seen) == ["Bees", "bees", "honey", "make"]


def test_the_reader_of_the_golden_file_is_not_empty() -> None:
    assert len(GOLDEN) >= 30
    assert sum(len(case["terms"]) for case in GOLDEN) > 200

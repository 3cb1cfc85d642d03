"""The analyzers without a language: what is folded, what is kept, and bigrams of unspaced writing."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings

from tests.properties.strategies import texts
from twindex.indexing.analysis import UnicodeAnalyzer, WhitespaceAnalyzer
from twindex.indexing.analysis.unicode import fold


def terms(text: str) -> list[str]:
    return UnicodeAnalyzer().terms(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Keeper's LAMPS", "the keeper's lamps"),  # no stop words, no stemming
        ("ﬁn Ⅷ ｗｉｄｅ ①", "fin viii wide 1"),  # NFKC
        ("Straße STRASSE ẞ", "strasse strasse ss"),  # casefold
        ("Σίσυφος ΣΊΣΥΦΟΣ", "σίσυφοσ σίσυφοσ"),
        ("cafe\u0301 café cafe", "café café cafe"),  # composed, and the accent kept
        ("हिन्दी كِتَاب", "हिन्दी كِتَاب"),  # marks kept
        ("東", "東"),  # a run of one
        ("東京都", "東京 京都"),
        ("東京tower12ポケモン", "東京 tower12 ポケ ケモ モン"),
        ("ひらがな한국", "ひら らが がな な한 한국"),
        ("ｶﾞｷﾞ", "ガギ"),  # half-width kana compose before they are cut
        ("ก\u0e31บ", "ก\u0e31บ"),  # a mark goes with its letter
        ("a b", "a b"),
        ("🐝 👩\u200d👩\u200d👧", "🐝 👩\u200d👩\u200d👧"),
        ("... -- !", ""),
    ],
)
def test_unicode(text: str, expected: str) -> None:
    assert terms(text) == expected.split()


@settings(max_examples=300, deadline=None)
@given(text=texts())
def test_equal_texts_in_other_forms_have_equal_terms(text: str) -> None:
    folded = fold(text)
    assert fold(folded) == folded
    assert terms(folded) == terms(text)
    assert terms(unicodedata.normalize("NFD", text)) == terms(unicodedata.normalize("NFC", text))


@settings(max_examples=300, deadline=None)
@given(text=texts())
def test_every_letter_is_in_a_term(text: str) -> None:
    found = "".join(terms(text))
    assert all(c in found for c in fold(text) if c.isascii() and c.isalnum())


def test_the_ascii_short_cut_equals_the_long_way() -> None:
    analyzer = UnicodeAnalyzer()
    text = "Mixed CASE text_with 1,000.5 numbers, don't; a:b (c) \x00 x\x1fy"
    assert analyzer.terms(text) == [term for piece in fold(text).split() for term in analyzer._folded(piece)]


def test_characters_that_the_oldest_interpreter_does_not_know_are_left_alone() -> None:
    late = "\U0001e4d0"  # Nag Mundari letter, Unicode 15
    assert fold(f"A{late}B") == f"a{late}b"
    assert terms(f"A{late}B") == [f"a{late}b"]


@given(text=texts())
def test_white_space(text: str) -> None:
    assert WhitespaceAnalyzer().terms(text) == text.split()

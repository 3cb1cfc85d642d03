"""What random things the laws are tried on; one place, so that every law meets the same awkward ones."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from twindex.indexing.types import Document, MetaValue

#: Few words, so that queries match, scores tie and lists of postings are long.
WORDS = ["bee", "hive", "honey", "queen", "flower", "a", "the", "é", "東京", "🐝", "x1", "\ud800", "running"]
#: Pieces that meet every rule of word segmentation: letters, digits, joiners, quotes, marks, emoji, controls.
PIECES = [
    *"abZ019_.,:;'\"-’·#*&\u00ad\u0301\u200d\ufe0f\u20e3\0\n\t ",
    *"éßİΣﬁ²ｗאعि東ひカー한กຂ🐝🏽🇩𝔘𠀋\u202f\u3000\u2028\x1c\ud800\udfff\U0010ffff",
    *("n't", "'s", "’S", "ing", "ational", "...", "!?"),
]


def texts(max_size: int = 40) -> st.SearchStrategy[str]:
    """Texts of awkward pieces, of any code points, and of plain words."""
    return st.one_of(
        st.lists(st.sampled_from(PIECES), max_size=max_size).map("".join),
        st.text(st.characters(), max_size=max_size),
        sentences(),
    )


def sentences(max_words: int = 9) -> st.SearchStrategy[str]:
    """Texts of a few words that come back."""
    return st.lists(st.sampled_from(WORDS), max_size=max_words).map(" ".join)


def metadata() -> st.SearchStrategy[dict[str, MetaValue]]:
    """Fields of every kind, a few of them shared."""
    values: st.SearchStrategy[Any] = st.one_of(
        st.integers(-3, 3),
        st.sampled_from([0.5, -1.5, 1e300]),
        st.booleans(),
        st.sampled_from(["en", "de", "", "ü"]),
        st.lists(st.sampled_from(["x", "y"]), max_size=2),
        st.none(),
    )
    return st.dictionaries(st.sampled_from(["lang", "year", "tags", "a.b"]), values, max_size=3)


@st.composite
def corpora(draw: st.DrawFn, max_size: int = 12) -> list[Document]:
    """Documents with distinct ids, in a random order."""
    ids = draw(st.lists(st.integers(0, 99), unique=True, max_size=max_size))
    return [
        Document(f"d{number}", draw(sentences()), draw(st.sampled_from(["", "", "honey", "Queen"])), draw(metadata()))
        for number in ids
    ]


def json_values() -> st.SearchStrategy[Any]:
    """Anything that JSON can say, and NaN, which Python's writer says as well."""
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
        max_leaves=8,
    )

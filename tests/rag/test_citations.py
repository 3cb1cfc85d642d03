from __future__ import annotations

from typing import Any

import pytest

from tests.rag.fakes import TERMS, context_of
from twindex.indexing.errors import ConfigError
from twindex.rag.citations import Checked, CitationConfig, check_draft, parse_markers, render_markers
from twindex.rag.evidence import Evidence
from twindex.rag.types import Binding, Draft

CONTEXT = context_of(
    "The bridge was opened in 1911. It carries two tracks of the coast railway.",
    "Ada Lund designed the bridge. She was forty then.",
    starts=(100, 0),
)


def check(text: str, **config: Any) -> Checked:
    return check_draft(Draft(text), Evidence(CONTEXT, TERMS), CitationConfig(**config))


@pytest.mark.parametrize(
    ("text", "clean", "markers"),
    [
        ("Plain.", "Plain.", []),
        ("A [1].", "A.", [(1, (1,))]),
        ("A. [1] B. [2]", "A. B.", [(2, (1,)), (5, (2,))]),
        ("A [1][2].", "A.", [(1, (1,)), (1, (2,))]),
        ("A [2, 3].", "A.", [(1, (2, 3))]),
        ("A [1 and 3; 2].", "A.", [(1, (1, 3, 2))]),
        ("A [1-3].", "A.", [(1, (1, 2, 3))]),
        ("A [3\u20131].", "A.", [(1, (3, 1))]),
        ("A [1, 1].", "A.", [(1, (1,))]),
        ("A [Passage 2].", "A.", [(1, (2,))]),
        ("A\u30101\u3011.", "A.", [(1, (1,))]),
        ("A [b] [] [1.5] [12345].", "A [b] [] [1.5] [12345].", []),
    ],
)
def test_markers_are_read(text: str, clean: str, markers: list[tuple[int, tuple[int, ...]]]) -> None:
    found_clean, found = parse_markers(text)
    assert found_clean == clean
    assert [(m.at, m.numbers) for m in found] == markers


def test_render() -> None:
    assert render_markers([1, 12]) == "[1][12]"
    assert render_markers([]) == ""


def test_a_valid_citation_is_bound_to_the_best_sentence() -> None:
    checked = check("The bridge was opened in 1911 [1].")
    assert checked.text == "The bridge was opened in 1911 [1]."
    (citation,) = checked.citations
    assert citation.quote == "The bridge was opened in 1911."
    assert (citation.start, citation.end) == (100, 130)
    assert (citation.marker, citation.id, citation.doc_id) == (1, "p1", "d1")
    assert citation.support == 1.0
    assert checked.text[citation.claim_start : citation.claim_end] == checked.text
    assert checked.support == 1.0
    assert checked.notes == ()


def test_markers_after_the_stop_belong_to_the_sentence_before() -> None:
    checked = check("The bridge was opened in 1911. [1] Ada Lund designed the bridge. [2]")
    assert [(c.marker, checked.text[c.claim_start : c.claim_end]) for c in checked.citations] == [
        (1, "The bridge was opened in 1911."),
        (2, "Ada Lund designed the bridge."),
    ]
    assert checked.text == "The bridge was opened in 1911. [1] Ada Lund designed the bridge. [2]"


@pytest.mark.parametrize("mark", ["[1]", "[1] "])
def test_a_marker_may_stand_first(mark: str) -> None:
    checked = check(f"{mark}The bridge was opened in 1911.")
    (citation,) = checked.citations
    assert checked.text == f"{mark}The bridge was opened in 1911."
    assert checked.text[citation.claim_start : citation.claim_end] == "The bridge was opened in 1911."


def test_a_removed_marker_leaves_no_blank_behind() -> None:
    checked = check("[9] The bridge was opened in 1911 [1]. [8]")
    assert checked.text == "The bridge was opened in 1911 [1]."
    (citation,) = checked.citations
    assert checked.text[citation.claim_start : citation.claim_end] == checked.text


def test_unknown_numbers_are_removed_and_reported() -> None:
    checked = check("The bridge was opened in 1911 [1, 7].")
    assert checked.text == "The bridge was opened in 1911 [1]."
    assert checked.notes == ("citation [7] removed: there is no passage 7",)


def test_a_citation_of_the_wrong_passage_is_removed() -> None:
    checked = check("It carries two tracks of the coast railway [2].", repair=False)
    assert checked.text == "It carries two tracks of the coast railway."
    assert checked.citations == ()
    assert checked.support == 0.0
    assert "support 0.00 is below 0.30" in checked.notes[0]


def test_a_sentence_left_without_a_citation_is_bound_again() -> None:
    checked = check("It carries two tracks of the coast railway [2]. Ada Lund designed the bridge.")
    assert checked.text == "It carries two tracks of the coast railway [1]. Ada Lund designed the bridge [2]." or (
        checked.text == "It carries two tracks of the coast railway. [1] Ada Lund designed the bridge. [2]"
    )
    assert [c.marker for c in checked.citations] == [1, 2]
    assert sum("bound to" in note for note in checked.notes) == 2


def test_invented_sentences_stay_without_citation_and_lower_the_support() -> None:
    checked = check("The bridge was opened in 1911 [1]. Aliens applauded loudly.")
    assert len(checked.citations) == 1
    assert 0.3 < checked.support < 0.7


def test_a_changed_figure_costs_more_than_a_changed_word() -> None:
    evidence = Evidence(CONTEXT, TERMS)
    found = TERMS.content("The bridge was opened in 1911.")
    counts = dict.fromkeys(found, 1)
    figure = evidence.support(TERMS.content("The bridge was opened in 1912."), counts)
    word = evidence.support(TERMS.content("The bridge was closed in 1911."), counts)
    assert figure < word < 1.0


def test_a_claim_without_words_has_no_support() -> None:
    evidence = Evidence(CONTEXT, TERMS)
    assert evidence.support((), {"bridge": 1}) == 0.0
    assert evidence.best("The bridge.", 9) is None


def test_only_markers_make_no_citation() -> None:
    checked = check("[1][2]")
    assert (checked.text, checked.citations, checked.support) == ("", (), 0.0)


def test_bindings_are_checked_too() -> None:
    text = "The bridge was opened in 1911. [1] x[1] is fine."
    good = Binding(0, 30, 1, 100, 130)
    bad = [Binding(0, 30, 9, 0, 5), Binding(0, 30, 1, 0, 30), Binding(0, 30, 1, 110, 400)]
    draft = Draft(text, bindings=(good, *bad))
    checked = check_draft(draft, Evidence(CONTEXT, TERMS), CitationConfig())
    assert checked.text == text
    assert [(c.marker, c.quote, c.support) for c in checked.citations] == [(1, "The bridge was opened in 1911.", 1.0)]
    assert len(checked.notes) == 3


@pytest.mark.parametrize("wrong", [{"min_support": -0.1}, {"repair_support": 1.2}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        CitationConfig(**wrong)

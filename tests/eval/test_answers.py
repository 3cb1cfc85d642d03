from __future__ import annotations

import pytest

from twindex.eval.answers import contains_answer, exact_match, normalise, token_f1
from twindex.eval.grounding import abstention, citation_scores, support_share, supported
from twindex.eval.numbers import Quantity, find_number, number_match, strict_number_match


@pytest.mark.parametrize(
    ("prediction", "gold", "expected"),
    [
        ("5", "5", True),
        ("5.04", "5", True),
        ("5.05", "5", False),
        ("4.96", "5", True),
        ("4.94", "5", False),
        ("-5", "5", True),  # blind to the sign
        ("0.05", "5", True),  # and to powers of ten
        ("5e6", "5", True),
        ("500", "5", True),
        ("25", "5", False),
        ("9.99", "1", True),
        ("0.999", "1", True),
        ("0.0", "0", True),
        ("0.009", "0.001", True),  # a gold below epsilon asks for anything below epsilon
        ("0.011", "0.001", False),
        ("0.005", "5", False),  # a prediction below epsilon is wrong, even a power of ten away
        ("about 5", "5", False),  # not a plain float
        ("5%", "5", False),
        ("1,000", "1000", False),
        ("nan", "5", False),
        ("inf", "5", False),
        ("", "5", False),
        ("5", "none", False),
        (" 5 ", "5", True),
        (3.0, 3, True),
    ],
)
def test_number_match_official(prediction: str | float, gold: str | float, expected: bool) -> None:
    assert number_match(prediction, gold) is expected


@pytest.mark.parametrize(
    ("prediction", "gold", "unit", "expected"),
    [
        ("5", "5", "", True),
        ("-5", "5", "", False),
        ("(5)", "-5", "", True),
        ("\u22125.0", -5, "", True),
        ("0.05", "5", "", False),
        ("5%", "0.05", "", True),
        ("5%", "5", "percent", True),
        ("5", "5", "percent", True),
        ("0.05", "5", "percent", False),
        ("5", "5%", "", True),
        ("5%", "5", "", False),
        ("5 million", "5", "million", True),
        ("5,000,000", "5", "million", True),
        ("5 billion", "5", "million", False),
        ("5 thousand", "5", "million", False),
        ("$5.04 million", "5,000", "thousand", True),
        ("5 million", "5", "", True),
        ("5 million", "5000000", "", True),
        ("0", "0", "", True),
        ("1", "0", "", False),
        ("The ratio fell from 3.2 to 2.9", "2.9", "", True),
        ("no number", "2.9", "", False),
        ("25 basis points", "0.25%", "", True),
    ],
)
def test_number_match_strict(prediction: str | float, gold: str | float, unit: str, expected: bool) -> None:
    assert strict_number_match(prediction, gold, unit) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It was $1,234.5 million.", Quantity(1234.5, 1e6)),
        ("between 2019 and 2020: -12.5 %", Quantity(-12.5, 1e-2)),
        ("$-3.5bn", Quantity(-3.5, 1e9)),
        ("-$3.5bn", Quantity(-3.5, 1e9)),
        ("($ 1.2)", Quantity(-1.2)),
        ("growth of 1.5e3", Quantity(1500.0)),
        ("2019-2020", Quantity(2020.0)),
        (".5", Quantity(0.5)),
        ("5 markets", Quantity(5.0)),
        ("answer: 12.", Quantity(12.0)),
        ("COVID-19", Quantity(19.0)),
        ("", None),
        ("none", None),
    ],
)
def test_numbers_in_texts(text: str, expected: Quantity | None) -> None:
    found = find_number(text)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert (found.number, found.scale) == (expected.number, expected.scale)


def test_squad_rules() -> None:
    assert normalise("The  Cat's, a mat!") == "cats mat"
    assert exact_match("the Cat", ["dog", "cat."]) == 1.0
    assert exact_match("cats", ["cat"]) == 0.0
    assert token_f1("the black cat sat", ["cat"]) == pytest.approx(2 * (1 / 3) / (1 / 3 + 1))
    assert token_f1("cat cat", ["cat"]) == pytest.approx(2 / 3)
    assert token_f1("dog", ["cat", "dog"]) == 1.0
    assert token_f1("", []) == exact_match("", []) == 1.0
    assert token_f1("something", []) == exact_match("something", []) == 0.0
    assert token_f1("", ["cat"]) == 0.0
    assert contains_answer("It sat on the mat, they say", ["mat", "hat"]) == 1.0
    assert contains_answer("It sat on the matter", ["mat"]) == 0.0
    assert contains_answer("anything", [""]) == 0.0


def test_citations() -> None:
    scores = citation_scores(["a", "b", "a"], ["a", "c", "d"])
    assert scores.precision == 0.5
    assert scores.recall == pytest.approx(1 / 3)
    assert scores.f1 == pytest.approx(0.4)
    assert citation_scores([], ["a"]).f1 == 0.0
    assert citation_scores(["a"], []).precision == 0.0


PASSAGE = "Bees store nectar in the hive; a colony of 40,000 workers makes 25 kilograms of honey a year."


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("A colony makes 25 kilograms of honey each year.", True),
        ("A colony makes 35 kilograms of honey each year.", False),
        ("Colonies of 40000 workers store nectar.", True),
        ("Wasps build paper nests under roofs.", False),
        ("It is so.", True),
    ],
)
def test_support(sentence: str, expected: bool) -> None:
    assert supported(sentence, [PASSAGE]) is expected


def test_support_needs_a_citation() -> None:
    assert not supported("Bees store nectar.", [])
    assert support_share([("Bees store nectar.", [PASSAGE]), ("Bees store nectar.", [])]) == 0.5
    assert support_share([]) == 0.0


def test_abstention() -> None:
    found = abstention([True, True, False, False], [False, True, True, False])
    assert (found.precision, found.recall, found.f1) == (0.5, 0.5, 0.5)
    assert (found.accuracy, found.answer_rate, found.unanswerable) == (0.5, 0.5, 2)
    nobody = abstention([], [])
    assert nobody.accuracy == 0.0
    assert set(nobody.to_dict()) >= {"precision", "recall", "answer_rate"}

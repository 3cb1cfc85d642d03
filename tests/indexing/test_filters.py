"""The filter language: reading, printing, errors, and SQL against an evaluation over plain dictionaries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twindex.indexing.errors import FilterError
from twindex.indexing.filter_sql import check_fields, merge_fields
from twindex.indexing.filters import (
    And,
    Compare,
    Contains,
    Exists,
    Filter,
    In,
    Not,
    Or,
    StartsWith,
    filter_from_dict,
    parse_filter,
)
from twindex.indexing.store import StoreReader, StoreWriter
from twindex.indexing.types import Passage

FIELDS = ["year", "Year", "YEAR", "odd name", "a.b", "title", "flag", "in", "^y", ".x", "É", "é", 'q"; --']
TEXTS = st.sampled_from(["", "en", "de", "it's", 'say "x"', "50%_", "é", "back\\slash", "'; DROP TABLE x; --"])
#: Where integers and doubles part: neighbours of 2^53 and of the ends of 64 bits.
EDGES = [2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**70, -(2**70), 2.0**53, 2.0**63, -(2.0**63), 1e300, -1e300]
NUMBERS = st.one_of(st.integers(-5, 5), st.sampled_from([0.5, -2.5, 2.0, -0.0, 0.1, *EDGES]))
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans())
LISTS = st.one_of(
    st.lists(TEXTS, max_size=3),
    st.lists(st.one_of(st.integers(-3, 3), st.sampled_from([2**53 + 1, 2**63 - 1])), max_size=3),
    st.lists(st.sampled_from([0.5, 2.0, 2.0**53, 1e300]), max_size=2),
)
ROWS = st.lists(
    st.dictionaries(
        st.sampled_from([f for f in FIELDS if f != "title"]), st.one_of(SCALARS, LISTS, st.none()), max_size=4
    ),
    max_size=8,
)


def conditions(fields: st.SearchStrategy[str]) -> st.SearchStrategy[Filter]:
    ordered = st.one_of(TEXTS, NUMBERS)
    leaf = st.one_of(
        st.builds(Compare, fields, st.sampled_from(["<", "<=", ">", ">="]), ordered),
        st.builds(Compare, fields, st.sampled_from(["=", "!="]), SCALARS),
        st.builds(In, fields, st.lists(SCALARS, min_size=1, max_size=3).map(tuple)),
        st.builds(In, fields, st.lists(SCALARS, min_size=12, max_size=20).map(tuple)),
        st.builds(Contains, fields, SCALARS),
        st.builds(StartsWith, fields, TEXTS),
        st.builds(Exists, fields),
    )
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple)),
            st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        ),
        max_leaves=6,
    )


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return type(value).__name__


def compare(found: Any, op: str, value: Any) -> bool:
    if kind(found) != kind(value) or isinstance(found, list):
        return False
    return bool({
        "=": lambda: found == value, "!=": lambda: found != value, "<": lambda: found < value,
        "<=": lambda: found <= value, ">": lambda: found > value, ">=": lambda: found >= value,
    }[op]())  # fmt: skip


def holds(condition: Filter, row: Mapping[str, Any]) -> bool:
    """The slow twin of the SQL."""
    match condition:
        case And(parts):
            return all(holds(part, row) for part in parts)
        case Or(parts):
            return any(holds(part, row) for part in parts)
        case Not(part):
            return not holds(part, row)
        case Compare(field, op, value):
            return compare(row.get(field), op, value)
        case In(field, values):
            return any(compare(row.get(field), "=", value) for value in values)
        case Contains(field, value):
            found = row.get(field)
            if isinstance(found, list):
                return any(compare(item, "=", value) for item in found)
            return isinstance(found, str) and isinstance(value, str) and value in found
        case StartsWith(field, value):
            found = row.get(field)
            return isinstance(found, str) and found.startswith(value)
        case Exists(field):
            return row.get(field) is not None
    raise AssertionError(condition)


@settings(max_examples=300, deadline=None)
@given(condition=conditions(st.text(min_size=1, max_size=8)))
def test_printing_and_json_round_trip(condition: Filter) -> None:
    assert parse_filter(str(condition)) == condition
    assert Filter.from_dict(json.loads(json.dumps(condition.to_dict()))) == condition


@settings(max_examples=30, deadline=None)
@given(rows=ROWS, wanted=st.lists(conditions(st.sampled_from(FIELDS)), min_size=4, max_size=10))
def test_sql_equals_the_slow_twin(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], wanted: list[Filter]
) -> None:
    folder = tmp_path_factory.mktemp("store")
    writer = StoreWriter(folder)
    titles = ["en", "", "de", "it's"]
    writer.add([Passage(str(i), str(i), "x", titles[i % 4], metadata=row) for i, row in enumerate(rows)])
    writer.finish()
    reader = StoreReader(folder)
    for condition in wanted:
        expected = [holds(condition, row | {"title": titles[i % 4]}) for i, row in enumerate(rows)]
        assert reader.allowed(condition).tolist() == expected, str(condition)
    reader.close()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("year >= 2020", Compare("year", ">=", 2020)),
        ("YEAR == -1.5e3", Compare("YEAR", "=", -1500.0)),
        ('lang <> "a\'b"', Compare("lang", "!=", "a'b")),
        ("x in (1, 'a', true)", In("x", (1, "a", True))),
        ("x NOT IN (1)", Not(In("x", (1,)))),
        (
            "x between 1 and 2 and y = 3",
            And((And((Compare("x", ">=", 1), Compare("x", "<=", 2))), Compare("y", "=", 3))),
        ),
        ("`a b` contains 'c'", Contains("a b", "c")),
        ("x starts with 'p'", StartsWith("x", "p")),
        ("x is null or x is not null", Or((Not(Exists("x")), Exists("x")))),
        (
            "not (a = 1 or b = 2) and c exists",
            And((Not(Or((Compare("a", "=", 1), Compare("b", "=", 2)))), Exists("c"))),
        ),
        ("date >= '2024-01-01'", Compare("date", ">=", "2024-01-01")),
    ],
)
def test_examples(expression: str, expected: Filter) -> None:
    assert parse_filter(expression) == expected


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", "empty"),
        ("year >=", "character 8: the end"),
        ("year", "operator"),
        ("year = 2020 and", "field"),
        ("year = 'abc", "character 8"),
        ("(year = 1", r"'\)'"),
        ("year = 1)", "the end"),
        ("year in ()", "value"),
        ("1 = 1", "field"),
        ("year = 1; DROP TABLE metadata", "character 9"),
        ("x starts with 5", "text"),
        ("x < true", "character 3: < with a truth value"),
        ("a = 1 and x in (1, 1e999)", "character 20: the number 1e999"),
        ("x = " + "9" * 5000, "character 5: the number 999"),
        ("a exists and x = `b`", "character 18: '`b`'; expected a value"),
        ("x starts y", "character 10: 'y'; expected 'with'"),
        ("x not = 1", "character 7: '='; expected 'in'"),
        ('"x" = 1', "character 1: .* expected the name of a field"),
        ("x = 'a\\'", "character 5: .* expected a closing '"),
        ("x = `a", "character 5: .* expected a closing `"),
        ("x = 5abc", "character 5"),
        ("and = 5", "character 1: 'and'"),
        ("x = 1 and " * 40 + "y ~ 1", r"character 403: '~ 1'"),
        ("(" * 200 + "x = 1" + ")" * 200, "nested"),
        ("not " * 200 + "x = 1", "nested"),
        ("x = 'a' " * 20_000, "characters"),
    ],
)
def test_errors_say_where_and_what(expression: str, words: str) -> None:
    with pytest.raises(FilterError, match=words):
        parse_filter(expression)


@pytest.mark.parametrize(
    "value",
    [
        None,
        3,
        [],
        {"and": [{"field": "x"}]},
        {"field": "x", "op": "in", "value": 3},
        {"field": "x", "op": "~", "value": 1},
        {"field": "x", "op": "=", "value": None},
        {"field": "x", "op": "=", "value": {}},
        {"drop": "table"},
        {"field": "", "op": "exists"},
        {"field": 3, "op": "exists"},
        {"field": "x", "op": "exists", "value": 1},
        {"field": "x", "op": "="},
        {"field": "x", "op": "=", "value": 1, "more": 2},
        {"field": "x", "op": "between", "value": [1]},
        {"field": "x", "op": "in", "value": []},
        {"field": "x", "op": "in", "value": [[1]]},
        {"field": "x", "op": "in", "value": ["v"] * 10_001},
        {"field": "x", "op": "=", "value": float("nan")},
        {"field": "x", "op": "=", "value": 10**400},
        {"field": "x", "op": "starts with", "value": 1},
        {"field": "x", "op": "<", "value": True},
        {"not": [], "and": []},
        {"and": []},
    ],
)
def test_wrong_json_is_refused(value: Any) -> None:
    with pytest.raises(FilterError):
        filter_from_dict(value)


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"field": "x", "op": "exists"}
    for _ in range(depth):
        value = {"not": value}
    return value


def test_nesting_is_limited_in_every_form() -> None:
    assert parse_filter(str(Filter.from_dict(nested(31)))).depth == 32
    with pytest.raises(FilterError, match="deeper than 32"):
        Filter.from_dict(nested(32))
    with pytest.raises(FilterError, match="deeper"):
        Filter.from_dict(nested(900))
    deepest: Filter = Exists("x")
    with pytest.raises(FilterError, match="deeper than 32"):  # noqa: PT012 - one of the steps raises
        for _ in range(40):
            deepest = And((deepest, Not(deepest)))


@pytest.mark.parametrize(
    ("value", "expression"),
    [
        ({"field": "x", "op": "between", "value": [1, 2]}, "x between 1 and 2"),
        ({"field": "x", "op": "NOT IN", "value": ["a"]}, "x not in ('a')"),
        ({"field": "x", "op": "not_contains", "value": "a"}, "x not contains 'a'"),
        ({"field": "x", "op": "is null"}, "x is null"),
        ({"field": "x", "op": "starts_with", "value": "a"}, "x starts with 'a'"),
        ({"field": "x", "op": "<>", "value": True}, "x <> TRUE"),
    ],
)
def test_json_says_all_that_expressions_say(value: dict[str, Any], expression: str) -> None:
    assert filter_from_dict(value) == parse_filter(expression)


def test_a_filter_is_built_of_checked_parts() -> None:
    for wrong in (
        lambda: And([Exists("x"), Exists("y")]),  # type: ignore[arg-type]
        lambda: Or((Exists("x"),)),
        lambda: Not("x"),  # type: ignore[arg-type]
        lambda: In("x", ["a"]),  # type: ignore[arg-type]
        lambda: Compare("x", "like", "a"),
        lambda: Compare("", "=", "a"),
        lambda: Compare("x", "=", None),  # type: ignore[arg-type]
    ):
        with pytest.raises(FilterError):
            wrong()


def test_equality_tells_truth_from_one(tmp_path: Path) -> None:
    assert Compare("x", "=", 1) != Compare("x", "=", True)
    assert len({Compare("x", "=", 1), Compare("x", "=", True), parse_filter("x = 1")}) == 2
    writer = StoreWriter(tmp_path)
    writer.add([Passage("a", "a", "", metadata={"x": 1}), Passage("b", "b", "", metadata={"x": True})])
    writer.finish()
    reader = StoreReader(tmp_path)
    assert reader.allowed(parse_filter("x = 1")).tolist() == [True, False]
    assert reader.allowed(parse_filter("x = true")).tolist() == [False, True], "not what was remembered for x = 1"
    reader.close()


INJECTIONS = ["'; DROP TABLE metadata; --", '" OR 1=1 --', "x') OR ('1'='1", "?", "$1", "%", "{}", "{0}", "\\'", "\x00"]


@settings(max_examples=200, deadline=None)
@given(
    text=st.one_of(
        st.text(max_size=40),
        st.lists(
            st.sampled_from(
                [*INJECTIONS, "x", "=", "in", "(", ")", "'a'", "1", ",", "not", "and", "between", "`", " "]
            ),
            max_size=12,
        ).map(" ".join),
    )
)
def test_any_text_is_a_filter_or_a_clear_error(text: str) -> None:
    try:
        found = parse_filter(text)
    except FilterError as error:
        explained = bool(error.given and error.expected)
    else:
        explained = parse_filter(str(found)) == found
    assert explained


@pytest.mark.parametrize("text", INJECTIONS)
def test_texts_and_names_are_never_sql(tmp_path: Path, text: str) -> None:
    writer = StoreWriter(tmp_path)
    writer.add([Passage("a", "a", "", metadata={text: text}), Passage("b", "b", "", metadata={"x": "y"})])
    writer.finish()
    reader = StoreReader(tmp_path)
    for field in (text, f"metadata.{text}"):
        for condition in (Compare(field, "=", text), In(field, (text, "z")), Contains(field, text), Exists(field)):
            assert reader.allowed(condition).tolist() == [True, False]
            assert reader.allowed(parse_filter(str(condition))).tolist() == [True, False]
    assert reader.allowed(StartsWith("x", text)).tolist() == [False, False]
    reader.close()


def test_what_sql_cannot_hold_is_one_replacement_character(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path)
    writer.add([Passage("a", "a", "", metadata={"\ud800": "\x00"})])
    writer.finish()
    reader = StoreReader(tmp_path)
    for field, value in (("\ud800", "\x00"), ("\ufffd", "\ufffd"), ("\x00", "\udfff")):
        assert reader.allowed(Compare(field, "=", value)).tolist() == [True]
        check_fields(Compare(field, "=", value), reader.fields())
    reader.close()


def test_unknown_fields_are_named_with_what_there_is() -> None:
    with pytest.raises(FilterError, match=r"colour.*kind"):
        check_fields(parse_filter("colour = 'red'"), ["kind", "title"])
    with pytest.raises(FilterError, match="'Kind'"):
        check_fields(parse_filter("Kind = 'red'"), ["kind", "title"])
    with pytest.raises(FilterError, match=r"'metadata\.title'"):
        check_fields(parse_filter("metadata.title = 'x'"), ["kind", "title"])
    check_fields(parse_filter("metadata.kind = 'red' and title = 'x'"), ["kind", "title"])


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("year = '2020'", "'year', which holds numbers"),
        ("not (year starts with '20')", "numbers"),
        ("lang > 5 or year = 1", "'lang', which holds texts"),
        ("tags = 'a'", "lists of texts"),
        ("tags contains 5", "lists of texts"),
        ("lang in (1, true)", "texts"),
        ("mixed = true", "numbers and texts"),
        ("year contains 20", "numbers"),
        ("title = 5", "texts"),
    ],
)
def test_conditions_that_fit_no_value_are_refused(expression: str, words: str) -> None:
    known = merge_fields([
        {"title": ["str"], "year": ["int"], "lang": ["str"], "mixed": ["int"]},
        {"title": ["str"], "year": ["float"], "tags": ["strs"], "mixed": ["str"]},
    ])  # fmt: skip
    with pytest.raises(FilterError, match=words) as raised:
        check_fields(parse_filter(expression), known)
    assert "contains" in raised.value.remedy
    for fine in (
        "mixed = 5",
        "mixed = 'a'",
        "lang in (1, 'en')",
        "tags contains 'a'",
        "year exists",
        "lang contains 'e'",
    ):
        check_fields(parse_filter(fine), known)


def test_not_is_the_complement_and_unequal_is_not(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"x": 1}, {"x": 2}, {}, {"x": None}, {"x": "1"}]
    writer = StoreWriter(tmp_path)
    writer.add([Passage(str(i), str(i), "", metadata=row) for i, row in enumerate(rows)])
    writer.finish()
    reader = StoreReader(tmp_path)
    for expression, expected in {
        "x = 1": [0],
        "not (x = 1)": [1, 2, 3, 4],
        "x != 1": [1],
        "x is null": [2, 3],
        "x in (1, '1')": [0, 4],
        "x not in (1, '1')": [1, 2, 3],
        "x not between 1 and 1": [1, 2, 3, 4],
    }.items():
        assert np.flatnonzero(reader.allowed(parse_filter(expression))).tolist() == expected, expression
    reader.close()


def test_many_values_and_many_threads(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path)
    writer.add([Passage(str(i), str(i), "", metadata={"n": i, "even": i % 2 == 0}) for i in range(2_000)])
    writer.finish()
    reader = StoreReader(tmp_path)
    wanted = [In("n", tuple(range(start, 10_000))) for start in range(16)]
    with ThreadPoolExecutor(8) as pool:
        masks = list(pool.map(reader.allowed, [*wanted, *wanted]))
    assert [int(mask.sum()) for mask in masks] == [2_000 - start for start in range(16)] * 2
    reader.close()


def test_a_field_named_as_a_built_in_one(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path)
    writer.add([Passage("p", "d", "x", "real", metadata={"title": "other", "id": 7})])
    writer.finish()
    reader = StoreReader(tmp_path)
    for expression in (
        "title = 'real'",
        "metadata.title = 'other'",
        "metadata.id = 7",
        "id = 'p'",
        "doc_id = 'd'",
    ):
        assert reader.allowed(parse_filter(expression)).tolist() == [True], expression
    assert isinstance(reader.allowed(parse_filter("id = 'q'")), np.ndarray)
    reader.close()

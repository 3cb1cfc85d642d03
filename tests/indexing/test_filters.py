"""The filter language: reading, printing, errors, and SQL against an evaluation over plain dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twindex.indexing.errors import FilterError
from twindex.indexing.filter_sql import check_fields
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

FIELDS = ["year", "lang", "odd name", "a.b", "title", "flag", "in"]
TEXTS = st.sampled_from(
    ["", "en", "de", "it's", 'say "x"', "50%_", "é", "back\\slash", "'; DROP TABLE x; --"]
)
NUMBERS = st.one_of(st.integers(-5, 5), st.sampled_from([0.5, -2.5, 2.0, 2**62, 2**70, -(2**70), 1e300]))
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans())
LISTS = st.one_of(
    st.lists(TEXTS, max_size=3),
    st.lists(st.integers(-3, 3), max_size=3),
    st.lists(st.sampled_from([0.5, 2.0]), max_size=2),
)
ROWS = st.lists(
    st.dictionaries(
        st.sampled_from([f for f in FIELDS if f != "title"]), st.one_of(SCALARS, LISTS, st.none()), max_size=4
    ),
    max_size=8,
)


def conditions() -> st.SearchStrategy[Filter]:
    fields = st.sampled_from(FIELDS)
    ordered = st.one_of(TEXTS, NUMBERS)
    leaf = st.one_of(
        st.builds(Compare, fields, st.sampled_from(["<", "<=", ">", ">="]), ordered),
        st.builds(Compare, fields, st.sampled_from(["=", "!="]), SCALARS),
        st.builds(In, fields, st.lists(SCALARS, min_size=1, max_size=3).map(tuple)),
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
@given(condition=conditions())
def test_printing_and_json_round_trip(condition: Filter) -> None:
    assert parse_filter(str(condition)) == condition
    assert filter_from_dict(condition.to_dict()) == condition


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, wanted=st.lists(conditions(), min_size=1, max_size=6))
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
        ("x < true", "truth value"),
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
    ],
)
def test_wrong_json_is_refused(value: Any) -> None:
    with pytest.raises(FilterError):
        filter_from_dict(value)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=40))
def test_any_text_is_a_filter_or_a_clear_error(text: str) -> None:
    try:
        parse_filter(text)
    except FilterError as error:
        given_and_expected = error.given and error.expected
    else:
        given_and_expected = "no error"
    assert given_and_expected


def test_unknown_fields_are_named_with_what_there_is() -> None:
    with pytest.raises(FilterError, match=r"colour.*kind"):
        check_fields(parse_filter("colour = 'red'"), ["kind", "title"])
    check_fields(parse_filter("metadata.kind = 'red' and title = 'x'"), ["kind", "title"])


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

"""The parsers of what strangers send: bulk bodies, searches, filters, cursors. ``TWINDEX_FUZZ_EXAMPLES``: how many."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from twindex.api.cursor import Cursor
from twindex.api.documents import parse_bulk
from twindex.api.schemas import SearchRequest, to_filter, to_recipe
from twindex.indexing.errors import FilterError, QueryError, TwindexError
from twindex.indexing.filters import filter_from_dict
from twindex.retrieval.options import SearchOptions

_BYTES = st.binary(max_size=300)
_JSONISH = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
_LINES = st.lists(_JSONISH, max_size=5).map(lambda values: b"\n".join(json.dumps(v).encode() for v in values))
_BASE64 = st.binary(max_size=60).map(lambda data: base64.urlsafe_b64encode(data).decode())
_ODD = st.sampled_from(
    ["(", ")", "'", '"', "`", " and ", " or ", "not ", "=", ">=", "in", "year", "1e999", "\\", "\x00", ","]
)
#: Values of options: those that exist, numbers at and around their bounds, and anything at all.
_OPTION = (
    st.sampled_from(
        ["bm25", "learned", "both", "index", "model", "words", "max", "mean", "additive", "bm25f", "hybrid"]
    )
    | st.sampled_from([0, 1, -1, 0.0, 1.0, 0.95, 1e-9, 1 - 1e-9, 1 + 1e-9, 1e308, 10_000, 10_001, True, False, None])
    | st.fixed_dictionaries({"method": st.sampled_from(["rrf", "convex", "sum"])}, optional={"k": _JSONISH})
    | _JSONISH
)
FUZZ = int(os.environ.get("TWINDEX_FUZZ_EXAMPLES", "60"))
fuzzed = settings(max_examples=FUZZ, deadline=None, suppress_health_check=list(HealthCheck), database=None)


@pytest.mark.timeout(3600)
@fuzzed
@given(data=_BYTES | _JSONISH.map(lambda v: json.dumps(v).encode()) | _LINES)
def test_no_bulk_body_breaks_the_parser(data: bytes) -> None:
    for kind in ("application/x-ndjson", "application/json"):
        try:
            bulk = parse_bulk(data, kind, max_items=3)
        except TwindexError:
            continue
        assert len(bulk.items) == len(bulk.documents) + bulk.rejected
        assert all(document.id for document in bulk.documents)


@pytest.mark.timeout(3600)
@fuzzed
@given(text=st.text(max_size=100) | st.lists(_ODD | st.text(max_size=4), max_size=20).map("".join))
def test_no_filter_breaks_the_parser(text: str) -> None:
    try:
        condition = to_filter(text)
    except FilterError:
        return
    assert condition is not None
    assert to_filter(str(condition)) == condition


@pytest.mark.timeout(3600)
@fuzzed
@given(value=_JSONISH)
def test_no_json_filter_breaks_the_parser(value: Any) -> None:
    with contextlib.suppress(FilterError):
        filter_from_dict(value)


@pytest.mark.timeout(3600)
@fuzzed
@given(text=st.text(max_size=80) | _BASE64)
def test_no_cursor_breaks_the_parser(text: str) -> None:
    try:
        cursor = Cursor.from_text(text, {"query": "x"}, most=1 << 31)
    except QueryError:
        return
    assert cursor.to_text({"query": "x"}) == text


@pytest.mark.timeout(3600)
@fuzzed
@given(body=st.dictionaries(st.sampled_from(sorted(SearchRequest.model_fields)), _OPTION, max_size=6))
def test_no_search_body_breaks_the_parser(body: dict[str, Any]) -> None:
    text = json.dumps({"query": "x", **body})
    try:
        request = SearchRequest.model_validate_json(text)
    except ValidationError:
        return
    with contextlib.suppress(TwindexError):
        options = request.options()
        assert SearchOptions.from_dict(options.to_dict()) == options
    with contextlib.suppress(TwindexError):
        to_recipe(request.fusion)
    with contextlib.suppress(TwindexError):
        to_filter(request.filter)


@given(offset=st.integers(1, 1000), generation=st.integers(0, 2**63), query=st.text(max_size=10))
@settings(max_examples=100, deadline=None)
def test_cursors_come_back_and_belong_to_their_search(offset: int, generation: int, query: str) -> None:
    text = Cursor(offset, generation).to_text({"query": query})
    assert Cursor.from_text(text, {"query": query}) == Cursor(offset, generation)
    with pytest.raises(QueryError):
        Cursor.from_text(text, {"query": query + "x"})
    for place in range(len(text)):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        with pytest.raises(QueryError):
            Cursor.from_text(changed, {"query": query})

"""Conditions on metadata: write them as an expression, as JSON, or build the tree."""

from twindex.indexing.filter_ast import And, Compare, Contains, Exists, Filter, In, Not, Or, StartsWith
from twindex.indexing.filter_parser import parse_filter

#: The filter that a JSON object stands for.
filter_from_dict = Filter.from_dict

__all__ = [
    "And",
    "Compare",
    "Contains",
    "Exists",
    "Filter",
    "In",
    "Not",
    "Or",
    "StartsWith",
    "filter_from_dict",
    "parse_filter",
]

"""Texts to terms, by named and versioned rules."""

from twindex.indexing.analysis.base import Analyzer, TermBatch, Vocabulary
from twindex.indexing.analysis.english import EnglishAnalyzer
from twindex.indexing.analysis.registry import analyzer_names, get_analyzer
from twindex.indexing.analysis.unicode import UnicodeAnalyzer
from twindex.indexing.analysis.whitespace import WhitespaceAnalyzer

__all__ = [
    "Analyzer",
    "EnglishAnalyzer",
    "TermBatch",
    "UnicodeAnalyzer",
    "Vocabulary",
    "WhitespaceAnalyzer",
    "analyzer_names",
    "get_analyzer",
]

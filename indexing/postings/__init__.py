"""Inverted files, lexical and learned: built outside memory, read by memory map, merged without a rebuild."""

from twindex.indexing.postings.builder import PostingsBuilder
from twindex.indexing.postings.impact_facts import ImpactFacts
from twindex.indexing.postings.impact_reader import ImpactReader, merge_impacts
from twindex.indexing.postings.impacts import ImpactsBuilder, build_impacts
from twindex.indexing.postings.merge import merge_postings
from twindex.indexing.postings.reader import PostingsReader, live_df

__all__ = [
    "ImpactFacts",
    "ImpactReader",
    "ImpactsBuilder",
    "PostingsBuilder",
    "PostingsReader",
    "build_impacts",
    "live_df",
    "merge_impacts",
    "merge_postings",
]

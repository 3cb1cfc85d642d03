"""Inverted files: built outside memory, read by memory map, merged without a rebuild."""

from twindex.indexing.postings.builder import PostingsBuilder
from twindex.indexing.postings.merge import merge_postings
from twindex.indexing.postings.reader import PostingsReader, live_df

__all__ = ["PostingsBuilder", "PostingsReader", "live_df", "merge_postings"]

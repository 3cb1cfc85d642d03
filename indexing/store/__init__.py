"""Passages of a segment: fetched by ordinal, found by document id, chosen by a filter."""

from twindex.indexing.store.reader import StoreReader
from twindex.indexing.store.writer import StoreWriter, hash_doc_ids

__all__ = ["StoreReader", "StoreWriter", "hash_doc_ids"]

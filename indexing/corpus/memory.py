"""Documents that a program already has, or makes as it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from functools import partial
from typing import Any

from twindex.indexing.corpus.base import OnError, RecordCorpus
from twindex.indexing.types import Document

Records = Iterable[Document | Mapping[str, Any]]


class IterableCorpus(RecordCorpus):
    """Documents, or mappings with their fields, from any iterable.

    Args:
        source: An iterable, or a function that makes one. An iterator can be streamed once only.
    """

    def __init__(
        self,
        source: Records | Callable[[], Records],
        *,
        name: str = "memory",
        on_error: OnError = "fail",
        **fields: str | None,
    ) -> None:
        super().__init__(name, on_error=on_error, **fields)
        self._source = source

    @property
    def total(self) -> int | None:
        """The length, of what has one."""
        return len(self._source) if isinstance(self._source, Sized) else None

    def __iter__(self) -> Iterator[Document]:
        """A new stream."""
        self.restart()
        records = self._source() if callable(self._source) else self._source
        for number, record in enumerate(records, 1):
            if isinstance(record, Document):
                yield record
                continue
            document = self.document(partial(_same, record), self.name, number)
            if document is not None:
                yield document


def _same(record: Any) -> Any:
    return record

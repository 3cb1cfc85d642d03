"""What a corpus is: a stream of documents that can be started again, and an account of what was skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, runtime_checkable

from twindex.indexing.errors import ConfigError, CorpusError
from twindex.indexing.types import Document, MetaValue

OnError = Literal["fail", "skip"]
#: Skipped records that are kept by name; beyond it they are only counted.
KEPT: Final = 100


@dataclass(frozen=True, slots=True)
class SkippedRecord:
    """A record that could not be read, and why."""

    path: str
    line: int
    reason: str

    def __str__(self) -> str:
        return self.reason


@runtime_checkable
class Corpus(Protocol):
    """Documents in a fixed order. Each ``iter`` starts a new stream; nothing holds all documents."""

    @property
    def name(self) -> str:
        """What reports call it."""

    @property
    def total(self) -> int | None:
        """How many documents there are, if that is known without reading them."""

    @property
    def skipped(self) -> list[SkippedRecord]:
        """The first records that the last stream skipped."""

    @property
    def skipped_count(self) -> int:
        """How many records the last stream skipped."""

    def __iter__(self) -> Iterator[Document]:
        """A new stream from the first document.

        Raises:
            CorpusError: At a record that cannot be read, unless such records are skipped.
        """


class RecordCorpus:
    """Base of the readers: turns records into documents, and counts or raises what cannot be turned.

    Args:
        name: What reports call it.
        on_error: Whether a bad record stops the stream or is counted.
        id_field: Name of the id in the records; None = the usual ones.
        text_field: The same for the text.
        title_field: The same for the title.
    """

    def __init__(
        self,
        name: str,
        *,
        on_error: OnError = "fail",
        id_field: str | None = None,
        text_field: str | None = None,
        title_field: str | None = None,
    ) -> None:
        if on_error not in ("fail", "skip"):
            raise ConfigError(f"on_error={on_error!r}", expected="fail or skip")
        self.name = name
        self.skipped: list[SkippedRecord] = []
        self.skipped_count = 0
        self._on_error = on_error
        self._fields = Fields.of(id_field, text_field, title_field)

    @property
    def total(self) -> int | None:
        """Unknown without reading."""
        return None

    def restart(self) -> None:
        """Forget what an earlier stream skipped."""
        self.skipped = []
        self.skipped_count = 0

    def document(self, read: Callable[[], Any], path: str, line: int) -> Document | None:
        """The document of one record, None if it was skipped."""
        try:
            return self._fields.document(read(), path, line)
        except CorpusError as error:
            if self._on_error == "fail":
                raise
            self.skip(error)
            return None

    def skip(self, error: CorpusError) -> None:
        """Count a record that is left out."""
        self.skipped_count += 1
        if len(self.skipped) < KEPT:
            self.skipped.append(SkippedRecord(error.path, error.line, error.message))


ID_NAMES: Final = ("_id", "id", "doc_id", "docid")
TEXT_NAMES: Final = ("text", "contents", "body")
TITLE_NAMES: Final = ("title",)


@dataclass(frozen=True, slots=True)
class Fields:
    """Which fields of a record are what; those left over become metadata."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    titles: tuple[str, ...]

    @classmethod
    def of(cls, id_field: str | None, text_field: str | None, title_field: str | None) -> Fields:
        """The names given, the usual ones elsewhere."""
        return cls(
            (id_field,) if id_field else ID_NAMES,
            (text_field,) if text_field else TEXT_NAMES,
            (title_field,) if title_field else TITLE_NAMES,
        )

    def document(self, record: Any, path: str, line: int) -> Document:
        """The document of a record.

        Raises:
            CorpusError: If the id or the text is missing, or a field has a type that it cannot have.
        """
        if not isinstance(record, Mapping):
            raise CorpusError(
                f"a record of type {type(record).__name__}",
                path=path,
                line=line,
                expected="an object with fields",
            )
        rest = dict(record)
        id_ = _take(rest, self.ids)
        text = _take(rest, self.texts)
        title = _take(rest, self.titles)
        if id_ is None or id_ == "" or isinstance(id_, bool) or not isinstance(id_, str | int):
            raise self._missing("id", self.ids, id_, path, line)
        if not isinstance(text, str):
            raise self._missing("text", self.texts, text, path, line)
        if title is not None and not isinstance(title, str):
            raise self._missing("title", self.titles, title, path, line)
        return Document(str(id_), text, title or "", _metadata(rest, path, line))

    @staticmethod
    def _missing(what: str, names: tuple[str, ...], found: Any, path: str, line: int) -> CorpusError:
        given = f"no {what}" if found is None else f"{what} {str(found)[:60]!r} of type {type(found).__name__}"
        return CorpusError(
            given,
            path=path,
            line=line,
            expected=f"a text in {' or '.join(names)}",
            remedy="mend the record, name the field, or skip such records with on_error='skip'",
        )


def _take(record: dict[str, Any], names: tuple[str, ...]) -> Any:
    """The first of the names that the record has, taken out of it."""
    for name in names:
        if name in record:
            return record.pop(name)
    return None


def _metadata(rest: dict[str, Any], path: str, line: int) -> dict[str, MetaValue]:
    """The object under "metadata" and the fields left over; nested objects become dotted names."""
    own = rest.pop("metadata", None)
    if own is not None and not isinstance(own, Mapping):
        raise CorpusError(
            f"metadata of type {type(own).__name__}", path=path, line=line, expected="an object with fields"
        )
    flat: dict[str, MetaValue] = {}
    for key, value in [*rest.items(), *(own or {}).items()]:
        _flatten(str(key), value, flat, path, line)
    return flat


def _flatten(key: str, value: Any, flat: dict[str, MetaValue], path: str, line: int) -> None:
    if isinstance(value, Mapping):
        for inner, content in value.items():
            _flatten(f"{key}.{inner}", content, flat, path, line)
        return
    kept = list(value) if isinstance(value, list | tuple) else value
    if not storable_value(kept):
        raise CorpusError(
            f"metadata field {key!r} holds {str(value)[:60]!r} ({type(value).__name__})",
            path=path,
            line=line,
            expected="a text, a finite number, true, false or null, or a list of texts or of numbers",
        )
    flat[key] = kept


def storable_value(value: Any) -> bool:
    """Whether metadata can hold the value."""
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value) or all(
            isinstance(item, int | float) and not isinstance(item, bool) and storable_value(item) for item in value
        )
    if isinstance(value, float):
        return value - value == 0
    return value is None or isinstance(value, str | bool | int)

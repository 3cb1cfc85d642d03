"""What was generated for documents, read by the hash of their contents: a folder with one append-only log.

Documents are known by :func:`content_hash`, so one store serves any number of indices and corpora, and a
document whose text has changed simply has nothing in it. Configurations lie side by side. The bytes are
described in indexing/FORMAT.md; writing is in :mod:`twindex.indexing.expansion.writer`.
"""

from __future__ import annotations

import io
import lzma
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, NamedTuple, Self

import numpy as np

from twindex.indexing.errors import ConfigError, CorruptIndexError, IndexNotFoundError
from twindex.indexing.expansion.duplicates import distinct
from twindex.indexing.expansion.log import batches
from twindex.indexing.expansion.places import Place, Places
from twindex.indexing.expansion.records import NOBODY, Kind, Record, content_hash, keys_of, parse

#: Name of the log within the folder of a store.
LOG_FILE: Final = "expansion.log"

__all__ = ["ExpansionStore", "Scored", "TopicWeight", "content_hash"]


class TopicWeight(NamedTuple):
    """A topic of a document: its number in the topic model, its share of the document, its label."""

    topic: int
    weight: float
    label: str


class Scored(NamedTuple):
    """A generated query and how near the document a scorer found it, NaN if it was not asked."""

    query: str
    score: float


class ExpansionStore:
    """A store opened for reading; safe for threads. Use :meth:`open`.

    It sees what was written when it was opened, and more after :meth:`refresh`; one process may go on
    writing meanwhile. Memory is 32 bytes a record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        log = path / LOG_FILE if path.is_dir() else path
        if not log.is_file():
            raise IndexNotFoundError(
                f"no expansion store at {path}",
                expected=f"a folder with {LOG_FILE}, or an exported .xz file",
                remedy="make one with: twindex expand CORPUS --out STORE",
            )
        self._log = log
        self._packed = log.suffix == ".xz"
        self._data = b""
        self._handle = -1 if self._packed else os.open(log, os.O_RDONLY | os.O_CLOEXEC)
        self._places = Places()
        self._configs: list[bytes] = []
        self._facts: dict[bytes, Mapping[str, Any]] = {}
        self._end = 0
        try:
            self.refresh()
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """The store in that folder, or in that exported ``.xz`` file.

        Raises:
            IndexNotFoundError: If there is none.
            CorruptIndexError: If it is damaged.
            FormatVersionError: If it is of a version that this release does not read.
        """
        return cls(Path(path))

    def close(self) -> None:
        """Lets go of the file; a second call does nothing."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", -1) >= 0:
            warnings.warn(f"expansion store {self.path} was not closed", ResourceWarning, stacklevel=2)
            self.close()

    def refresh(self) -> int:
        """Takes in what was written since; how many records that were."""
        before = len(self._places)
        with self._opened() as file:
            for batch in batches(file, self._end, str(self._log)):
                self._take(batch.start, batch.lines)
                self._end = batch.end
        return len(self._places) - before

    def configs(self) -> dict[bytes, Mapping[str, Any]]:
        """The configurations by hash, in the order in which they came into the store."""
        return dict(self._facts)

    def resolve(self, config: bytes | str | None, kind: Kind = "queries") -> bytes:
        """The hash of the configuration that is meant.

        Args:
            config: Its hash; or the beginning of the hash in hexadecimal, or its ``name``, if only one has
                it; or None for the only one that has records of the kind.
            kind: What the configuration must have made.

        Raises:
            ConfigError: If there is none, or more than one.
        """
        if isinstance(config, bytes):
            return config
        named = {hash_: fact for hash_, fact in self._facts.items() if self._places.any(self._number(hash_), kind)}
        if config is not None:
            exact = [hash_ for hash_, fact in self._facts.items() if fact.get("name") == config]
            found = exact or [hash_ for hash_ in self._facts if config and hash_.hex().startswith(config.lower())]
        else:
            found = list(named)
        if len(found) == 1:
            return found[0]
        listing = ", ".join(f"{fact.get('name', '?')} ({hash_.hex()[:8]})" for hash_, fact in self._facts.items())
        given = f"no configuration is named {config!r}" if config else f"{len(found)} configurations have {kind}"
        raise ConfigError(
            f"{given} in {self.path}" if not found or not config else f"{len(found)} configurations match {config!r}",
            expected=f"one of: {listing}" if listing else "a store in which something was generated",
            remedy="name one of them by name or by the beginning of its hash",
        )

    def queries(
        self,
        document: bytes,
        config: bytes | str | None = None,
        limit: int | None = None,
        *,
        duplicates: bool = False,
        at_least: float | None = None,
    ) -> tuple[str, ...]:
        """The queries of a document, in the order of their sets; empty if nothing was generated for it.

        Args:
            document: :func:`content_hash` of its contents.
            config: As in :meth:`resolve`.
            limit: How many, at most; counted after what follows.
            duplicates: Whether near-duplicates (:func:`~.duplicates.wording`) of earlier ones stay.
            at_least: The least score; queries that have none stay.
        """
        found = [
            pair.query
            for pair in self.scored(document, config)
            if at_least is None or not pair.score < at_least  # NaN stays
        ]
        kept = found if duplicates else distinct(found)
        return tuple(kept[:limit])

    def scored(self, document: bytes, config: bytes | str | None = None) -> tuple[Scored, ...]:
        """All queries of a document with their scores, in the order of their sets, duplicates included."""
        chosen = self.resolve(config)
        sets: dict[int, list[str]] = {}
        scores: dict[int, list[float]] = {}
        for record in self.records(document, chosen):
            if record.kind == "queries":
                sets.setdefault(record.number, record.value)
            elif record.kind == "scores":
                scores[record.number] = record.value["values"]
        pairs: list[Scored] = []
        for number in sorted(sets):
            texts = sets[number]
            values = scores.get(number, [])
            values = values if len(values) == len(texts) else [float("nan")] * len(texts)
            pairs += [Scored(text, float(value)) for text, value in zip(texts, values, strict=True)]
        return tuple(pairs)

    def threshold(self, config: bytes | str | None, drop: float) -> float:
        """The score below which the given share (0 to 1) of all scored queries of a configuration lies.

        Raises:
            ConfigError: If nothing was scored, or the share is not between 0 and 1.
        """
        if not 0 <= drop < 1:
            raise ConfigError(f"a share of {drop} to drop", expected="0 or more, below 1")
        chosen = self.resolve(config)
        values = [
            value for record in self.all_records(chosen) if record.kind == "scores" for value in record.value["values"]
        ]
        if not values:
            raise ConfigError(
                f"no query of {chosen.hex()[:8]} in {self.path} has a score",
                expected="scored queries",
                remedy="run: twindex expand score",
            )
        return float(np.quantile(np.array(values), drop, method="lower"))

    def topics(self, document: bytes, config: bytes | str | None = None) -> tuple[TopicWeight, ...]:
        """The topics of a document, the weightiest first."""
        value = self._last(document, self.resolve(config, "topics"), "topics")
        return tuple(TopicWeight(int(topic), float(weight), str(label)) for topic, weight, label in value or ())

    def candidates(self, document: bytes, config: bytes | str | None = None) -> tuple[str, ...]:
        """The keywords that were there to choose from."""
        return tuple(self._last(document, self.resolve(config, "candidates"), "candidates") or ())

    def keywords(self, document: bytes, config: bytes | str | None = None) -> tuple[str, ...]:
        """The chosen keywords of a document."""
        return tuple(self._last(document, self.resolve(config, "keywords"), "keywords") or ())

    def sets(self, document: bytes, config: bytes) -> set[int]:
        """Numbers of the sets that are done, those that failed included."""
        return {r.number for r in self.records(document, config) if r.kind in ("queries", "failed")}

    def records(self, document: bytes, config: bytes) -> list[Record]:
        """Everything about a document under a configuration, in the order in which it was written."""
        number = self._number(config)
        return [self._read(place) for place in self._places.of(document) if place.config == number]

    def all_records(self, config: bytes) -> Iterator[Record]:
        """Every record of a configuration, in the order in which it was written."""
        for place in self._places.under(self._number(config)):
            yield self._read(place)

    def documents(self, config: bytes) -> Iterator[bytes]:
        """The documents that have something under a configuration, each once, in order of appearance."""
        seen: set[bytes] = {NOBODY}
        for place in self._places.under(self._number(config)):
            if place.document not in seen:
                seen.add(place.document)
                yield place.document

    def __len__(self) -> int:
        """Records, of all kinds."""
        return len(self._places)

    @property
    def end(self) -> int:
        """Bytes of the log that hold whole batches, 0 if there is none yet."""
        return self._end

    def _opened(self) -> BinaryIO:
        if not self._packed:
            return self._log.open("rb")
        if not self._data:
            try:
                with lzma.open(self._log) as packed:
                    self._data = packed.read()
            except (lzma.LZMAError, EOFError) as error:
                raise CorruptIndexError(
                    f"{self._log} cannot be unpacked ({error})",
                    expected="a whole .xz file, as written by: twindex expand export",
                    remedy="restore it from a copy",
                ) from error
        return io.BytesIO(self._data)

    def _last(self, document: bytes, config: bytes, kind: Kind) -> Any:
        found = [record.value for record in self.records(document, config) if record.kind == kind]
        return found[-1] if found else None

    def _number(self, config: bytes) -> int:
        """The configuration's number within this open store, -1 if it has none."""
        return self._configs.index(config) if config in self._configs else -1

    def _take(self, start: int, lines: bytes) -> None:
        at = 0
        for line in lines.splitlines(keepends=True):
            try:
                config, document = keys_of(line)
                kind = line[66 : line.index(b" ", 66)].decode("ascii")
            except ValueError as error:
                raise CorruptIndexError(
                    f"{self._log} holds {line[:80]!r} at byte {start + at:,}", expected="a record"
                ) from error
            if config not in self._facts and kind == "config":
                self._facts[config] = parse(line).value
            if config not in self._configs:
                self._configs.append(config)
            self._places.add(document, self._configs.index(config), kind, start + at, len(line))
            at += len(line)

    def _read(self, place: Place) -> Record:
        if self._packed:
            return parse(self._data[place.offset : place.offset + place.length])
        return parse(os.pread(self._handle, place.length, place.offset))

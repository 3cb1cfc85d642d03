"""A snapshot: what one commit consists of, open for reading. Every search runs on one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar

import numpy as np

from twindex.indexing.analysis import get_analyzer
from twindex.indexing.analysis.base import Analyzer
from twindex.indexing.directory import FileDirectory
from twindex.indexing.encoding import Encoder, EncoderInfo, SparseEncoder, SparseEncoderInfo
from twindex.indexing.errors import CorruptIndexError, FingerprintError, UsageError
from twindex.indexing.expansion.info import ExpansionInfo
from twindex.indexing.filter_sql import check_fields
from twindex.indexing.filters import Filter
from twindex.indexing.manifest import MANIFEST_FILE, Manifest, read_manifest
from twindex.indexing.segment import Segment
from twindex.indexing.types import BoolArray, Int32Array, Int64Array, Passage

T = TypeVar("T")
#: Manifests that may be replaced under our feet before we give up; each try needs a new commit.
TRIES: Final = 100


class Snapshot:
    """Immutable view of an index; any number of them, in any number of processes.

    Made by :meth:`open`. Ordinals count the passages of all segments in order, deleted ones included.
    A commit, merge or delete after the opening does not show, and does not disturb.
    """

    def __init__(self, path: Path, manifest: Manifest, analyzer: Analyzer, segments: tuple[Segment, ...]) -> None:
        self.path = path
        self.manifest = manifest
        self.analyzer = analyzer
        self.segments = segments
        sizes = [segment.size for segment in segments]
        #: First ordinal of each segment: int64[segments].
        self.bases: Int64Array = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)[:-1]
        self.size = sum(sizes)

    @classmethod
    def open(cls, path: Path | str) -> Snapshot:
        """The snapshot of the last commit. Cost: milliseconds; checks sizes, not checksums.

        Raises:
            IndexNotFoundError: If there is no index, or none has been committed yet.
            CorruptIndexError: If the manifest was altered, or a file is missing or has another size.
            FormatVersionError: If this release does not read its format version.
            FingerprintError: If the analyzer here is not the one that the index was built with.
        """
        root = Path(path)
        directory = FileDirectory(root)
        manifest = read_manifest(directory, where=str(root))
        for _ in range(TRIES):
            try:
                analyzer = check_analyzer(manifest, root)
                return cls(root, manifest, analyzer, _open_segments(root, manifest))
            except (CorruptIndexError, FileNotFoundError) as error:
                newer = read_manifest(directory, where=str(root))
                if newer.generation == manifest.generation:
                    raise _missing(root, error) from error
                manifest = newer  # a commit removed what the older one named
        raise CorruptIndexError(f"{root} was replaced {TRIES} times while it was opened")

    @property
    def generation(self) -> int:
        """Number of the commit, counted from 1."""
        return self.manifest.generation

    @property
    def live_docs(self) -> int:
        """Passages that are not deleted."""
        return self.manifest.live_docs

    @property
    def live_length(self) -> int:
        """Sum of the token counts of the live passages."""
        return sum(segment.live_length for segment in self.segments)

    @property
    def documents(self) -> int:
        """Documents that are not deleted."""
        return self.manifest.documents

    @property
    def encoder_info(self) -> EncoderInfo | None:
        """The encoder of the vectors; None for an index without them."""
        return self.manifest.config.encoder

    @property
    def sparse_encoder_info(self) -> SparseEncoderInfo | None:
        """The encoder of the learned-sparse leg; None for an index without one."""
        return self.manifest.config.sparse_encoder

    @property
    def expansion_info(self) -> ExpansionInfo | None:
        """Which generated queries stand beside the passages; None for an index without them."""
        return self.manifest.config.expansion

    def is_current(self) -> bool:
        """Whether no commit has happened since this snapshot was opened."""
        try:
            return FileDirectory(self.path).read(MANIFEST_FILE) == self._bytes
        except FileNotFoundError:
            return False

    def check_encoder(self, encoder: Encoder) -> None:
        """Nothing, if queries may be encoded by it.

        Raises:
            FingerprintError: If the index has no vectors, or those of another encoder.
        """
        check_encoder(self.encoder_info, encoder, where=str(self.path))

    def check_sparse_encoder(self, encoder: SparseEncoder) -> None:
        """Nothing, if sparse queries may be encoded by it.

        Raises:
            FingerprintError: If the index has no learned-sparse leg, or that of another encoder.
        """
        check_sparse_encoder(self.sparse_encoder_info, encoder, where=str(self.path))

    def ids(self, ords: Int32Array) -> list[str]:
        """Passage ids, in the order of ``ords``: int32[n]."""
        return self._gather(ords, lambda segment, local: segment.store.ids(local))

    def doc_ids(self, ords: Int32Array) -> list[str]:
        """Document ids, in the order of ``ords``: int32[n]."""
        return self._gather(ords, lambda segment, local: segment.store.doc_ids(local))

    def passages(self, ords: Int32Array) -> list[Passage]:
        """Passages, in the order of ``ords``: int32[n]."""
        return self._gather(ords, lambda segment, local: segment.store.passages(local))

    def records(self, ords: Int32Array) -> list[bytes]:
        """Records of passages as they are stored (JSON; see FORMAT.md), in the order of ``ords``: int32[n]."""
        return self._gather(ords, lambda segment, local: segment.store.records(local))

    def allowed(self, filter: Filter | None = None) -> BoolArray | None:  # noqa: A002, RUF100 - the contract's name
        """Which ordinals are live and match the filter: bool[size], perhaps read-only; None if all are.

        Raises:
            FilterError: If no segment has a field that the filter names.
        """
        if filter is None:
            return self._live
        if not self.segments:
            return np.zeros(0, np.bool_)
        check_fields(filter, sorted({name for segment in self.segments for name in segment.store.fields()}))
        return np.concatenate([_allowed(segment, filter) for segment in self.segments])

    def close(self) -> None:
        """Lets a writer remove segments that only this snapshot uses. A second call does nothing."""
        for segment in self.segments:
            segment.close()

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def _bytes(self) -> bytes:
        return self.manifest.to_bytes()

    @cached_property
    def _live(self) -> BoolArray | None:
        if all(segment.live is None for segment in self.segments):
            return None
        parts = [np.ones(s.size, np.bool_) if s.live is None else s.live for s in self.segments]
        live = np.concatenate(parts)
        live.flags.writeable = False
        return live

    def _gather(self, ords: Int32Array, fetch: Callable[[Segment, Int64Array], list[T]]) -> list[T]:
        wanted = np.asarray(ords, np.int64)
        if not len(wanted):
            return []
        if int(wanted.min()) < 0 or int(wanted.max()) >= self.size:
            raise UsageError(
                f"ordinals {int(wanted.min())} to {int(wanted.max())}",
                expected=f"0 to {self.size - 1}, those of this snapshot",
            )
        if len(self.segments) == 1:
            return fetch(self.segments[0], wanted)
        owners = np.searchsorted(self.bases, wanted, side="right") - 1
        found: dict[int, Iterator[T]] = {}
        for number in np.unique(owners).tolist():
            local = wanted[owners == number] - self.bases[number]
            found[number] = iter(fetch(self.segments[number], local))
        return [next(found[number]) for number in owners.tolist()]


def _allowed(segment: Segment, filter_: Filter) -> BoolArray:
    matching = segment.store.allowed(filter_)
    return matching if segment.live is None else matching & segment.live


def check_analyzer(manifest: Manifest, path: Path) -> Analyzer:
    """The analyzer of the index.

    Raises:
        FingerprintError: If the one of that name here differs from the one of the build.
    """
    analyzer = get_analyzer(manifest.config.analyzer)
    if analyzer.fingerprint != manifest.analyzer_fingerprint:
        raise FingerprintError(
            f"{path} was built with the analyzer {manifest.analyzer_fingerprint!r}",
            expected=f"{analyzer.fingerprint!r}, the {analyzer.name!r} of this release",
            remedy="build the index again",
        )
    return analyzer


def check_encoder(wanted: EncoderInfo | None, encoder: Encoder, *, where: str) -> None:
    """Nothing, if the encoder is the wanted one.

    Raises:
        FingerprintError: If it is not, or none is wanted.
    """
    info = encoder.info
    if wanted is None:
        raise FingerprintError(
            f"{where} has no vectors, but the encoder {info.name!r} was given",
            expected="an index built with that encoder",
            remedy="search it in sparse mode, or build it again with the encoder",
        )
    if info.fingerprint != wanted.fingerprint:
        raise _another(info.name, info.fingerprint, wanted.name, wanted.fingerprint, where)


def check_sparse_encoder(wanted: SparseEncoderInfo | None, encoder: SparseEncoder, *, where: str) -> None:
    """Nothing, if the encoder is the wanted one; its vocabulary and unit of weight count as well.

    Raises:
        FingerprintError: If it is not, or none is wanted.
    """
    info = encoder.info
    if wanted is None:
        raise FingerprintError(
            f"{where} has no impacts, but the sparse encoder {info.name!r} was given",
            expected="an index built with that encoder",
            remedy="build it again with the sparse encoder",
        )
    if info != wanted:
        raise _another(info.name, repr(info), wanted.name, repr(wanted), where)


def _another(name: str, fingerprint: str, wanted: str, wanted_fingerprint: str, where: str) -> FingerprintError:
    return FingerprintError(
        f"encoder {name!r} ({fingerprint})",
        expected=f"{wanted!r} ({wanted_fingerprint}), the encoder of {where}",
        remedy="use that encoder, or build the index again with the new one",
    )


def _open_segments(root: Path, manifest: Manifest) -> tuple[Segment, ...]:
    dim = manifest.config.encoder.dim if manifest.config.encoder else None
    opened: list[Segment] = []
    try:
        for entry in manifest.segments:
            opened.append(Segment(root, entry, dim=dim))  # noqa: PERF401 - those opened must be closed on error
    except BaseException:
        for segment in opened:
            segment.close()
        raise
    return tuple(opened)


def _missing(root: Path, error: Exception) -> CorruptIndexError:
    if isinstance(error, CorruptIndexError):
        return error
    return CorruptIndexError(
        f"{root}: a segment is missing ({error})",
        expected=f"what {MANIFEST_FILE} names",
        remedy="restore the index from a copy, or build it again",
    )

"""The one writer of an index: add, delete, merge, and make it all visible in one step.

Everything between two commits is one transaction. Readers see nothing of it before :meth:`IndexWriter.commit`
returns, and all of it afterwards; a process that dies in between leaves the last commit as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import get_args

from twindex.indexing.analysis import get_analyzer
from twindex.indexing.analysis.base import Analyzer
from twindex.indexing.config import IndexConfig
from twindex.indexing.directory import FileDirectory
from twindex.indexing.encoding import Encoder, SparseEncoder, SparseRows
from twindex.indexing.errors import ConfigError, IndexError_, LockedIndexError, UsageError
from twindex.indexing.expansion.info import QuerySource, check_expansions
from twindex.indexing.lock import WriterLock
from twindex.indexing.manifest import MANIFEST_FILE, Manifest, features_of, read_manifest
from twindex.indexing.recovery import check_vacant, tidy
from twindex.indexing.report import AddReport
from twindex.indexing.snapshot import check_analyzer, check_encoder, check_sparse_encoder
from twindex.indexing.transaction import BATCH, OnDuplicate, Transaction, batches
from twindex.indexing.types import Document, Progress, no_progress


class IndexWriter:
    """The exclusive right to change an index. Made by :meth:`create` or :meth:`open`; not for several threads.

    As a context manager it ends with :meth:`close`: what was not committed is rolled back.
    """

    def __init__(
        self,
        directory: FileDirectory,
        lock: WriterLock,
        *,
        config: IndexConfig,
        analyzer: Analyzer,
        manifest: Manifest | None,
        encoder: Encoder | None,
        sparse_encoder: SparseEncoder | None = None,
        expansions: QuerySource | None = None,
        workers: int | None = None,
    ) -> None:
        self.config = config
        self._directory = directory
        self._lock = lock
        self._analyzer = analyzer
        self._encoder = encoder
        self._sparse_encoder = sparse_encoder
        self._expansions = expansions
        self._workers = workers
        self._manifest = manifest
        self._closed = False
        self._failed = False
        self._transaction = self._begin()

    @classmethod
    def create(
        cls,
        path: Path | str,
        config: IndexConfig | None = None,
        *,
        encoder: Encoder | None = None,
        sparse_encoder: SparseEncoder | None = None,
        expansions: QuerySource | None = None,
        workers: int | None = None,
    ) -> IndexWriter:
        """A writer of a new index. Nothing is an index before the first commit.

        A build that died before its first commit may be run again; it resumes encoding.

        Args:
            path: Folder of the index; made if absent, otherwise empty.
            config: Settings, which stay for the life of the index.
            encoder: The encoder that ``config.encoder`` describes.
            sparse_encoder: The encoder that ``config.sparse_encoder`` describes.
            expansions: The generated queries that ``config.expansion`` describes; passages that it does not know, and
                all passages without it, have none.
            workers: Processes that analyse texts, this one included, at most; None for one a processor. What takes
                no longer than starting a process is analysed in this one, and so is what is encoded as well.

        Raises:
            IndexExistsError: If there is an index, or something else.
            LockedIndexError: If another process builds there.
            FingerprintError: If an encoder or the expansions are not those of the settings.
            ConfigError: If ``workers`` is below 1.
        """
        config = config or IndexConfig()
        root = Path(path)
        analyzer = get_analyzer(config.analyzer)
        if encoder is not None:
            check_encoder(config.encoder, encoder, where=str(root))
        if sparse_encoder is not None:
            check_sparse_encoder(config.sparse_encoder, sparse_encoder, where=str(root))
        check_expansions(config.expansion, expansions, where=str(root))
        _finish_interrupted(root)
        check_vacant(root)
        directory = FileDirectory(root, make=True)
        lock = WriterLock(root)
        try:
            check_vacant(root)  # another process may have committed since
            tidy(directory, None)
            return cls(
                directory,
                lock,
                config=config,
                analyzer=analyzer,
                manifest=None,
                encoder=encoder,
                sparse_encoder=sparse_encoder,
                expansions=expansions,
                workers=workers,
            )
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        encoder: Encoder | None = None,
        sparse_encoder: SparseEncoder | None = None,
        expansions: QuerySource | None = None,
        workers: int | None = None,
    ) -> IndexWriter:
        """A writer of an index that has been committed at least once.

        Args:
            path: Folder of the index.
            encoder: Needed to add documents to an index that has vectors.
            sparse_encoder: Needed to add texts to an index that has impacts.
            expansions: See :meth:`create`.
            workers: See :meth:`create`.

        Raises:
            IndexNotFoundError: If there is no index.
            LockedIndexError: If another process writes.
            CorruptIndexError, FormatVersionError: If the manifest cannot be read.
            FingerprintError: If the analyzer, an encoder or the expansions differ from the index's.
            ConfigError: If ``workers`` is below 1.
        """
        root = Path(path)
        directory = FileDirectory(root)
        read_manifest(directory, where=str(root))  # before a lock file is made where no index is
        lock = WriterLock(root)
        try:
            manifest = read_manifest(directory, where=str(root))
            analyzer = check_analyzer(manifest, root)
            if encoder is not None:
                check_encoder(manifest.config.encoder, encoder, where=str(root))
            if sparse_encoder is not None:
                check_sparse_encoder(manifest.config.sparse_encoder, sparse_encoder, where=str(root))
            check_expansions(manifest.config.expansion, expansions, where=str(root))
            tidy(directory, manifest)
            return cls(
                directory,
                lock,
                config=manifest.config,
                analyzer=analyzer,
                manifest=manifest,
                encoder=encoder,
                sparse_encoder=sparse_encoder,
                expansions=expansions,
                workers=workers,
            )
        except BaseException:
            lock.release()
            raise

    @property
    def generation(self) -> int:
        """Number of the last commit, 0 before the first."""
        return self._manifest.generation if self._manifest else 0

    def add(
        self,
        documents: Iterable[Document],
        *,
        on_duplicate: OnDuplicate = "error",
        progress: Progress = no_progress,
    ) -> AddReport:
        """Adds a stream of documents after those that are there. Memory does not grow with the stream.

        Args:
            documents: Read once.
            on_duplicate: For an id that is live in the index or came earlier in the stream: "error";
                "replace" drops the older document; "skip" drops the newer one.
            progress: Called with the stage "indexing" and the number of documents read.

        Raises:
            DuplicateIdError: If an id is there already and ``on_duplicate`` is "error".
            CorpusError: If a document has no id.
            ConfigError: If the index has vectors and the writer no encoder.
            UsageError: After any error the transaction can only be rolled back.
        """
        _check_policy(on_duplicate)
        total = getattr(documents, "total", None)
        with self._step() as transaction:
            report = transaction.report()
            for batch in batches(documents):
                transaction.add(batch, on_duplicate, report)
                progress("indexing", report.read, total)
        return report

    def add_vectors(
        self, documents: Sequence[Document], rows: SparseRows, *, on_duplicate: OnDuplicate = "error"
    ) -> AddReport:
        """Adds documents whose sparse vectors are known; no sparse encoder is needed. Their texts may be empty.

        Args:
            documents: The documents; call again for more, in batches of some thousands.
            rows: Their sparse vectors, in the same order.
            on_duplicate: See :meth:`add`.

        Raises:
            DuplicateIdError, CorpusError: As :meth:`add` does.
            ConfigError: If the index has no learned-sparse leg, cuts documents into passages or has dense vectors as
                well, or the rows are not sparse vectors over its vocabulary, one a document.
        """
        _check_policy(on_duplicate)
        config = self.config
        if config.sparse_encoder is None or config.encoder is not None or config.chunking.kind != "none":
            raise ConfigError(
                f"sparse vectors for an index with {config!r}",
                expected="a sparse encoder, no dense one, and whole documents as passages",
            )
        rows.check(config.sparse_encoder.vocabulary, len(documents))
        with self._step() as transaction:
            report = transaction.report()
            for start in range(0, len(documents), BATCH):
                batch = documents[start : start + BATCH]
                transaction.add(batch, on_duplicate, report, rows.slice(start, start + len(batch)))
        return report

    def delete(self, doc_ids: Iterable[str]) -> int:
        """Deletes documents with all their passages; the number of those that were there."""
        if isinstance(doc_ids, str):
            raise UsageError(f"the text {doc_ids!r}", expected="several ids", remedy="put it into a list")
        with self._step() as transaction:
            return sum(transaction.delete(batch) for batch in batches(doc_ids))

    def merge(
        self,
        max_segments: int = 1,
        *,
        reorder: bool = False,
        purge: float = 0.0,
        progress: Progress = no_progress,
    ) -> None:
        """Joins neighbouring segments until at most so many are left, and drops deleted passages.

        Args:
            max_segments: Segments to leave, at most.
            reorder: Also find, for each segment, an order in which similar passages stand together, by which the
                compiled engine lays them out; segments that have none are rewritten. No ordinal, id or ranking changes.
            purge: A segment that joins no other is rewritten only if more than this share of its passages is deleted.
            progress: Called with the stage "merging" and the number of passages copied.

        Raises:
            ConfigError: If ``max_segments`` is below 1, or ``purge`` is no share.
            CorruptIndexError: If a file that is to be rewritten was altered.
        """
        if not 0 <= purge <= 1:
            raise ConfigError(f"purge = {purge}", expected="a share from 0 to 1")
        if max_segments < 1:
            raise ConfigError(f"max_segments = {max_segments}", expected="at least 1")
        with self._step() as transaction:
            transaction.merge(max_segments, progress, reorder=reorder, purge=purge)

    def commit(self) -> Manifest:
        """Makes the transaction durable and visible, in one step; the manifest of the index.

        With nothing to commit it gives the last manifest.
        """
        last = self._manifest
        with self._step() as transaction:
            generation = self.generation + 1
            entries = transaction.seal(generation)
            if last is not None and entries == last.segments:
                manifest = last
            else:
                manifest = Manifest(
                    config=self.config,
                    analyzer_fingerprint=self._analyzer.fingerprint,
                    generation=generation,
                    next_segment=transaction.next_segment,
                    segments=entries,
                    required_features=features_of(self.config),
                )
                self._directory.replace(MANIFEST_FILE, manifest.to_bytes())
            self._manifest = manifest
        self._restart()
        return manifest

    def rollback(self) -> None:
        """Forgets everything since the last commit. Encoded vectors are kept for the next attempt."""
        self._check_open()
        self._restart()

    def close(self) -> None:
        """Rolls back what was not committed, and gives the lock back. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            self._transaction.abandon()
            tidy(self._directory, self._manifest)
        finally:
            self._lock.release()

    def __enter__(self) -> IndexWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self) -> Transaction:
        return Transaction(
            self._directory,
            self._manifest,
            config=self.config,
            analyzer=self._analyzer,
            encoder=self._encoder,
            sparse_encoder=self._sparse_encoder,
            expansions=self._expansions,
            workers=self._workers,
        )

    def _restart(self) -> None:
        self._transaction.abandon()
        tidy(self._directory, self._manifest)
        self._transaction = self._begin()
        self._failed = False

    @contextmanager
    def _step(self) -> Iterator[Transaction]:
        """The transaction, which becomes unusable if the step fails in the middle."""
        self._check_open()
        if self._failed:
            raise UsageError(
                "a transaction of which a step failed",
                expected="a rollback",
                remedy="call rollback() and begin again",
            )
        self._failed = True
        yield self._transaction
        self._failed = False

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError("a closed writer", expected="an open one", remedy="open the index again")


def _check_policy(on_duplicate: str) -> None:
    if on_duplicate not in get_args(OnDuplicate):
        raise ConfigError(f"on_duplicate={on_duplicate!r}", expected="error, replace or skip")


def _finish_interrupted(root: Path) -> None:
    """Removes what a writer that died right after its commit left, if there is an index and no writer."""
    directory = FileDirectory(root)
    if not directory.exists(MANIFEST_FILE):
        return
    try:
        lock = WriterLock(root)
    except (LockedIndexError, OSError):  # a living writer tidies up by itself
        return
    try:
        tidy(directory, read_manifest(directory, where=str(root)))
    except IndexError_:  # not ours to mend; what is there already is reported by the caller
        return
    finally:
        lock.release()

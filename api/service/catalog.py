"""The indexes of a server: one that was named, or all in a folder; each opened at its first use."""

from __future__ import annotations

import logging
import re
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from twindex.api.refusals import ConflictError, ForbiddenError, NotThereError
from twindex.api.service.encoders import EncoderPool
from twindex.api.service.memory import give_back
from twindex.api.service.served import STATE_FOLDER, ServedIndex
from twindex.indexing.config import IndexConfig
from twindex.indexing.directory import sync_path
from twindex.indexing.errors import ConfigError, IndexError_, IndexNotFoundError
from twindex.indexing.manifest import MANIFEST_FILE
from twindex.indexing.snapshot import Snapshot

if TYPE_CHECKING:
    from twindex.rag.generator import Generator

log = logging.getLogger(__name__)

#: Names of indexes: nothing that a path could be made of.
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
#: Seconds between looks for new commits.
EVERY: Final = 0.2
#: Seconds between times that memory goes back to the system, while there are new commits.
GIVE_BACK: Final = 10.0
DEFAULT_NAME: Final = "default"


@dataclass(frozen=True, slots=True)
class Place:
    """What is served: an index, or a folder of indexes. ``default``: the index that unnamed requests mean."""

    path: Path
    single: bool
    default: str = ""

    @property
    def state(self) -> Path:
        """Folder of keys, tasks and snapshots."""
        return self.path / STATE_FOLDER


def place_of(path: Path, *, root: bool = False, default: str = "") -> Place:
    """What a directory is.

    Args:
        path: The directory.
        root: Whether it is a folder of indexes, even if there is none yet; it is made if absent.
        default: The index that unnamed requests mean.

    Raises:
        IndexNotFoundError: If it is neither an index nor a folder of indexes.
    """
    if root:
        if (path / MANIFEST_FILE).exists():
            raise ConfigError(f"{path} is an index", expected="a folder of indexes", remedy="leave --root out")
        path.mkdir(parents=True, exist_ok=True)
        return Place(path, single=False, default=default)
    if not (path / MANIFEST_FILE).exists():
        children = sorted(path.glob(f"*/{MANIFEST_FILE}")) if path.is_dir() else []
        if children or (path / STATE_FOLDER).is_dir():
            return Place(path, single=False, default=default)
    with Snapshot.open(path):
        pass
    name = path.resolve().name
    return Place(path, single=True, default=name if NAME.fullmatch(name) else DEFAULT_NAME)


class Catalog:
    """The open indexes of a server. Safe for threads.

    Args:
        place: What is served.
        encoders: Shared encoders.
        generator: Finds what writes answers.
        profile: How hybrid searches fuse.
        refresh_seconds: How often to look for newer commits, 0 = never.
    """

    def __init__(
        self,
        place: Place,
        *,
        encoders: EncoderPool,
        generator: Callable[[], Generator],
        profile: Path | None = None,
        refresh_seconds: float = EVERY,
    ) -> None:
        self.place = place
        self.encoders = encoders
        self._generator = generator
        self._profile = profile
        self._open: dict[str, ServedIndex] = {}
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._seconds = refresh_seconds
        self._follower = threading.Thread(target=self._follow, name="follower", daemon=True)

    def start(self) -> None:
        """Opens what is there, and begins to follow commits.

        Raises:
            IndexError_: If the one index that is served cannot be opened.
        """
        for name in self.names():
            try:
                self.get(name)
            except IndexError_:
                if self.place.single:
                    raise
                log.exception("index %s cannot be opened", name)
        if self._seconds:
            self._follower.start()

    def names(self) -> list[str]:
        """Names of all indexes, sorted."""
        if self.place.single:
            return [self.place.default]
        found = (path.parent.name for path in self.place.path.glob(f"*/{MANIFEST_FILE}"))
        return sorted(name for name in found if NAME.fullmatch(name))

    def peek(self, name: str) -> ServedIndex | None:
        """The index of that name if it is open."""
        return self._open.get(name)

    def get(self, name: str | None = None) -> ServedIndex:
        """The index of that name; None = the one that unnamed requests mean.

        Raises:
            NotThereError: If there is none.
            IndexError_: If it cannot be opened.
        """
        if name is None:
            name = self.default()
        served = self._open.get(name)
        if served is not None:
            return served
        if not NAME.fullmatch(name) or (self.place.single and name != self.place.default):
            raise _no_index(name)
        with self._lock:
            served = self._open.get(name)
            if served is None:
                served = self._open[name] = self._make(name)
            return served

    def default(self) -> str:
        """Name of the index that unnamed requests mean.

        Raises:
            NotThereError: If there is none, or more than one.
        """
        if self.place.default:
            return self.place.default
        names = self.names()
        if len(names) != 1:
            raise NotThereError(
                f"{len(names)} indexes, and the request names none",
                expected="an address with /v1/indexes/NAME",
                remedy="name the index, or start the server with --default NAME",
            )
        return names[0]

    def opened(self) -> list[ServedIndex]:
        """Those that are open, by name."""
        return [self._open[name] for name in sorted(self._open)]

    def create(self, name: str, config: IndexConfig) -> tuple[ServedIndex, bool]:
        """An empty index; whether it is new. One with the same settings may be there already.

        Raises:
            ForbiddenError: If one index is served.
            ConflictError: If there is one with other settings.
            ConfigError: If the name cannot be one.
        """
        if self.place.single:
            raise _single()
        check_name(name)
        with self._lock:
            path = self.place.path / name
            if (path / MANIFEST_FILE).exists():
                served = self.get(name)
                if served.searcher.snapshot.manifest.config != config:
                    raise ConflictError(
                        f"index {name!r} is there with other settings",
                        expected="the settings that it was made with",
                        remedy="choose another name, or delete it first",
                    )
                return served, False
            from twindex.indexing.writer import IndexWriter  # a server that only reads does without

            encoder, sparse = self.encoders.of(config)
            with IndexWriter.create(path, config, encoder=encoder, sparse_encoder=sparse) as writer:
                writer.commit()
            sync_path(self.place.path)
            return self.get(name), True

    def delete(self, name: str) -> None:
        """Removes an index with everything in it but its snapshots.

        Raises:
            ForbiddenError: If one index is served.
            NotThereError: If there is none of that name.
        """
        if self.place.single:
            raise _single()
        with self._lock:
            self.get(name).close()
            self._open.pop(name, None)
            trash = self.place.state / "trash" / f"{name}-{time.time_ns()}"
            trash.parent.mkdir(parents=True, exist_ok=True)
            (self.place.path / name).rename(trash)  # in one step: nobody sees half an index
        shutil.rmtree(trash, ignore_errors=True)

    def snapshots(self, name: str) -> Path:
        """Folder of the snapshots of an index."""
        return self.place.state / "snapshots" / name

    def close(self) -> None:
        """Closes all indexes."""
        self._stop.set()
        if self._follower.is_alive():
            self._follower.join()
        with self._lock:
            for served in self._open.values():
                served.close()
            self._open.clear()

    def _make(self, name: str) -> ServedIndex:
        path = self.place.path if self.place.single else self.place.path / name
        if not self.place.single and not (path / MANIFEST_FILE).exists():
            raise _no_index(name)
        return ServedIndex(
            name,
            path,
            encoders=self.encoders,
            generator=self._generator,
            profile=self._profile,
            snapshots=self.snapshots(name),
        )

    def _follow(self) -> None:
        """Swaps in every newer commit. A failing look is logged once and tried again."""
        problems: dict[str, Any] = {}
        before, then = 0, time.monotonic()
        while not self._stop.wait(self._seconds):
            commits = sum(served.searcher.snapshot.generation for served in self.opened())
            if commits != before and time.monotonic() - then > GIVE_BACK:
                give_back()  # what older snapshots, their lists in memory and merges took
                before, then = commits, time.monotonic()
            for served in self.opened():
                try:
                    if served.follow():
                        log.info("%s: now serving generation %s", served.name, served.searcher.snapshot.generation)
                    problems.pop(served.name, None)
                except IndexNotFoundError:
                    self._gone(served)
                except Exception as error:  # the server goes on with the snapshot it holds
                    if problems.get(served.name) != str(error):
                        log.exception("could not refresh %s", served.name)
                    problems[served.name] = str(error)

    def _gone(self, served: ServedIndex) -> None:
        """Another process removed the index."""
        if self.place.single:
            return
        with self._lock:
            if self._open.get(served.name) is served:
                del self._open[served.name]
        served.close()


def check_name(name: str) -> str:
    """The same name.

    Raises:
        ConfigError: If no index can have it.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(f"index name {name[:80]!r}", expected="1 to 64 letters, digits, _ and -, the first no sign")
    return name


def _no_index(name: str) -> NotThereError:
    return NotThereError(f"no index {name[:80]!r}", expected="the name of an index", remedy="see GET /v1/indexes")


def _single() -> ForbiddenError:
    return ForbiddenError(
        "this server serves one index",
        expected="a server over a folder of indexes",
        remedy="start it with: twindex serve FOLDER --root",
    )

"""Fetching collections: with checksum, progress and resumption; into place only when complete."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

from twindex.indexing import optional
from twindex.indexing.errors import CorpusError, ServiceError
from twindex.indexing.types import Progress, no_progress

CHUNK = 1 << 20
#: Seconds without a byte after which a server counts as gone.
TIMEOUT = 30.0


def fetch(url: str, target: Path, *, md5: str = "", progress: Progress = no_progress) -> None:
    """Download a file, going on where an earlier attempt stopped; nothing to do if it is there and right.

    Args:
        url: What to get.
        target: Where it goes when it is complete; until then the bytes are in ``target.part``.
        md5: Expected digest, as published; "" trusts the length that the server states.
        progress: Called with bytes so far, and their total if the server says it.

    Raises:
        ServiceError: If the server cannot be reached, refuses, stops early, or sends other bytes.
    """
    if target.exists() and (not md5 or _md5(target) == md5):
        return
    part = target.with_name(target.name + ".part")
    httpx = optional.load("httpx", purpose="downloading")
    try:
        _receive(httpx, url, part, progress)
    except httpx.HTTPError as error:
        raise ServiceError(f"{url}: {type(error).__name__} {error}".strip()) from error
    if md5 and (found := _md5(part)) != md5:
        part.unlink()
        raise ServiceError(f"{url}: md5 {found}", expected=md5)
    os.replace(part, target)


def unzip_member(archive: Path, inside: str, target: Path) -> None:
    """Put one folder of a zip archive in place, whole or not at all.

    Raises:
        CorpusError: If the archive is damaged or lacks the folder, or a name in it points elsewhere.
    """
    staging = target.with_name(target.name + ".unpacking")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as zipped:
            names = [n for n in zipped.namelist() if n.startswith(f"{inside}/") and not n.endswith("/")]
            if not names:
                raise CorpusError(f"no folder {inside} in the archive", path=str(archive))
            for name in names:
                _extract(zipped, name, staging / name.removeprefix(f"{inside}/"), staging)
    except zipfile.BadZipFile as error:
        raise CorpusError(f"a damaged archive ({error})", path=str(archive)) from error
    os.replace(staging, target)


def nano_folder(pattern: str, target: Path, progress: Progress = no_progress) -> None:
    """Make a folder in BEIR's layout from the three Parquet tables of a NanoBEIR set.

    Args:
        pattern: Address with ``{part}`` for corpus, queries and qrels.
        target: The folder.
        progress: Called while bytes arrive.

    Raises:
        ServiceError: If a table cannot be fetched.
    """
    duckdb = optional.load("duckdb", purpose="reading Parquet files")
    staging = target.with_name(target.name + ".unpacking")
    (staging / "qrels").mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        for part in ("corpus", "queries", "qrels"):
            table = staging / f"{part}.parquet"
            fetch(pattern.format(part=part), table, progress=progress)
            connection.execute(f"create view {part} as select * from read_parquet('{_quoted(table)}')")
        for part in ("corpus", "queries"):
            out = _quoted(staging / f"{part}.jsonl")
            connection.execute(f"copy (select _id, text from {part}) to '{out}' (format json)")
        out = _quoted(staging / "qrels" / "test.tsv")
        rows = 'select "query-id", "corpus-id", 1 as score from qrels'
        connection.execute(f"copy ({rows}) to '{out}' (format csv, delimiter '\t', header)")
    for part in ("corpus", "queries", "qrels"):
        (staging / f"{part}.parquet").unlink()
    os.replace(staging, target)


def _receive(httpx: Any, url: str, part: Path, progress: Progress) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with httpx.stream("GET", url, headers=headers, timeout=TIMEOUT, follow_redirects=True) as response:
        if response.status_code == 416:  # nothing beyond what is here: the checksum decides
            return
        if response.status_code not in (200, 206):
            raise ServiceError(f"{url}: status {response.status_code}", expected="200")
        resumed = response.status_code == 206 and _starts_at(response, have)
        done = have if resumed else 0
        length = response.headers.get("Content-Length", "")
        total = done + int(length) if length.isdigit() else None
        with part.open("ab" if resumed else "wb") as file:
            for chunk in response.iter_bytes():  # as they arrive: what is here survives an interruption
                file.write(chunk)
                done += len(chunk)
                progress("download", done, total)
    if total is not None and done != total and "Content-Encoding" not in response.headers:
        raise ServiceError(f"{url}: {done} of {total} bytes", remedy="run it again to resume")


def _starts_at(response: Any, have: int) -> bool:
    return str(response.headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _extract(zipped: zipfile.ZipFile, name: str, path: Path, staging: Path) -> None:
    if not path.resolve().is_relative_to(staging.resolve()):
        raise CorpusError(f"a name that points out of the archive: {name}", path=str(zipped.filename))
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipped.open(name) as source, path.open("wb") as out:
        shutil.copyfileobj(source, out, CHUNK)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _quoted(path: Path) -> str:
    """The path within a SQL literal; COPY takes no parameters."""
    return str(path).replace("'", "''")

"""Public collections by name: what their splits are, which self-match rule they need, where they come from.

The facts are in ``datasets.json``: the 18 sets of BEIR (Thakur et al., NeurIPS 2021), the twelve forums of
CQADupStack as sets of their own, and the 13 of NanoBEIR. Counts are the published ones; ``documents`` 0
means that none was published. ``self_match`` marks sets whose queries are documents of the collection:
there a query must not find itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from twindex.eval.beir import LAYOUT, Dataset
from twindex.eval.download import fetch, nano_folder, unzip_member
from twindex.indexing.errors import ConfigError, CorpusError, ServiceError
from twindex.indexing.types import Progress, no_progress


@dataclass(frozen=True, slots=True)
class Collection:
    """One public collection.

    ``split`` is the one that is reported in the literature. ``url`` is an archive with the folder ``inside``;
    ``parquet`` a pattern of three tables; with neither, the collection cannot be fetched, and ``note`` says why.
    """

    name: str
    group: str
    split: str
    splits: tuple[str, ...]
    queries: int
    documents: int
    self_match: bool
    url: str = ""
    md5: str = ""
    inside: str = ""
    parquet: str = ""
    note: str = ""


@cache
def collections() -> dict[str, Collection]:
    """All known collections by name, in their published order."""
    text = (Path(__file__).parent / "datasets.json").read_text(encoding="utf-8")
    rows = [Collection(**(row | {"splits": tuple(row["splits"])})) for row in json.loads(text)]
    return {row.name: row for row in rows}


def collection(name: str) -> Collection | None:
    """The known collection of that name; None if it is not a public one."""
    return collections().get(name)


def report_split(dataset: Dataset) -> str:
    """The split to report: the literature's, "test" where there is one, else "dev", else the only one.

    Raises:
        ConfigError: If none of these is there; the message lists the splits.
    """
    known = collection(dataset.name)
    wanted = [known.split] if known else []
    for split in (*wanted, "test", "dev"):
        if split in dataset.splits:
            return split
    if len(dataset.splits) == 1:
        return dataset.splits[0]
    raise ConfigError(f"no split given for {dataset.name}", expected=f"one of {', '.join(dataset.splits)}")


def drops_self_matches(dataset: Dataset) -> bool:
    """Whether a query of the set must not find the document of its own id."""
    known = collection(dataset.name)
    return known is not None and known.self_match


def find_dataset(
    name: str | Path,
    *,
    root: Path | None = None,
    download: bool = False,
    progress: Progress = no_progress,
) -> Dataset:
    """A data set by path or by name.

    Args:
        name: A folder in BEIR's layout, or the name of a known collection.
        root: Folder that holds collections by name, and into which they are downloaded.
        download: Whether to fetch a known collection that is not in ``root``.
        progress: Called while bytes arrive.

    Raises:
        CorpusError: If there is no such folder, and it is not a known name.
        ServiceError: If the download fails; the message names the folder that would do instead.
    """
    for path in _places(str(name), root):
        if path.is_dir():
            return Dataset(path, str(name) if str(name) in collections() else "")
    known = collection(str(name))
    if known is None:
        raise CorpusError(
            "neither a folder nor a known collection",
            path=str(name),
            expected=LAYOUT,
            remedy="known collections: twindex eval beir --list",
        )
    target = (root or Path()) / known.name
    if not download or not (known.url or known.parquet):
        why = known.note or "it is not here, and downloading was not asked for"
        raise CorpusError(f"no data for {known.name}: {why}", path=str(target), expected=f"there {LAYOUT}")
    try:
        return _download(known, root or Path(), progress)
    except ServiceError as error:
        raise ServiceError(
            f"{known.name} could not be downloaded ({error.given})",
            expected=f"the network, or at {target} {LAYOUT}",
            remedy="run the same command again to resume",
        ) from error


def _places(name: str, root: Path | None) -> list[Path]:
    places = [Path(name)]
    if root is not None and not Path(name).is_absolute():
        places.append(root / name)
        if name.startswith("cqadupstack-"):
            places.append(root / "cqadupstack" / name.removeprefix("cqadupstack-"))
    return places


def _download(known: Collection, root: Path, progress: Progress) -> Dataset:
    root.mkdir(parents=True, exist_ok=True)
    target = root / known.name
    if known.parquet:
        nano_folder(known.parquet, target, progress)
    else:
        archive = root / known.url.rpartition("/")[2]
        fetch(known.url, archive, md5=known.md5, progress=progress)
        unzip_member(archive, known.inside, target)
    return Dataset(target, known.name)

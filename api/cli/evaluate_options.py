"""What the commands of ``twindex eval`` share: options, and how names become data sets, encoders and stores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from twindex.api.cli.plain import emit_json
from twindex.api.settings import Settings
from twindex.eval.beir import Dataset
from twindex.eval.irdatasets import from_ir_datasets
from twindex.eval.recorded import PREFIX, recorded_sides
from twindex.eval.registry import find_dataset
from twindex.indexing.config import IndexConfig
from twindex.indexing.encoders.find import DEFAULT_ENCODER
from twindex.indexing.encoders.resolve import resolve_encoder
from twindex.indexing.encoders.resolve_sparse import resolve_legs
from twindex.indexing.encoding import Encoder, SparseEncoder
from twindex.indexing.errors import ConfigError, IndexNotFoundError
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Progress

#: Before the names of ir_datasets.
IRDS: Final = "irds:"
#: Where a JSON document goes when it is to be printed.
STDOUT = Path("-")

JsonFile = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write one JSON document; '-' prints it.", show_default=False),
]
DataFolder = Annotated[
    Path | None,
    typer.Option("--data", help="Folder of collections by name.", show_default="$TWINDEX_DATA"),
]
CacheFolder = Annotated[
    Path | None,
    typer.Option("--cache", help="Folder for indexes, vectors and legs.", show_default="$TWINDEX_CACHE/eval"),
]
ResultsFile = Annotated[
    Path | None,
    typer.Option("--results", help="DuckDB file of all runs.", show_default="results.duckdb in the cache"),
]
EncoderName = Annotated[str, typer.Option("--encoder", metavar="NAME", help="Dense encoder.")]
OwnEncoderName = Annotated[
    str | None,
    typer.Option("--encoder", metavar="NAME", help="Dense encoder.", show_default="the index's, else the default"),
]
SparseEncoderName = Annotated[
    str | None,
    typer.Option(
        "--sparse-encoder",
        metavar="NAME|DIR",
        help="Encoder of a learned-sparse leg, which an index has then; see: twindex index --sparse",
        show_default="the index's, else none",
    ),
]
Device = Annotated[str | None, typer.Option("--device", help="Where to encode: cpu, cuda, cuda:N.", show_default="cpu")]
Split = Annotated[str, typer.Option("--split", help="Judged split.", show_default="the one that is reported")]
Measures = Annotated[str, typer.Option("--measures", help="Also as in AP@100, Success@5, P(rel=2)@10, judged@10.")]

DEFAULT: Final = DEFAULT_ENCODER
MEASURES: Final = "nDCG@10 R@100 AP RR@10"


def cache_folder(given: Path | None) -> Path:
    """The folder for what can be made again."""
    return given or Settings.from_environment().cache / "eval"


def results_file(given: Path | None, cache: Path) -> Path:
    """The store of results."""
    return given or cache / "results.duckdb"


def data_folder(given: Path | None) -> Path | None:
    """The folder of collections, None if there is none."""
    return given or Settings.from_environment().data


def needed_data_folder(given: Path | None) -> Path:
    """The folder of collections.

    Raises:
        ConfigError: If none was given, or it is not there.
    """
    folder = data_folder(given)
    if folder is None or not folder.is_dir():
        raise ConfigError(
            f"folder of collections {folder}" if folder else "no folder of collections",
            expected="a folder that holds collections in BEIR's layout by name",
            remedy="name it with --data, or set TWINDEX_DATA",
        )
    return folder


def dataset_from(name: str, data: Path | None, *, download: bool = False, progress: Progress) -> Dataset:
    """A data set by path, by name, or as "irds:NAME" from the ir_datasets package."""
    if name.startswith(IRDS):
        root = data_folder(data) or cache_folder(None) / "irds"
        return from_ir_datasets(name.removeprefix(IRDS), root)
    return find_dataset(name, root=data_folder(data), download=download, progress=progress)


def index_encoders(
    index: Path | None, encoder: str | None, sparse: str | None, *, dense: bool = True, device: str | None = None
) -> tuple[Encoder | None, SparseEncoder | None]:
    """The encoders of a run: those that are named, else those of the index, if there is one, else the default.

    "recorded:DIR" stands for vectors that were made elsewhere; see :mod:`twindex.eval.recorded`.

    Args:
        index: Folder that may hold an index.
        encoder: Name of the dense encoder.
        sparse: Name of the sparse encoder.
        dense: Whether a dense leg is searched.
        device: Where the dense encoder runs.

    Raises:
        ModelNotFoundError: If one is not here.
    """
    config = _config_of(index)
    meaning, words = encoder, sparse
    if meaning is None:
        meaning = DEFAULT if config is None else config.encoder.name if config.encoder else None
    if words is None and config is not None and config.sparse_encoder is not None:
        words = config.sparse_encoder.name
    if meaning is not None and meaning.startswith(PREFIX):
        both = recorded_sides(Path(meaning.removeprefix(PREFIX)))
        return both[0] if dense else None, both[1] if words == meaning else resolve_legs(None, words)[1]
    if device is not None and dense and meaning is not None:
        return encoder_from(meaning, device), resolve_legs(None, words)[1]
    return resolve_legs(meaning if dense else None, words)


def _config_of(index: Path | None) -> IndexConfig | None:
    """The settings of an index; None if there is none yet."""
    if index is None:
        return None
    try:
        with Snapshot.open(index) as snapshot:
            return snapshot.manifest.config
    except IndexNotFoundError:
        return None


def encoder_from(name: str, device: str | None = None) -> Encoder:
    """The encoder of that name."""
    return resolve_encoder(name, device=device)


def tell(value: Any, target: Path | None) -> bool:
    """Write a JSON document where it was asked for; whether standard output is taken by it."""
    if target is None:
        return False
    if target == STDOUT:
        emit_json(value)
        return True
    text = json.dumps(value, ensure_ascii=False, indent=1)
    target.write_bytes((text + "\n").encode("utf-8", "backslashreplace"))
    return False

"""Models that come with this package: folders of ``twindex/indexing/models``, each with a manifest of its files.

Run as ``python -m twindex.indexing.encoders.shipped FOLDER KIND`` it writes the manifest of a folder.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from twindex.indexing.encoders.digests import file_sha256
from twindex.indexing.errors import CorruptIndexError

MODELS: Final = Path(__file__).resolve().parent.parent / "models"
MANIFEST: Final = "MANIFEST.json"
#: What every model of the package has beside its weights.
PAPERS: Final = ("LICENSE", "MODEL_CARD.md", "NOTICE")
#: Files that are not read when a model is opened; the weights are checked by whoever loads them.
LARGE: Final = (".onnx",)


@dataclass(frozen=True, slots=True)
class ShippedModel:
    """One model of the package: its name, its kind ("twin" or "rerank"), and the sha256 of each of its files."""

    name: str
    kind: str
    files: dict[str, str]


def shipped_models(kind: str = "") -> list[str]:
    """Names of the models that come with this package, of one kind if it is given.

    Raises:
        CorruptIndexError: If a kind is asked for and a manifest cannot be read.
    """
    found = [folder for folder in sorted(MODELS.glob("*")) if (folder / MANIFEST).is_file()]
    return [folder.name for folder in found if not kind or read_manifest(folder).kind == kind]


def shipped_folder(name: str) -> Path | None:
    """The folder of a model of the package, its small files checked; None if there is none of that name.

    Raises:
        CorruptIndexError: If a file is missing or is not the one of the manifest.
    """
    folder = MODELS / name
    if not name or name != Path(name).name or not (folder / MANIFEST).is_file():
        return None
    check_folder(folder, weights=False)
    return folder


def check_folder(folder: Path, *, weights: bool = True) -> ShippedModel:
    """Compare the files of a model with its manifest; without ``weights`` the large ones are only looked for.

    Raises:
        CorruptIndexError: If a file is missing or is not the one of the manifest.
    """
    model = read_manifest(folder)
    for name, wanted in model.files.items():
        path = folder / name
        if not path.is_file():
            raise _altered(path, "is missing", f"the file of {model.name}")
        if weights or path.suffix not in LARGE:
            digest = file_sha256(path)
            if digest != wanted:
                raise _altered(path, f"has the sha256 {digest}", wanted)
    return model


def read_manifest(folder: Path) -> ShippedModel:
    """The manifest of a model's folder.

    Raises:
        CorruptIndexError: If it cannot be read.
    """
    path = folder / MANIFEST
    try:
        values: dict[str, Any] = json.loads(path.read_bytes())
        files = {str(name): str(digest) for name, digest in values["files"].items()}
        return ShippedModel(str(values["name"]), str(values["kind"]), files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _altered(path, f"cannot be read ({error})", "name, kind and files") from error


def write_manifest(folder: Path, kind: str) -> ShippedModel:
    """Write the manifest of the files that are in the folder now."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != MANIFEST)
    model = ShippedModel(folder.name, kind, {name: file_sha256(folder / name) for name in names})
    content = {"name": model.name, "kind": model.kind, "files": model.files}
    (folder / MANIFEST).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return model


def _altered(path: Path, what: str, expected: str) -> CorruptIndexError:
    return CorruptIndexError(f"{path} {what}", expected=expected, remedy="install the package again")


if __name__ == "__main__":
    write_manifest(Path(sys.argv[1]).resolve(), sys.argv[2])

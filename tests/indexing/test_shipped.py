"""Models that come with the package: their manifests, what is checked and when, and names that resolve to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from twindex.indexing.encoders import shipped
from twindex.indexing.encoders.resolve import resolve_encoder
from twindex.indexing.encoders.resolve_sparse import resolve_legs, resolve_sparse_encoder
from twindex.indexing.encoders.sparse_hashing import SparseHashingEncoder
from twindex.indexing.errors import ConfigError, CorruptIndexError, ModelNotFoundError

#: All models of the package together, in bytes.
ROOM = 60_000_000


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    for name in ("model.onnx", "twin.json", *shipped.PAPERS):
        (folder / name).write_text(f"{name} of a test")
    shipped.write_manifest(folder, "twin")
    monkeypatch.setattr(shipped, "MODELS", folder.parent)
    return folder.parent


def test_a_model_is_found_by_name_with_its_small_files_checked(models: Path) -> None:
    assert shipped.shipped_models() == ["tiny"]
    assert shipped.shipped_models("rerank") == []
    assert shipped.shipped_folder("tiny") == models / "tiny"
    for name in ("", "other", "../models/tiny", "tiny/"):
        assert shipped.shipped_folder(name) is None
    (models / "tiny" / "model.onnx").write_text("other weights")
    assert shipped.shipped_folder("tiny") is not None  # weights are checked by whoever reads them
    with pytest.raises(CorruptIndexError, match=r"model\.onnx has the sha256"):
        shipped.check_folder(models / "tiny")


@pytest.mark.parametrize("damage", ["altered", "gone", "manifest"])
def test_damage_is_named_with_its_remedy(models: Path, damage: str) -> None:
    path = models / "tiny" / (shipped.MANIFEST if damage == "manifest" else "twin.json")
    if damage == "gone":
        path.unlink()
    else:
        path.write_text("{")
    with pytest.raises(CorruptIndexError, match=path.name) as caught:
        shipped.shipped_folder("tiny")
    assert "install" in caught.value.remedy


def test_manifests_are_the_same_every_time(models: Path) -> None:
    path = models / "tiny" / shipped.MANIFEST
    first = path.read_bytes()
    model = shipped.write_manifest(models / "tiny", "twin")
    assert path.read_bytes() == first
    assert sorted(model.files) == sorted(["model.onnx", "twin.json", *shipped.PAPERS])


def test_what_the_package_has_is_whole_licensed_and_small() -> None:
    folders = [path for path in sorted(shipped.MODELS.glob("*")) if path.is_dir()]
    assert [path.name for path in folders] == shipped.shipped_models()
    total = 0
    for folder in folders:
        model = shipped.check_folder(folder)
        assert set(shipped.PAPERS) <= set(model.files)
        on_disk = {path.name for path in folder.iterdir()} - {shipped.MANIFEST}
        assert on_disk == set(model.files)
        total += sum(path.stat().st_size for path in folder.iterdir())
    assert total <= ROOM


def test_names_that_are_nowhere_say_where_was_looked() -> None:
    with pytest.raises(ModelNotFoundError, match="own models"):
        resolve_encoder("no-such-model")
    with pytest.raises(ModelNotFoundError, match="no twin encoder 'no-such-twin'"):
        resolve_sparse_encoder("no-such-twin")
    with pytest.raises(ModelNotFoundError):
        resolve_sparse_encoder("a\0b")
    with pytest.raises(ConfigError, match="sparse-hashing"):
        resolve_sparse_encoder("sparse-hashing:many")


def test_sparse_encoders_by_name() -> None:
    assert resolve_sparse_encoder("sparse-hashing:64").info == SparseHashingEncoder(64).info
    dense, sparse = resolve_legs("hashing:16", "sparse-hashing")
    assert dense is not None
    assert sparse is not None
    assert (dense.info.dim, sparse.info) == (16, SparseHashingEncoder().info)
    assert resolve_legs(None, None) == (None, None)

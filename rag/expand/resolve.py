"""From a name to a generator that takes batches."""

from __future__ import annotations

from pathlib import Path

from twindex.indexing.errors import ConfigError, ModelNotFoundError
from twindex.rag.batch import BatchGenerator, Threaded
from twindex.rag.generators.torch_batch import TorchBatchGenerator, TorchConfig
from twindex.rag.resolve import FORMS, resolve_generator


def resolve_batch_generator(
    spec: str, *, workers: int = 4, rows: int = 512, device: str = "auto", api_key: str = "", timeout: float = 120.0
) -> BatchGenerator:
    """The batch generator that a name stands for.

    Args:
        spec: "torch:FILE" for a GGUF model on torch, made for a GPU; or as :func:`resolve_generator` takes it.
        workers: Requests in flight, for an endpoint.
        rows: Samples in work at a time, for torch.
        device: For torch: "auto", "cpu" or "cuda".
        api_key: For an endpoint that wants one.
        timeout: Seconds of silence before an endpoint is given up.

    Raises:
        ConfigError: If the name has none of these forms, or names what cannot write.
        ModelNotFoundError: If a model file is not there.
        MissingExtraError: If a package is not installed.
        DeviceError: If the device is not there.
    """
    kind, _, rest = spec.strip().partition(":")
    if kind == "torch" and rest:
        path = Path(rest).expanduser()
        if not path.is_file():
            raise ModelNotFoundError(f"no file {path}", expected="a GGUF model file", remedy="check the path")
        return TorchBatchGenerator(TorchConfig(path, device=device, rows=rows))
    if kind in ("extractive", ""):
        raise ConfigError(
            f"generator {spec!r} writes no queries",
            expected="one of " + ", ".join([*FORMS[1:], "torch:FILE"]),
            remedy="name a language model with --generator, or take --method keywords, which needs none",
        )
    return Threaded(resolve_generator(spec, api_key=api_key, timeout=timeout), workers=workers)

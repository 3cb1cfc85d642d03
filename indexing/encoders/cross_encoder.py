"""A cross-encoder at work: how well a text answers a query, one pair a pass, a long text by its best window.

A folder of one holds ``model.onnx`` (the graph of :mod:`twindex.indexing.encoders.pair_graph`) and ``rerank.json``,
which names it by sha256. Pairs run one by one, as texts do in ``onnx.py``: a score depends neither on the other texts
of the call nor on the number of threads.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np

from twindex.indexing.encoders.bert_graph import INPUT
from twindex.indexing.encoders.digests import fingerprint
from twindex.indexing.encoders.find import DEFAULT_RERANKER
from twindex.indexing.encoders.onnx import available_processors, for_each, make_session
from twindex.indexing.encoders.pair_graph import KINDS, LOGIT
from twindex.indexing.encoders.shipped import shipped_folder, shipped_models
from twindex.indexing.encoders.tokenizer import SPECIALS, TextTokenizer
from twindex.indexing.encoders.windows import Windows
from twindex.indexing.errors import ConfigError, CorruptIndexError, ModelNotFoundError
from twindex.indexing.types import Float32Array, Int64Array

MODEL, ABOUT = "model.onnx", "rerank.json"
KIND: Final = "rerank"
#: Tokens of a pair, special ones included, where the folder does not say.
DEFAULT_LENGTH: Final = 256
#: Raised whenever the same files would give other scores.
VERSION: Final = 1


class CrossEncoder:
    """Scores pairs of texts.

    Args:
        model: The serialised graph.
        max_length: Tokens of a pair, special ones included. A query keeps half of them at most, the text gets the rest.
        windows: Where a text is read; its score is that of its best window. None = at its beginning, as far as it goes.
        name: What it is called.
        digest: Hash of the model.
        threads: Pairs that run at the same time; None = the processors that this process may use.

    Raises:
        ConfigError: If the model cannot be loaded or is no cross-encoder.
    """

    def __init__(
        self,
        model: bytes,
        max_length: int,
        *,
        name: str,
        digest: str,
        windows: Windows | None = None,
        threads: int | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise ConfigError(f"threads = {threads}", expected="at least 1")
        if max_length < 8:
            raise ConfigError(f"max_length = {max_length} of a cross-encoder", expected="8 tokens or more")
        self._name = name
        self._tokenizer = TextTokenizer.bert_uncased(max(max_length, windows.reach + 2 if windows else 0))
        self._max_length, self._windows = max_length, windows
        self._threads = threads or available_processors()
        self._session = make_session(model, "cpu", name)
        reading = () if windows is None else (windows,)
        self.fingerprint = fingerprint("cross-encoder", VERSION, digest, self._tokenizer.digest, max_length, *reading)
        names = {port.name for port in self._session.get_inputs()}
        if names != {INPUT, KINDS} or [port.name for port in self._session.get_outputs()] != [LOGIT]:
            raise ConfigError(
                f"the ONNX model of {name!r} has the inputs {', '.join(sorted(names))}",
                expected=f"a cross-encoder with {INPUT}, {KINDS} and the output {LOGIT}",
            )

    @property
    def name(self) -> str:
        """Short name, used in explanations."""
        return self._name

    def score(self, query: str, texts: Sequence[str]) -> Float32Array:
        """One score a text: float32[len(texts)], greater where it answers the query better."""
        asked = self._tokenizer.ids(query)[1:-1][: self._max_length // 2]
        parts = [self._parts(text, self._max_length - 3 - len(asked)) for text in texts]
        bodies = [body for windows in parts for body in windows]
        out = np.empty(len(bodies), np.float32)

        def fill(row: int) -> None:
            ids, kinds = pair_of(asked, bodies[row])
            out[row] = self._session.run([LOGIT], {INPUT: ids, KINDS: kinds})[0][0, 0]

        for_each(fill, [len(body) for body in bodies], self._threads)
        firsts = np.cumsum([0, *(len(windows) for windows in parts)])[:-1]
        return np.maximum.reduceat(out, firsts) if len(parts) else out

    def _parts(self, text: str, room: int) -> list[list[int]]:
        """The tokens of a text that are read, a window each, at most ``room`` of them."""
        ids = self._tokenizer.ids(text)[1:-1]
        if self._windows is None:
            return [ids[:room]]
        width = min(self._windows.width, room)
        return [ids[start : start + width] for start in self._windows.starts(len(ids))]


def pair_of(query: Sequence[int], text: Sequence[int]) -> tuple[Int64Array, Int64Array]:
    """[CLS] query [SEP] text [SEP] and the kind of each token: int64[1, n] each."""
    cls, sep = SPECIALS["[CLS]"], SPECIALS["[SEP]"]
    ids = np.array([[cls, *query, sep, *text, sep]], np.int64)
    kinds = np.zeros_like(ids)
    kinds[0, len(query) + 2 :] = 1
    return ids, kinds


def open_cross_encoder(folder: Path, *, name: str = "", threads: int | None = None) -> CrossEncoder:
    """The cross-encoder in a folder.

    Raises:
        ConfigError: If the folder holds none.
        CorruptIndexError: If the model is not the one that the folder's description names.
    """
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT).read_bytes())
        wanted, length = str(about["sha256"][MODEL]), int(about.get("max_length", DEFAULT_LENGTH))
        windows = Windows(**about["windows"]) if "windows" in about else None
        content = (folder / MODEL).read_bytes()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"no cross-encoder in {folder} ({error})", expected=f"{MODEL} and {ABOUT}") from error
    digest = sha256(content).hexdigest()
    if digest != wanted:
        raise CorruptIndexError(
            f"{folder / MODEL} has the sha256 {digest}", expected=wanted, remedy="export or fetch the model again"
        )
    named = name or folder.name
    return CrossEncoder(content, length, name=named, digest=digest, windows=windows, threads=threads)


def resolve_reranker(name: str = DEFAULT_RERANKER, *, threads: int | None = None) -> CrossEncoder:
    """The reranker of that name: one that comes with this package, or a folder.

    Raises:
        ModelNotFoundError: If there is none.
        CorruptIndexError: If its files are not what they were when it was made.
    """
    folder = shipped_folder(name)
    if folder is None and Path(name).expanduser().is_dir():
        folder = Path(name).expanduser()
    if folder is None or not (folder / ABOUT).is_file():
        here = ", ".join(shipped_models(KIND)) or "none comes with this release"
        raise ModelNotFoundError(
            f"no reranker {name!r}",
            expected=f"a folder with {MODEL} and {ABOUT}, or one of the package's own ({here})",
            remedy="name the folder of one, or train one: twindex train rerank",
        )
    return open_cross_encoder(folder, name=name, threads=threads)

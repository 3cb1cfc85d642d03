"""A topic model in a folder: ``topics.json`` says what it is, ``arrays.npz`` holds its numbers.

The JSON is replaced last and names the model's fingerprint, which is computed again when it is read: a folder that was
left half-written, or altered, is refused.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np

from twindex.indexing.errors import CorruptIndexError, FormatVersionError, IndexNotFoundError
from twindex.indexing.expansion.topic_config import TopicConfig
from twindex.indexing.expansion.topics import Topic, TopicModel
from twindex.indexing.expansion.word_space import WordSpace

ABOUT: Final = "topics.json"
ARRAYS: Final = "arrays.npz"
#: Version of the folder's layout.
FORMAT: Final = 1


def save_topics(model: TopicModel, folder: Path) -> None:
    """Writes the model; a model that is there is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    space = model.space
    arrays: dict[str, Any] = {
        "words": np.frombuffer("\n".join(space.words).encode("utf-8", "surrogatepass"), np.uint8),
        "raw": space.raw,
        "counts": space.counts,
        "texts": space.texts,
        "centres": model.centres,
        "pairs": model.pairs,
    }
    about = {
        "format": FORMAT,
        "fingerprint": model.fingerprint,
        "encoder": model.encoder,
        "config": model.config.to_dict(),
        "threshold": model.threshold,
        "texts": space.total,
        "sentences": model.sentences,
        "outliers": model.outliers,
        "topics": [[topic.label, topic.size, list(topic.words)] for topic in model.topics],
    }
    temporary = folder / f".{ARRAYS}"
    with open(temporary, "wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, folder / ARRAYS)
    temporary = folder / f".{ABOUT}"
    with open(temporary, "w", encoding="utf-8", errors="surrogatepass") as text:
        json.dump(about, text, ensure_ascii=False, indent=1)
        text.flush()
        os.fsync(text.fileno())
    os.replace(temporary, folder / ABOUT)


def load_topics(folder: Path) -> TopicModel:
    """The model in a folder. No encoder is needed.

    Raises:
        IndexNotFoundError: If there is none.
        FormatVersionError: If another release wrote it.
        CorruptIndexError: If its files do not fit each other.
    """
    path = folder / ABOUT
    if not path.is_file():
        raise IndexNotFoundError(f"no topics in {folder}", expected=f"a folder with {ABOUT} and {ARRAYS}")
    try:
        about: dict[str, Any] = json.loads(path.read_text("utf-8", "surrogatepass"))
        if about["format"] != FORMAT:
            raise FormatVersionError(
                f"topics of format {about['format']} in {folder}", expected=str(FORMAT), remedy="make them again"
            )
        model = _model(about, folder / ARRAYS)
        fits = model.fingerprint == about["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError, BadZipFile) as error:
        raise CorruptIndexError(f"topics in {folder} that cannot be read: {error}", remedy="make them again") from error
    if not fits:
        raise CorruptIndexError(
            f"topics in {folder} with the fingerprint {model.fingerprint}",
            expected=about["fingerprint"],
            remedy="make them again",
        )
    return model


def _model(about: dict[str, Any], path: Path) -> TopicModel:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
        words = arrays["words"].tobytes().decode("utf-8", "surrogatepass").split("\n")
        space = WordSpace(tuple(words), arrays["raw"], arrays["counts"], arrays["texts"], about["texts"])
        topics = (Topic(at, tuple(words), label, size) for at, (label, size, words) in enumerate(about["topics"]))
        return TopicModel(
            config=TopicConfig.from_dict(about["config"]),
            space=space,
            centres=arrays["centres"],
            pairs=arrays["pairs"],
            topics=tuple(topics),
            threshold=about["threshold"],
            sentences=about["sentences"],
            outliers=about["outliers"],
            encoder=about["encoder"],
        )

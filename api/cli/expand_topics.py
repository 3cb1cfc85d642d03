"""Topics for ``twindex expand``: made once, kept beside the store, named by the language model if there is one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from twindex.indexing.encoders.resolve import resolve_encoder
from twindex.indexing.errors import CorruptIndexError, FingerprintError
from twindex.indexing.expansion.topic_store import ABOUT, load_topics, save_topics
from twindex.indexing.expansion.topics import TopicModel
from twindex.indexing.types import Passage, Progress
from twindex.indexing.vector_cache import VectorCache
from twindex.rag.batch import BatchGenerator
from twindex.rag.expand.guidance import TopicGuide
from twindex.rag.expand.labels import refined_labels, unnamed_topics

#: Beside the arrays of the topics: labels by a language model.
LABELS = "labels.json"
#: Vectors of texts and words, within the folder of a store.
VECTORS = "vectors"


@dataclass(frozen=True, slots=True)
class _Texts:
    """Contents of passages, which can be gone through again."""

    passages: Callable[[], Iterator[Passage]]

    def __iter__(self) -> Iterator[str]:
        return (passage.contents for passage in self.passages())


def guide_for(
    passages: Callable[[], Iterator[Passage]],
    folder: Path,
    encoder: str,
    *,
    generator: BatchGenerator | None,
    store: Path,
    progress: Progress,
) -> TopicGuide:
    """Topics and keywords of a corpus.

    Args:
        passages: The corpus.
        folder: Where the topics are kept: made if they are not there, else used as they are, also for a
            corpus that has grown since.
        encoder: Name of the encoder of words and texts.
        generator: Who names the topics; None leaves their words as labels.
        store: Folder of the store, which also keeps vectors.
        progress: Told of the stages.
    """
    model = resolve_encoder(encoder)
    texts = _Texts(passages)
    vectors = store / VECTORS
    if (folder / ABOUT).is_file():
        found = load_topics(folder)
    else:
        found = TopicModel.fit(texts, model, cache=vectors / "words", progress=progress)
        save_topics(found, folder)
    named = _named(found, texts, folder, generator)
    if model.info.fingerprint != named.encoder:
        raise FingerprintError(
            f"encoder {model.info.name!r} ({model.info.fingerprint})",
            expected=f"the one that the topics in {folder} were made with ({named.encoder})",
            remedy="name that encoder with --encoder, or make other topics in another folder with --topics",
        )
    cache = VectorCache(vectors, model.info)
    return TopicGuide(named, lambda contents: cache.encode(contents, model))


def _named(model: TopicModel, texts: _Texts, folder: Path, generator: BatchGenerator | None) -> TopicModel:
    """The topics with the labels that are kept, or that the generator gives now."""
    if generator is None:
        return model
    path = folder / LABELS
    if path.is_file():
        try:
            kept = json.loads(path.read_text("utf-8"))
            return model.labelled({int(topic): str(label) for topic, label in kept["labels"].items()})
        except (ValueError, KeyError, AttributeError) as error:
            raise CorruptIndexError(
                f"{path} cannot be read ({error})",
                expected="labels of topics",
                remedy="remove it; labels are made anew",
            ) from error
    labels = refined_labels(unnamed_topics(model, texts), generator)
    part = path.with_suffix(".tmp")
    part.write_text(json.dumps({"by": generator.name, "labels": labels}, ensure_ascii=False, indent=1), "utf-8")
    os.replace(part, path)
    typer.echo(f"{len(labels):,} of {len(model.topics):,} topics named by {generator.name}", err=True)
    return model.labelled(labels)

"""The collection that the kits of retrieval search: small, several segments, deletions, equal documents."""

from __future__ import annotations

from pathlib import Path

from twindex.indexing.config import IndexConfig
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Document
from twindex.indexing.writer import IndexWriter

TOPICS = {
    "bee": "Bees visit flowers and bring nectar to the hive. The queen of the bees lays eggs.",
    "lamp": "The keeper lights the lamp of the lighthouse at dusk. Ships see the lamp from afar.",
    "bread": "Bread rises when yeast makes gas in the dough; a baker bakes bread before dawn.",
    "tide": "The tide rises and falls with the pull of the moon, twice a day.",
}
DELETED = ("bee1", "tide3")
#: Texts of queries: some match much, some little, some nothing, some are no text at all.
ASKED = [
    "bees and flowers",
    "the lamp of the lighthouse keeper",
    "rises rises moon",
    "bread",
    "nothing of this matches zzz",
    "",
    "   ",
    "\0",
    "\ud800",
    "🐝 東京 é",
    "the of and",
]
FILTERS = ["topic = 'bee'", "number >= 3", "topic != 'lamp' and number < 2", "number > 100"]


def encoder() -> HashingEncoder:
    """Deterministic, without a model."""
    return HashingEncoder(32)


def documents() -> list[Document]:
    """Four documents a topic, the first two of them with the same contents."""
    out = []
    for number in range(5):
        for topic, text in TOPICS.items():
            extra = "" if number < 2 else f" Note {number}: {' '.join(text.split()[: 2 * number])}."
            out.append(Document(f"{topic}{number}", text + extra, topic.title(), {"topic": topic, "number": number}))
    return out


def make_index(path: Path, *, segment_docs: int = 7) -> Path:
    """The index of the world, with vectors and deletions."""
    model = encoder()
    config = IndexConfig(encoder=model.info, segment_docs=segment_docs)
    with IndexWriter.create(path, config, encoder=model) as writer:
        writer.add(documents())
        writer.commit()
    with IndexWriter.open(path, encoder=model) as writer:
        writer.delete(DELETED)
        writer.commit()
    return path


def open_world(path: Path) -> Snapshot:
    """A snapshot of it."""
    return Snapshot.open(make_index(path))

"""What mines hard negatives: BM25 over an index of the training texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from twindex.indexing.config import IndexConfig
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.training.mining import Search
from twindex.indexing.types import Document, Int32Array
from twindex.indexing.writer import IndexWriter
from twindex.retrieval.lexical import LexicalRetriever
from twindex.retrieval.types import Query


def lexical_search(stack: ExitStack) -> Callable[[Sequence[str]], Search]:
    """A maker of BM25 searches over texts; their indexes live until the stack is closed."""

    def make(texts: Sequence[str]) -> Search:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="twindex-mining-"))) / "index"
        with IndexWriter.create(folder, IndexConfig()) as writer:
            writer.add(Document(str(number), text) for number, text in enumerate(texts))
            writer.commit()
        snapshot = stack.enter_context(Snapshot.open(folder))
        # Ordinals follow the corpus, so they are positions in ``texts``.
        retriever = LexicalRetriever(snapshot)

        def search(texts: Sequence[str], k: int) -> list[Int32Array]:
            return [ranking.ords for ranking in retriever.retrieve([Query(text) for text in texts], k)]

        return search

    return make

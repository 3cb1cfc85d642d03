"""tantivy through its Python binding: one field split at white space, term queries joined by "should"."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sparse_oracle import Formula
from sparse_store import Corpus

from sparse_peers.base import Engine, Hits, empty_hits, term_name, token_lists


class Tantivy(Engine):
    """tantivy; its k1 = 1.2 and b = 0.75 are fixed, its lengths have one byte."""

    packages = ("tantivy",)
    formula = Formula(k1=1.2, b=0.75, scale=2.2, quantised=True)
    score_tolerance = 1e-4
    most_documents = 2_000_000
    reason = "documents go in one Python object each: a build of hours on this machine"
    note = "k1 1.2, b 0.75 fixed; queries built beforehand; a pool of Python threads for several"

    def build(self, corpus: Corpus, folder: Path) -> None:
        """Add documents one by one."""
        import tantivy

        index = tantivy.Index(_schema(), path=str(folder))
        writer = index.writer(heap_size=1 << 30, num_threads=1)
        names = [term_name(term) for term in range(corpus.vocabulary)]
        for number, tokens in enumerate(token_lists(corpus)):
            text = " ".join([names[term] for term in tokens])
            writer.add_document(tantivy.Document(text=text, number=number))
        writer.commit()
        writer.wait_merging_threads()

    def open(self, corpus: Corpus, folder: Path) -> None:
        """Open, and build the query objects."""
        import tantivy

        schema = _schema()
        self._searcher: Any = tantivy.Index.open(str(folder)).searcher()
        self._pool: dict[int, ThreadPoolExecutor] = {}
        should = tantivy.Occur.Should
        self._queries = [
            tantivy.Query.boolean_query([
                (should, tantivy.Query.term_query(schema, "text", term_name(term))) for term in ids.tolist()
            ])
            for ids, _ in corpus.first_queries(corpus.queries)
        ]  # fmt: skip

    def batch(self, count: int, k: int, threads: int) -> list[Any]:
        """One after the other, or by a pool."""
        if threads == 1:
            return [self.one(number, k) for number in range(count)]
        if threads not in self._pool:
            self._pool[threads] = ThreadPoolExecutor(threads)
        return list(self._pool[threads].map(lambda number: self.one(number, k), range(count)))

    def one(self, number: int, k: int) -> Any:
        """Without counting matches, so that it may skip."""
        return self._searcher.search(self._queries[number], k, count=False).hits

    def hits(self, raw: list[Any], count: int, k: int) -> Hits:
        """Addresses to ordinals, by the stored number."""
        out = empty_hits(count, k)
        for number, found in enumerate(raw):
            for rank, (score, address) in enumerate(found):
                out[0][number, rank] = self._searcher.doc(address)["number"][0]
                out[1][number, rank] = score
        return out


def _schema() -> Any:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_text_field("text", stored=False, tokenizer_name="whitespace", index_option="freq")
    builder.add_unsigned_field("number", stored=True)
    return builder.build()

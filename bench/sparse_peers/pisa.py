"""PISA through the extension module of pyterrier-pisa, on its own files written from the arrays.

Block-max index of 64 postings a block (the binding's default), block_simdbp, its strategies timed for each setting and
the best kept. Queries go in one call, so that Python costs once a batch. BM25 has PISA's own formula (Robertson's idf
times k1 + 1); impacts are its "quantized" scorer, where the binding repeats a query's term as often as its weight says.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from sparse_oracle import K1, B, Formula
from sparse_store import Corpus

from sparse_peers.base import Array, Engine, Hits, empty_hits, term_name

ENCODING = "block_simdbp"


def _extension() -> Any:
    """The binding without the package around it, which would start PyTerrier."""
    found = importlib.util.find_spec("pyterrier_pisa")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("pyterrier_pisa")
    path = next(Path(found.origin).parent.glob("_pisathon*.so"))
    loader = importlib.machinery.ExtensionFileLoader("_pisathon", str(path))
    spec = importlib.util.spec_from_loader("_pisathon", loader)
    if spec is None:
        raise ModuleNotFoundError("_pisathon")
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


class Pisa(Engine):
    """PISA, exact."""

    packages = ("pyterrier_pisa",)
    kinds = ("bm25", "impact")
    formula = Formula(idf="robertson", scale=K1 + 1)
    variants = ("block_max_wand", "maxscore", "wand", "block_max_maxscore", "ranked_or")
    score_tolerance = 1e-4
    note = "best of its strategies in each setting; block-max index, block_simdbp"

    def build(self, corpus: Corpus, folder: Path) -> None:
        """Write PISA's inverted file, then let it make the block maxima and the compressed index."""
        pisa = _extension()
        ptr = np.array(corpus.array("post_ptr"))
        used = np.flatnonzero(np.diff(ptr))
        (folder / "fwd.terms").write_text("".join(f"{term_name(term)}\n" for term in used.tolist()))
        with (folder / "fwd.documents").open("w") as file:
            for at in range(0, corpus.size, 1 << 20):
                file.write("".join(f"{d}\n" for d in range(at, min(at + (1 << 20), corpus.size))))
        pisa.build_binlex(str(folder / "fwd.terms"), str(folder / "fwd.termlex"))
        pisa.build_binlex(str(folder / "fwd.documents"), str(folder / "fwd.doclex"))
        _sequences(folder / "inv.docs", np.array([1, corpus.size], "<u4"), ptr, used, corpus.array("post_docs"))
        _sequences(folder / "inv.freqs", np.empty(0, "<u4"), ptr, used, corpus.array("post_values"))
        lengths = corpus.array("lengths").astype("<u4")
        np.concatenate([np.array([corpus.size], "<u4"), lengths]).tofile(folder / "inv.sizes")
        self._context(pisa, corpus, folder)
        (folder / "inv.docs").unlink()
        (folder / "inv.freqs").unlink()

    def _context(self, pisa: Any, corpus: Corpus, folder: Path) -> Any:
        context = pisa.RetrievalContext()
        scorer: dict[str, Any] = {"bm25_k1": K1, "bm25_b": B} if corpus.kind == "bm25" else {}
        name = "bm25" if corpus.kind == "bm25" else "quantized"
        pisa.prepare_index(context, str(folder), ENCODING, name, "", quantize=0, stop_fname="", **scorer)
        return context

    def open(self, corpus: Corpus, folder: Path) -> None:
        """Map the index; queries become dictionaries from term to weight."""
        self._pisa = _extension()
        self._at = self._context(self._pisa, corpus, folder)
        self._algorithm = self.variants[0]
        self._queries: list[tuple[int, dict[str, float]]] = []
        for number, (ids, weights) in enumerate(corpus.first_queries(corpus.queries)):
            query: dict[str, float] = {}
            for term, weight in zip(ids.tolist(), weights.tolist(), strict=True):
                query[term_name(term)] = query.get(term_name(term), 0.0) + float(weight)
            self._queries.append((number, query))

    def use(self, variant: str) -> None:
        """Choose the query algorithm."""
        self._algorithm = variant

    def batch(self, count: int, k: int, threads: int) -> tuple[int, Array, Array, Array]:
        """One call for all."""
        return self._retrieve(self._queries[:count], k, threads)

    def one(self, number: int, k: int) -> tuple[int, Array, Array, Array]:
        """A call for one."""
        return self._retrieve(self._queries[number : number + 1], k, 1)

    def _retrieve(self, queries: list[Any], k: int, threads: int) -> tuple[int, Array, Array, Array]:
        size = len(queries) * k
        numbers, ranks = np.empty(size, np.int32), np.empty(size, np.int32)
        names, scores = np.empty(size, object), np.empty(size, np.float32)
        found = self._pisa.retrieve(
            self._at,
            self._algorithm,
            queries,
            k=k,
            threads=threads,
            query_weighted=1,
            pretokenised=True,
            result_qidxs=numbers,
            result_docnos=names,
            result_ranks=ranks,
            result_scores=scores,
        )
        return int(found), numbers, names, scores

    def hits(self, raw: tuple[int, Array, Array, Array], count: int, k: int) -> Hits:
        """Names back to ordinals; with threads the queries come in any order."""
        found, numbers, names, scores = raw
        out = empty_hits(count, k)
        rank = np.zeros(count, np.int64)
        for i in range(found):
            number = int(numbers[i])
            out[0][number, rank[number]] = int(names[i])
            out[1][number, rank[number]] = float(scores[i])
            rank[number] += 1
        return out


def _sequences(path: Path, head: Array, ptr: Array, used: Array, values: Array) -> None:
    """PISA's collection file: each list as its length and its numbers, uint32."""
    with path.open("wb") as file:
        head.tofile(file)
        step = 1 << 24
        at = 0
        while at < len(used):
            last = int(np.searchsorted(ptr[used], ptr[used[at]] + step, side="right"))
            last = min(max(last, at + 1), len(used))
            low, high = int(ptr[used[at]]), int(ptr[used[last - 1] + 1])
            sizes = ptr[used[at:last] + 1] - ptr[used[at:last]]
            out = np.insert(np.array(values[low:high], "<u4"), ptr[used[at:last]] - low, sizes.astype("<u4"))
            out.tofile(file)
            at = last

"""The search engine over one index: what the command line, the REST API, answers and evaluation use.

A search runs on one snapshot from beginning to end; :meth:`Searcher.refresh` swaps in a newer commit between
searches, and searches that are under way finish on the old one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType

import numpy as np

from twindex.indexing.encoders import find
from twindex.indexing.encoding import Encoder, PairScorer, SparseEncoder
from twindex.indexing.errors import IndexError_, UsageError
from twindex.indexing.filters import Filter, parse_filter
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Int32Array
from twindex.retrieval.base import Reranker, Retriever
from twindex.retrieval.bm25 import BM25
from twindex.retrieval.dense import DenseConfig
from twindex.retrieval.hybrid import Fused, HybridRetriever
from twindex.retrieval.legs import LegMaker
from twindex.retrieval.options import DEFAULT_OPTIONS, SearchOptions
from twindex.retrieval.profile import DEFAULT, Profile, Recipe
from twindex.retrieval.ranked import Ranked, Stages
from twindex.retrieval.rerank import Reordered, RerankedRetriever
from twindex.retrieval.results import Hit, SearchResult
from twindex.retrieval.rollup import deepen
from twindex.retrieval.sources import Sources
from twindex.retrieval.types import Explanation, Query, Ranking, check_k
from twindex.retrieval.view import Mode, View, as_mode

__all__ = ["Hit", "Mode", "SearchOptions", "SearchResult", "Searcher", "as_mode"]


class Searcher:
    """An index, open for searching. Safe for threads; made by :meth:`open`.

    Args:
        view: The first snapshot.
        reopen: Makes a view of the newest commit.
        sources: Where models come from.
    """

    def __init__(self, view: View, reopen: Callable[[], View], sources: Sources) -> None:
        self._view = view
        self._reopen = reopen
        self._sources = sources
        self._refreshing = threading.Lock()

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        encoder: Encoder | None = None,
        sparse_encoder: SparseEncoder | None = None,
        profile: Profile | Path | str | None = None,
        bm25: BM25 = BM25(),  # noqa: B008 - frozen
        dense: DenseConfig = DenseConfig(),  # noqa: B008 - frozen
        reranker: Reranker | PairScorer | str | None = None,
        find_encoder: Callable[[str], Encoder] = find.find_encoder,
        find_sparse_encoder: Callable[[str], SparseEncoder] = find.find_sparse_encoder,
        find_reranker: Callable[[str], PairScorer] = find.find_reranker,
    ) -> Searcher:
        """The newest commit of an index.

        Args:
            path: Index directory.
            encoder: Encoder of queries; None finds the one that the index was built with, at its first use.
            sparse_encoder: The same for the learned-sparse leg.
            profile: How to fuse, as a value or a file; None = equal weights after min-max normalisation.
            bm25: Settings of the lexical leg.
            dense: Settings of the dense leg.
            reranker: What searches with ``rerank`` use: a reranker, something that scores pairs of texts, or a name;
                None = the house's own, found at its first use.
            find_encoder: From the encoder's name to the encoder, where none is given.
            find_sparse_encoder: The same for the learned-sparse leg.
            find_reranker: The same for the reranker.

        Raises:
            IndexError_: If there is no index, or it is not usable.
            ConfigError: If the profile cannot be read.
            FingerprintError: If an encoder is not that of the index.
        """
        chosen = DEFAULT if profile is None else profile if isinstance(profile, Profile) else Profile.load(profile)
        sources = Sources(encoder, sparse_encoder, reranker, find_encoder, find_sparse_encoder, find_reranker)

        def view() -> View:
            snapshot = Snapshot.open(path)
            return View(snapshot, LegMaker(snapshot, sources, bm25, dense, chosen.calibrations), chosen)

        first = view()
        try:
            if encoder is not None and first.legs.has_vectors:
                first.snapshot.check_encoder(encoder)
            if sparse_encoder is not None and first.legs.has_impacts:
                first.snapshot.check_sparse_encoder(sparse_encoder)
        except IndexError_:
            first.retire()
            raise
        return cls(first, view, sources)

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot that the next search uses."""
        return self._view.snapshot

    def search(
        self,
        text: str,
        /,
        *,
        k: int = 10,
        mode: Mode = "hybrid",
        filter: Filter | str | None = None,  # noqa: A002 - the word that users know
        explain: bool = False,
        rollup: bool = True,
        start: int = 0,
        recipe: Recipe | None = None,
        options: SearchOptions = DEFAULT_OPTIONS,
    ) -> SearchResult:
        """The k best documents for a query.

        Args:
            text: What to look for; a blank one finds nothing.
            k: How many.
            mode: By words, by meaning, or both fused.
            filter: A condition on metadata.
            explain: Whether to say why each hit has its score.
            rollup: Whether a document counts once, with its best passage; False gives passages.
            start: How many of the k to pass over: the hits from there on are given, as a later page.
            recipe: How to fuse this once, instead of as the profile says.
            options: Which sparse legs, how learned queries are cut, and how many hits are reranked.

        Raises:
            QueryError: If k is negative, or the index lacks a leg that was asked for.
            FilterError: If the filter cannot be read, or names a field that the index does not have.
            MissingError: If an encoder or the reranker is not here.
        """
        found = self.search_many(
            [text],
            k=k,
            mode=mode,
            filter=filter,
            explain=explain,
            rollup=rollup,
            start=start,
            recipe=recipe,
            options=options,
        )
        return found[0]

    def search_many(
        self,
        texts: Sequence[str],
        /,
        *,
        k: int = 10,
        mode: Mode = "hybrid",
        filter: Filter | str | None = None,  # noqa: A002 - the word that users know
        explain: bool = False,
        rollup: bool = True,
        start: int = 0,
        recipe: Recipe | None = None,
        options: SearchOptions = DEFAULT_OPTIONS,
    ) -> list[SearchResult]:
        """The same for many queries at once: equal to one by one, but quicker. Times are shared out evenly.

        Raises:
            QueryError: As above.
            FilterError: As above.
            MissingError: As above.
        """
        started = time.perf_counter()
        with self.ranked(
            texts, k=k, mode=mode, filter=filter, rollup=rollup, start=start, recipe=recipe, options=options
        ) as found:
            hits = [_hits(one, explain=explain) for one in found]
        took = 1000 * (time.perf_counter() - started) / max(len(texts), 1)
        return [
            SearchResult(text, one.mode, tuple(rows), took, one.notes, one.fusion(), one.reranked())
            for text, rows, one in zip(texts, hits, found)
        ]

    @contextmanager
    def ranked(
        self,
        texts: Sequence[str],
        /,
        *,
        k: int = 10,
        mode: Mode = "hybrid",
        filter: Filter | str | None = None,  # noqa: A002 - the word that users know
        rollup: bool = True,
        start: int = 0,
        recipe: Recipe | None = None,
        options: SearchOptions = DEFAULT_OPTIONS,
    ) -> Iterator[list[Ranked]]:
        """The same searches as rankings, one a query, with their snapshot, which stays open for the block.

        Raises:
            QueryError: As above.
            FilterError: As above.
            MissingError: As above.
        """
        check_k(k)
        condition = parse_filter(filter) if isinstance(filter, str) else filter
        queries = [Query(text, condition) for text in texts]
        with self._use() as view:
            plan = view.plan(as_mode(mode), options)
            base = view.retriever(plan, options, recipe)
            second = self._second(view, base, options)
            found = _retrieve(view, base, second, queries, k, rollup=rollup and view.chunked)
            yield [
                Ranked(query, plan, _after(ranking, start), rollup, view, stages)
                for query, (ranking, stages) in zip(queries, found)
            ]

    def retriever(self, mode: Mode = "hybrid", options: SearchOptions = DEFAULT_OPTIONS) -> Retriever:
        """The retriever of a mode over the present snapshot: rankings of passages, for evaluation.

        Raises:
            QueryError: If the index lacks a leg that was asked for.
            MissingError: If an encoder or the reranker is not here.
        """
        view = self._view
        base = view.retriever(view.plan(as_mode(mode), options), options)
        return self._second(view, base, options) or base

    def refresh(self) -> bool:
        """Swap in the newest commit; whether there was one. Searches under way finish on the old one.

        Raises:
            IndexError_: If the newest commit is not usable; the old one stays.
        """
        with self._refreshing:
            old = self._view
            if old.snapshot.is_current():
                return False
            self._view = self._reopen()
            old.retire()
            return True

    def close(self) -> None:
        """Let go of the snapshot once no search uses it."""
        self._view.retire()

    def __enter__(self) -> Searcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _use(self) -> Iterator[View]:
        """The newest view, kept open."""
        view = self._view
        while not view.enter():
            if view is self._view:
                raise UsageError("a search after the index was closed", remedy="open it again")
            view = self._view
        try:
            yield view
        finally:
            view.leave()

    @contextmanager
    def use(self) -> Iterator[Snapshot]:
        """The newest snapshot, kept open meanwhile."""
        with self._use() as view:
            yield view.snapshot

    def _second(self, view: View, base: Retriever, options: SearchOptions) -> RerankedRetriever | None:
        if not options.rerank:
            return None
        opinion = self._sources.second_opinion(view.snapshot)
        return RerankedRetriever(base, opinion, options.rerank, options.rerank_weight)


def _retrieve(
    view: View,
    base: Retriever,
    second: RerankedRetriever | None,
    queries: Sequence[Query],
    k: int,
    *,
    rollup: bool,
) -> list[tuple[Ranking, Stages]]:
    """Rankings of k hits, with what came before them.

    Legs and reranker are asked once, however deep the roll-up looks.
    """
    rolling = rollup and k > 0
    fused: list[Fused] = []
    least = second.depth if second and k else 0
    if isinstance(base, HybridRetriever):
        fused = base.fuse(queries, max(base.reach if rolling else k, least))
    ready: list[Ranking] | None = [one.ranking for one in fused] or None
    orders: list[Reordered] = []

    def passages(n: int) -> list[Ranking]:
        nonlocal orders
        found = list(base.retrieve(queries, max(n, least))) if ready is None else ready
        if second is not None and k:
            said: list[Ranking | None] = [one.opinion for one in orders] or [None] * len(found)
            orders = [second.reorder(*one) for one in zip(queries, found, said)]
            found = [one.after for one in orders]
        return [ranking.cut(n) for ranking in found]

    if rolling:
        rankings = deepen(passages, partial(_best_passages, view.snapshot), k, view.snapshot.size)
    else:
        rankings = passages(k)
    parts: list[Fused | None] = [*fused] or [None] * len(rankings)
    made: list[Reordered | None] = [*orders] or [None] * len(rankings)
    return [
        (ranking, Stages(base, second, part, order)) for ranking, part, order in zip(rankings, parts, made, strict=True)
    ]


def _best_passages(snapshot: Snapshot, ranking: Ranking, k: int) -> Ranking:
    """The best passage of each document, the first k of them, in the ranking's order."""
    seen: set[str] = set()
    keep = []
    for place, doc_id in enumerate(snapshot.doc_ids(ranking.ords)):
        if doc_id not in seen:
            seen.add(doc_id)
            keep.append(place)
            if len(keep) == k:
                break
    at: Int32Array = np.array(keep, np.int32)
    return Ranking(ranking.ords[at], ranking.scores[at])


def _after(ranking: Ranking, start: int) -> Ranking:
    """The ranking without its first hits."""
    return Ranking(ranking.ords[start:], ranking.scores[start:]) if start else ranking


def _hits(found: Ranked, *, explain: bool) -> list[Hit]:
    passages = found.snapshot.passages(found.ranking.ords)
    reasons: Sequence[Explanation | None] = found.explanations() if explain else [None] * len(passages)
    return [
        Hit(
            id=passage.doc_id if found.rollup else passage.id,
            doc_id=passage.doc_id,
            passage_id=passage.id,
            score=float(score),
            title=passage.title,
            text=passage.text,
            start=passage.start,
            end=passage.end,
            metadata=passage.metadata,
            explanation=reason,
            ranks=places,
        )
        for passage, score, reason, places in zip(passages, found.ranking.scores.tolist(), reasons, found.ranks())
    ]

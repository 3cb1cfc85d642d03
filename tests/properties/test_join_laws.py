"""Joining rankings with judgements: quick for few judged documents, and equal to a slow twin for any number."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings

from twindex.eval.join import FEW, join_rankings
from twindex.retrieval.types import Ranking

DOCUMENTS = [f"d{i}" for i in range(12)]
LEVELS = st.dictionaries(st.sampled_from([*DOCUMENTS, "not indexed"]), st.integers(-1, 3), max_size=FEW + 4)
HITS = st.lists(st.integers(0, 11), unique=True, max_size=12)
TABLES = st.dictionaries(st.sampled_from(["q1", "q2", "q3", "q4"]), st.tuples(LEVELS, HITS), max_size=4)


@settings(max_examples=300, deadline=None)
@given(TABLES, st.booleans())
def test_rows_are_those_of_a_slow_twin(table: dict[str, tuple[dict[str, int], list[int]]], skip: bool) -> None:
    ordinals = {name: [i] for i, name in enumerate(DOCUMENTS)}
    qrels = {q: levels for q, (levels, _) in table.items()}
    asked = [q for q in table if not (skip and q == "q2")]
    rankings = [
        Ranking(np.array(table[q][1], np.int32), np.arange(len(table[q][1]), 0, -1).astype(np.float32)) for q in asked
    ]
    join = join_rankings(asked, rankings, ordinals, qrels)
    rows = []
    for number, query in enumerate(qrels):
        hits = table[query][1] if query in asked else []
        assert join.retrieved[number] == len(hits)
        for rank, ordinal in enumerate(hits, 1):
            level = qrels[query].get(DOCUMENTS[ordinal], -1)
            if level >= 0:
                rows.append((number, rank, level))
    assert list(zip(join.row.tolist(), join.rank.tolist(), join.level.tolist())) == rows
    pool = [(i, v) for i, q in enumerate(qrels) for v in sorted(qrels[q].values(), reverse=True) if v >= 0]
    assert list(zip(join.pool_row.tolist(), join.pool_level.tolist())) == pool

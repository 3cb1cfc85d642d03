"""Tuning: sweeps equal to making the rankings, choices that never saw what they are reported on, gates, profiles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from twindex.eval.candidates import standard_candidates
from twindex.eval.gate import train_gate
from twindex.eval.join import join_rankings
from twindex.eval.measures import Float64Array, parse
from twindex.eval.sweep import score_table
from twindex.eval.tune import TuneOptions, TuneQueries, choose, fold_of, oracle, profile_of, sampled, tune
from twindex.indexing.errors import ConfigError
from twindex.retrieval.gate import FEATURES
from twindex.retrieval.profile import Profile, Recipe
from twindex.retrieval.topk import top_k
from twindex.retrieval.types import Ranking

CANDIDATES = standard_candidates()
NDCG = parse("nDCG@10")


def ranking(rng: np.random.Generator, documents: int, depth: int, *, coarse: bool) -> Ranking:
    scores = rng.random(documents).astype(np.float32)
    if coarse:  # ties are the rule
        scores = np.round(scores * 4) / np.float32(4)
    return top_k(scores, depth)


def made_up(
    count: int, seed: int, *, documents: int = 60, prefix: str = "q"
) -> tuple[TuneQueries, dict[str, list[int]]]:
    """Queries with two legs and judgements; some legs are empty, some judged documents are not retrieved."""
    rng = np.random.default_rng(seed)
    ids = [f"{prefix}{i}" for i in range(count)]
    sparse = [Ranking.empty() if i % 11 == 5 else ranking(rng, documents, 20, coarse=i % 2 == 0) for i in range(count)]
    dense = [Ranking.empty() if i % 13 == 7 else ranking(rng, documents, 25, coarse=i % 3 == 0) for i in range(count)]
    qrels = {q: {f"d{d}": int(rng.integers(-1, 3)) for d in rng.choice(documents + 3, 4, replace=False)} for q in ids}
    queries = TuneQueries.of(ids, [f"word {'7' * (i % 2)}" * (i % 5) for i in range(count)], sparse, dense, qrels=qrels)
    ordinals = {f"d{i}": [i] for i in range(documents)}  # judged documents beyond are not in the index
    return queries, ordinals


@pytest.mark.parametrize("name", ["nDCG@10", "AP", "RR@3", "R@5", "judged@10"])
def test_a_sweep_scores_what_fusing_gives(name: str) -> None:
    queries, ordinals = made_up(40, seed=1)
    measure = parse(name)
    table = score_table(CANDIDATES, queries.ids, queries.legs, measure, qrels=queries.qrels, ordinals=ordinals)
    for row, candidate in enumerate(CANDIDATES):
        fused = [candidate.recipe.fuse(legs, measure.cut or 1000) for legs in queries.legs]
        values = measure.values(join_rankings(queries.ids, fused, ordinals, queries.qrels))
        assert np.array_equal(table[row], values), candidate.name


def test_a_sweep_leaves_out_the_querys_own_document() -> None:
    queries, ordinals = made_up(30, seed=2, prefix="d")
    table = score_table(
        CANDIDATES, queries.ids, queries.legs, NDCG, qrels=queries.qrels, ordinals=ordinals, drop_self=True
    )
    different = 0
    for row, candidate in enumerate(CANDIDATES):
        kept = []
        for query, legs in zip(queries.ids, queries.legs):
            full = candidate.recipe.fuse(legs, 100)
            keep = full.ords != ordinals[query][0]
            different += int((~keep).sum())
            kept.append(Ranking(full.ords[keep], full.scores[keep]).cut(10))
        values = NDCG.values(join_rankings(queries.ids, kept, ordinals, queries.qrels))
        assert np.array_equal(table[row], values), candidate.name
    assert different > 0


def planted(count: int = 400, seed: int = 3) -> tuple[Float64Array, Float64Array]:
    """Scores of three candidates: 1 is best on average, but 0 is better where the first feature is high."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, len(FEATURES)))
    base = rng.random(count) * 0.2
    scores = np.stack([base + np.where(features[:, 0] > 0.5, 0.8, 0.1), base + 0.45, base])
    return scores, features


def as_queries(scores: Float64Array, features: Float64Array, prefix: str = "q") -> TuneQueries:
    ids = tuple(f"{prefix}{i}" for i in range(scores.shape[1]))
    return TuneQueries(ids, [()] * len(ids), features, {})


def lookup(scores: Float64Array, prefix: str = "q") -> Callable[[TuneQueries], Float64Array]:
    def table(queries: TuneQueries) -> Float64Array:
        return scores[:, [int(q.removeprefix(prefix)) for q in queries.ids]]

    return table


def test_what_is_reported_of_a_fold_does_not_depend_on_its_judgements() -> None:
    """A weight fitted on the queries that it is reported on is impossible: wreck a fold, and its choices stay."""
    scores, features = planted()
    queries = as_queries(scores, features)
    options = TuneOptions()
    honest = tune(CANDIDATES, queries, None, options, table=lookup(scores))
    for fold in range(options.folds):
        held = np.array([fold_of(q, options.folds) == fold for q in queries.ids])
        assert held.any()
        wrecked = scores.copy()
        wrecked[:, held] = 1 - wrecked[::-1, held]
        other = tune(CANDIDATES, queries, None, options, table=lookup(wrecked))
        assert np.array_equal(honest.fixed[held], other.fixed[held])
        assert np.array_equal(honest.gated[held], other.gated[held])
    # The test can fail: choices do depend on the other folds.
    upside_down = tune(CANDIDATES, queries, None, options, table=lookup(1 - scores[::-1]))
    assert not np.array_equal(honest.gated, upside_down.gated)


def test_another_split_is_used_without_a_look_at_the_reported_one() -> None:
    scores, features = planted()
    training = as_queries(scores, features)

    def only_training(queries: TuneQueries) -> Float64Array:
        assert set(queries.ids) <= set(training.ids)
        return lookup(scores)(queries)

    reported = as_queries(*planted(50, seed=9), prefix="r")
    found = tune(CANDIDATES, reported, training, TuneOptions(), table=only_training)
    assert found.protocol == "400 queries of another split"
    assert (found.fixed == 1).all()
    assert set(found.gated.tolist()) == {0, 1}


def test_queries_of_both_splits_are_not_trained_on() -> None:
    scores, features = planted()
    both = as_queries(scores, features)
    some = both.pick(np.arange(100))
    seen: set[str] = set()

    def table(queries: TuneQueries) -> Float64Array:
        seen.update(queries.ids)
        return lookup(scores)(queries)

    found = tune(CANDIDATES, some, both, TuneOptions(), table=table)
    assert found.protocol == "300 queries of another split"
    assert not seen & set(some.ids)
    # With too few left, the reported queries are cross-validated.
    assert tune(CANDIDATES, both, some, TuneOptions(), table=table).protocol == "5 folds of its own queries"


def test_a_gate_is_kept_only_if_it_helps() -> None:
    scores, features = planted()
    choice = choose(scores, features, TuneOptions())
    assert choice.best == 1
    assert choice.gate is not None
    picked = choice.pick(features)
    assert scores[picked, np.arange(400)].mean() > scores[1].mean() + 0.05
    noise = np.random.default_rng(5)
    blind = noise.random((3, 400))
    blind[1] += 0.2
    assert train_gate(blind, features, best=1) is None
    assert train_gate(scores[:, :60], features[:60], best=1) is None  # too few queries for the features
    assert choose(scores, features, TuneOptions(gate=False)).gate is None


def test_equal_candidates_give_the_first() -> None:
    scores = np.full((len(CANDIDATES), 20), 0.5)
    assert choose(scores, np.zeros((20, len(FEATURES))), TuneOptions()).best == 0
    assert CANDIDATES[0].recipe == Recipe(CANDIDATES[0].recipe.fusion, (1.0, 1.0))


def test_samples_and_folds_depend_on_ids_alone() -> None:
    ids = [f"q{i}" for i in range(500)]
    rows = sampled(ids, 50)
    again = sampled(ids[::-1], 50)
    assert {ids[i] for i in rows.tolist()} == {ids[::-1][i] for i in again.tolist()}
    assert np.array_equal(rows, np.sort(rows))
    assert np.array_equal(sampled(ids, 500), np.arange(500))
    sizes = np.bincount([fold_of(q, 5) for q in ids])
    assert sizes.min() > 60


def test_the_oracle_is_the_head_room() -> None:
    scores, _ = planted()
    best = oracle(scores)
    assert (best >= scores).all()
    assert best.mean() > scores.mean(axis=1).max()


def test_a_profile_does_what_was_chosen(tmp_path: Path) -> None:
    queries, ordinals = made_up(200, seed=4)
    table = score_table(CANDIDATES, queries.ids, queries.legs, NDCG, qrels=queries.qrels, ordinals=ordinals)
    planted_scores, _ = planted(200)
    table[:2] = planted_scores[:2] * 2  # something for the gate to find
    features = queries.features.copy()
    table[0] = np.where(features[:, 0] > np.median(features[:, 0]), 1.0, 0.0)
    table[1] = 0.55
    choice = choose(table, features, TuneOptions())
    assert choice.gate is not None
    profile_of(choice, CANDIDATES, notes="of a test").save(tmp_path / "p.json")
    profile = Profile.load(tmp_path / "p.json")
    for text_row, (legs, picked) in enumerate(zip(queries.legs, choice.pick(features).tolist())):
        text = f"word {'7' * (text_row % 2)}" * (text_row % 5)
        assert profile.choose(text, legs) == CANDIDATES[picked].recipe
    plain = profile_of(choose(table, features, TuneOptions(gate=False)), CANDIDATES)
    assert plain.gate is None


@pytest.mark.parametrize("wrong", [{"folds": 1}, {"limit": 2}, {"least": 0}])
def test_options_out_of_range(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        TuneOptions(**wrong)  # type: ignore[arg-type]


def test_candidates_are_distinct_and_have_the_default_first() -> None:
    assert len({c.name for c in CANDIDATES}) == len(CANDIDATES)
    assert len({str(c.recipe.to_dict()) for c in CANDIDATES}) == len(CANDIDATES)
    assert [c.name for c in CANDIDATES[-2:]] == ["sparse only", "dense only"]

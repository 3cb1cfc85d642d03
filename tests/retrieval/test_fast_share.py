"""Threads that share a batch: every query once, whatever goes wrong."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twindex.retrieval.fast_share import PARTS, share_out, shares_of


@given(st.integers(0, 5000), st.integers(1, 64), st.integers(0, 300))
def test_parts_of_a_batch_are_all_of_it_once(queries: int, threads: int, least: int) -> None:
    shares = shares_of(queries, threads, least)
    assert [query for first, last in shares for query in range(first, last)] == list(range(queries))
    sizes = [last - first for first, last in shares]
    assert sorted(sizes[:-1], reverse=True) == sizes[:-1], "the last ones are the smallest"
    assert all(size >= max(1, least, queries // (threads * PARTS)) for size in sizes[:-1])


@pytest.mark.parametrize("threads", [2, 3])
def test_all_shares_are_done_when_it_returns(threads: int) -> None:
    done: list[tuple[int, int]] = []
    names: set[str] = set()
    both = threading.Barrier(threads, timeout=10)

    def part(first: int, last: int) -> None:
        if first < threads:
            both.wait()  # passes only if so many work at a time
        names.add(threading.current_thread().name)
        done.append((first, last))

    shares = [(i, i + 1) for i in range(50)]
    with ThreadPoolExecutor(threads - 1) as pool:
        share_out(part, shares, pool, threads)
    assert sorted(done) == shares
    assert threading.current_thread().name in names, "the caller works too"
    assert len(names) == threads


@pytest.mark.parametrize("bad", [0, 1])
def test_an_error_ends_the_work_and_reaches_the_caller(bad: int) -> None:
    both, seen = threading.Barrier(2, timeout=10), []

    def part(first: int, _: int) -> None:
        seen.append(first)
        if first < 2:
            both.wait()
        if first == bad:
            raise ValueError("no such term")
        time.sleep(0.001)  # the other thread has its turn

    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="no such term"):
        share_out(part, [(i, i + 1) for i in range(2_000)], pool, 2)
    assert len(seen) < 2_000

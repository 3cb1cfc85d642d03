"""Compiling the kernels in a process of its own.

A compiler works for a minute, holding the interpreter's lock for most of it: a server would answer late all that
time. Another process leaves the code on disk, from where loading it takes a part of a second.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from twindex.indexing.errors import TwindexError
from twindex.indexing.parent import end_with_parent
from twindex.retrieval.engine import Searcher
from twindex.retrieval.fast_room import kernels
from twindex.retrieval.impact import ImpactRetriever
from twindex.retrieval.lexical import LexicalRetriever
from twindex.retrieval.options import SearchOptions, SparseLegs
from twindex.retrieval.within import Budget

#: How far behind other processes the compiler stands.
NICE: Final = 10
#: The sparse legs, in the order in which a server asks for them.
SPARSE: Final[tuple[SparseLegs, ...]] = ("bm25", "learned")


def compile_apart(index: Path) -> None:
    """Returns once the kernels are on disk: at once where they are; where none can be kept, with nothing done.

    Args:
        index: An index that they can be tried on.

    Raises:
        MissingExtraError: If numba is not installed.
    """
    if _missing():
        subprocess.run([sys.executable, "-m", "twindex.retrieval.fast_compile", str(index)], check=False)


def _missing() -> bool:
    """Whether one of the kernels that call all others is not on disk."""
    door = importlib.import_module("twindex.indexing.compiled")  # loads numba, which takes its time
    return any(door.must_compile(one) for one in (kernels().batch.answer, kernels().within.answer_within))


def compile_here(index: Path) -> None:
    """Lays the engine out for each sparse leg of an index, and searches once exactly, once within a budget.

    One process at a time: others find its code on disk.
    """
    with Path(__file__).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with Searcher.open(index) as searcher:
            for legs in SPARSE if searcher.snapshot.sparse_encoder_info is not None else SPARSE[:1]:
                retriever = searcher.retriever("sparse", SearchOptions(sparse=legs))
                if isinstance(retriever, LexicalRetriever | ImpactRetriever):
                    retriever.fast.warm(Budget(postings=1))


if __name__ == "__main__":
    end_with_parent()
    os.nice(NICE)
    with contextlib.suppress(TwindexError, OSError):  # the server finds out by itself, and says it better
        compile_here(Path(sys.argv[1]))

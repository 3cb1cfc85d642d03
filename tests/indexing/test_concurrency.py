"""Eight reading processes beside one writer that adds, deletes, merges and commits."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.indexing.builds import build, document, documents, encoder, environment, ids_of
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.verify import verify
from twindex.indexing.writer import IndexWriter

READERS = 8
SECONDS = 4.0
READER = """
import sys, time
import numpy as np
from pathlib import Path
from tests.indexing.builds import ids_of
from twindex.indexing.filters import parse_filter
from twindex.indexing.snapshot import Snapshot
print("ready", flush=True)
stop, rounds, generations = time.monotonic() + float(sys.argv[2]), 0, set()
while time.monotonic() < stop:
    with Snapshot.open(Path(sys.argv[1])) as snapshot:
        ids = ids_of(snapshot)
        assert len(ids) == len(set(ids)) == snapshot.live_docs
        time.sleep(0.01)
        ords = np.arange(snapshot.size, dtype=np.int32)[::-7]
        assert [p.id for p in snapshot.passages(ords)] == snapshot.ids(ords)
        df = sum(s.live_df(t) for s in snapshot.segments if (t := s.postings.term_id("river")) >= 0)
        assert df <= snapshot.live_docs
        assert sum(len(s.vectors.matrix) for s in snapshot.segments) == snapshot.size
        if rounds % 5 == 0:
            assert snapshot.allowed(parse_filter("year >= 2000")).sum() == snapshot.live_docs
        generations.add(snapshot.generation)
        rounds += 1
print(rounds, len(generations))
"""


@pytest.mark.timeout(120)
def test_readers_are_never_disturbed(tmp_path: Path) -> None:
    index = tmp_path / "index"
    build(index, documents(100), segment_docs=30)
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(index), str(SECONDS)],
            env=environment(OMP_NUM_THREADS="1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(READERS)
    ]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    stop, commits = time.monotonic() + SECONDS - 0.5, 0
    with IndexWriter.open(index, encoder=encoder()) as writer:
        while time.monotonic() < stop or commits < 4:  # on a busy machine a commit can take its time
            writer.add((document(n, commits) for n in range(commits % 90, commits % 90 + 8)), on_duplicate="replace")
            writer.delete([f"d{99 - commits % 50}"])
            writer.commit()
            writer.merge(1 + commits % 3)
            writer.commit()
            commits += 2
    outputs = [reader.communicate() for reader in readers]
    for reader, (_, errors) in zip(readers, outputs):
        assert reader.returncode == 0, errors
    rounds = [int(out.split()[0]) for out, _ in outputs]
    assert min(rounds) >= 1
    assert commits >= 4
    assert verify(index).ok
    with IndexWriter.open(index) as writer, Snapshot.open(index) as snapshot:  # now nothing is held: tidy
        assert len(list((index / "segments").iterdir())) == len(writer.commit().segments)
        assert len(ids_of(snapshot)) == snapshot.live_docs

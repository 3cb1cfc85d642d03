"""Peak memory of a build does not grow with the corpus: measured in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.indexing.builds import environment

IMPACTS = """
import resource, sys
from pathlib import Path
import numpy as np
from twindex.indexing.encoding import SparseRows
from twindex.indexing.postings import build_impacts

def batches(count):
    rng = np.random.default_rng(1)
    for _ in range(count // 1000):
        ids = np.sort(rng.integers(0, 100, (1000, 60)) + np.arange(60) * 100, axis=1).astype(np.int32)
        yield SparseRows(np.arange(1001) * 60, ids.ravel(), rng.random(60000, np.float32) * 4)

folder, count = Path(sys.argv[1]), int(sys.argv[2])
facts = build_impacts(folder, batches(count), vocabulary=6000, scale=4 / 255, memory_budget=1 << 23)
assert facts.docs == count
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

TEXTS = """
import resource, sys
from pathlib import Path
from tests.indexing.builds import documents
from twindex.indexing import IndexConfig, IndexWriter

with IndexWriter.create(Path(sys.argv[1]), IndexConfig(segment_docs=2000)) as writer:
    writer.add(documents(int(sys.argv[2])))
    writer.commit()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(script: str, folder: Path, count: int) -> float:
    """Peak resident memory of a build of so many documents, in megabytes."""
    command = [sys.executable, "-c", script, str(folder / str(count)), str(count)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    return int(done.stdout) / (1024 * 1024 if sys.platform == "darwin" else 1024)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("script", "small", "large"),
    [
        pytest.param(IMPACTS, 20_000, 120_000, id="impacts"),  # 120,000 documents: 7.2 million postings, 36 MB of files
        pytest.param(TEXTS, 4_000, 16_000, id="texts"),
    ],
)
def test_peak_memory_does_not_grow_with_the_corpus(tmp_path: Path, script: str, small: int, large: int) -> None:
    assert peak(script, tmp_path, large) - peak(script, tmp_path, small) < 12

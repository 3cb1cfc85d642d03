"""The command line as a user meets it, and small indexes to meet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.contracts.world import documents, encoder
from tests.indexing.conftest import no_fsync
from twindex.api.cli import main
from twindex.indexing.config import IndexConfig
from twindex.indexing.writer import IndexWriter

__all__ = ["no_fsync"]
#: What may never be said to a user.
FORBIDDEN = ("Traceback", "internal error", "twindex/", 'File "')


class Outcome(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output, read as the JSON that machines read."""
        return json.loads(self.out)


Run = Callable[..., Outcome]


@pytest.fixture
def twindex(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command; whatever happens, no stack trace and no word of an internal error."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        code = left.value.code
        outcome = Outcome(code if isinstance(code, int) else 0, captured.out, captured.err)
        assert not [word for word in FORBIDDEN if word in outcome.err], outcome.err
        return outcome

    return run


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two legs, three segments, a graph, one deletion."""
    path = tmp_path_factory.mktemp("index") / "twin"
    model = encoder()
    config = IndexConfig(encoder=model.info, segment_docs=7, vector_kind="hnsw")
    with IndexWriter.create(path, config, encoder=model) as writer:
        writer.add(documents())
        writer.commit()
        writer.delete(["bee1"])
        writer.commit()
    return path

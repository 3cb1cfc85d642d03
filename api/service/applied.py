"""How far the log of an index has come into its commits.

The file is written after each commit, so it may lag behind by one; then the records in between are applied again,
which changes nothing: they name documents by id, and are applied in order and in one commit.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from twindex.indexing.directory import FileDirectory

APPLIED_FILE: Final = "applied.json"


@dataclass(frozen=True, slots=True)
class Applied:
    """The last record that is in a commit, and the number of that commit."""

    sequence: int = 0
    generation: int = 0

    @classmethod
    def read(cls, folder: Path) -> Applied:
        """What the file says; nothing applied if there is none, or if it cannot be read."""
        try:
            values = json.loads((folder / APPLIED_FILE).read_bytes())
            return cls(int(values["sequence"]), int(values["generation"]))
        except (OSError, ValueError, KeyError, TypeError):
            return cls()  # everything in the log is applied again

    def write(self, folder: Path) -> None:
        """Replaces the file in one step."""
        FileDirectory(folder).replace(APPLIED_FILE, json.dumps(asdict(self)).encode() + b"\n")

"""Made-up generated queries for the made-up documents of ``builds.py``."""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, field

from tests.indexing.builds import WORDS
from twindex.indexing.expansion.info import ExpansionInfo


@dataclass
class MadeUpQueries:
    """Queries that depend on the contents alone; about every fourth passage has none."""

    info: ExpansionInfo = field(default_factory=lambda: ExpansionInfo("made up", "c0ffee", 5))
    least: int = 0

    def queries(self, contents: str) -> tuple[str, ...]:
        rng = random.Random(zlib.crc32(contents.encode()))
        count = rng.choice([self.least, 1, 3, self.info.limit])
        return tuple(" ".join(rng.choices([*WORDS, "zebra"], k=rng.randint(1, 6))) + "?" for _ in range(count))

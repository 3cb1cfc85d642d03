"""Everything that twindex reads from the environment, in one frozen value. No other module looks there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from twindex.indexing.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Settings:
    """Defaults that a machine sets once.

    ``data``: folder of BEIR-layout data sets (``TWINDEX_DATA``).
    ``cache``: folder for derived models and reusable indices (``TWINDEX_CACHE``).
    ``threads``: upper bound on worker threads, 0 = all cores (``TWINDEX_THREADS``).
    ``generator``: the default generator (``TWINDEX_GENERATOR``).
    ``api_key``: secret of an OpenAI-compatible endpoint (``TWINDEX_OPENAI_API_KEY``, else
    ``OPENAI_API_KEY``); masked in repr.
    """

    data: Path | None = None
    cache: Path = Path("~/.cache/twindex")
    threads: int = 0
    generator: str = "extractive"
    api_key: str = ""

    def __post_init__(self) -> None:
        if self.threads < 0:
            raise ConfigError(f"TWINDEX_THREADS={self.threads}", expected="a number of threads, 0 for all cores")

    def __repr__(self) -> str:
        key = "'***'" if self.api_key else "''"
        return (
            f"Settings(data={self.data!r}, cache={self.cache!r}, threads={self.threads!r}, "
            f"generator={self.generator!r}, api_key={key})"
        )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """The settings of this process.

        Raises:
            ConfigError: If a variable cannot be read as what it stands for.
        """
        env = os.environ if environment is None else environment
        threads = env.get("TWINDEX_THREADS", "0")
        if not threads.isdecimal():
            raise ConfigError(f"TWINDEX_THREADS={threads!r}", expected="a number of threads, 0 for all cores")
        base = env.get("XDG_CACHE_HOME") or "~/.cache"
        data = env.get("TWINDEX_DATA")
        return cls(
            data=Path(data) if data else None,
            cache=Path(env.get("TWINDEX_CACHE") or Path(base) / "twindex").expanduser(),
            threads=int(threads),
            generator=env.get("TWINDEX_GENERATOR") or "extractive",
            api_key=env.get("TWINDEX_OPENAI_API_KEY") or env.get("OPENAI_API_KEY") or "",
        )

"""Where a long text is read: windows of tokens that overlap, each as long as what a model was trained on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from twindex.indexing.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Windows:
    """``width`` tokens each, a new one every ``step``, the first ``most`` of them; the last ends where the text ends.

    A text of up to ``width`` tokens is one window.

    Raises:
        ConfigError: If a number is below 1, or windows leave gaps.
    """

    width: int = 224
    step: int = 168
    most: int = 6

    def __post_init__(self) -> None:
        if min(self.width, self.step, self.most) < 1 or self.step > self.width:
            raise ConfigError(
                f"windows of {self.width} tokens every {self.step}, {self.most} of them",
                expected="numbers from 1, a step of at most the width",
            )

    @property
    def reach(self) -> int:
        """Tokens of a text that are read at most."""
        return self.width + (self.most - 1) * self.step

    def starts(self, count: int) -> list[int]:
        """Where the windows of a text of ``count`` tokens begin."""
        windows = min(self.most, max(0, -(-(count - self.width) // self.step)) + 1)
        return [min(number * self.step, max(0, count - self.width)) for number in range(windows)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a model's description."""
        return asdict(self)

"""Tests here do not wait for the disk: what a process leaves behind when it dies does not depend on fsync."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    def skip(handle: int) -> None:
        os.fstat(handle)  # a closed file is still an error

    monkeypatch.setattr(os, "fsync", skip)

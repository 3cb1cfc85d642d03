"""The command line and the REST routes are what the files beside say: a public face changes on purpose only."""

from __future__ import annotations

import pytest

from tests.golden.outline import FILES, FOLDER, outline


@pytest.mark.parametrize("name", FILES)
def test_a_public_face(name: str) -> None:
    stored = (FOLDER / name).read_text(encoding="utf-8")
    assert outline(name) == stored, "if this change is intended: python -m tests.golden.outline"

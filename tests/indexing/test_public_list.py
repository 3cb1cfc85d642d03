"""The public list of the room: complete, in order, and every name leads somewhere."""

from __future__ import annotations

import subprocess
import sys
from itertools import chain

import pytest

import twindex.indexing as room


def test_every_name_has_one_home_and_loads() -> None:
    assert sorted(room.__all__) == sorted(chain.from_iterable(room._HOMES.values()))
    for name in room.__all__:
        assert getattr(room, name) is not None
    assert dir(room) == sorted(room.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = room.nonsense


def test_importing_the_room_loads_none_of_its_modules() -> None:
    code = "import sys, twindex.indexing; print(sorted(m for m in sys.modules if m.startswith('twindex.')))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "['twindex.indexing', 'twindex.indexing.public']"

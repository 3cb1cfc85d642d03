"""Nothing of an evaluation may be trained on: a text counts as known if it, or its beginning, is in an evaluation.

Texts are compared by their letters and digits alone, lower-cased. Long texts also by their first 120 of these,
which finds copies that were cut or joined elsewhere. Short texts (under 16 letters) never count: a title such as
"Hepatitis" is nobody's property.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Final

from twindex.indexing.training.sources import texts_of

BEGINNING: Final = 120
SHORTEST: Final = 16
_OTHER = re.compile(r"[\W_]+")


@dataclass(slots=True)
class Guard:
    """What evaluations contain, and how often a text of the training data was found there.

    ``found`` counts refused texts by evaluation set; ``sizes`` counts the texts of each set by kind.
    """

    keys: dict[bytes, str] = field(default_factory=dict)
    found: Counter[str] = field(default_factory=Counter)
    sizes: dict[str, Counter[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, folders: Iterable[Path]) -> Guard:
        """All queries and documents of the folders."""
        guard = cls()
        for folder in folders:
            guard.add(folder.resolve().name, texts_of(folder))
        return guard

    def add(self, name: str, texts: Iterable[tuple[str, str]]) -> None:
        """Learn the texts of an evaluation set: pairs of "query" or "document" and a text."""
        sizes = self.sizes.setdefault(name, Counter())
        for kind, text in texts:
            sizes[kind] += 1
            for key in keys_of(text):
                self.keys.setdefault(key, name)

    def refuses(self, text: str) -> bool:
        """Whether the text is in an evaluation; counts it if so."""
        for key in keys_of(text):
            name = self.keys.get(key)
            if name is not None:
                self.found[name] += 1
                return True
        return False


def keys_of(text: str) -> list[bytes]:
    """Hashes of what a text is compared by: all of it, and its beginning if it is longer than that."""
    letters = _OTHER.sub("", text.lower())
    if len(letters) < SHORTEST:
        return []
    heads = [letters] if len(letters) <= BEGINNING else [letters, letters[:BEGINNING]]
    return [blake2b(head.encode("utf-8", "surrogatepass"), digest_size=16).digest() for head in heads]

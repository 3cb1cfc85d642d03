"""One fact that was generated for one document under one configuration, and its line in the log.

A line is ``CONFIG DOCUMENT KIND NUMBER JSON``: two hashes of 32 hexadecimal digits, a word, a decimal number,
and the canonical JSON of the value. It says all by itself, so that a log can be read with ``grep``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, Literal, get_args

from twindex.indexing.errors import CorruptIndexError

#: What a record says: a set of queries, their scores, topics with weights, keyword candidates, chosen keywords,
#: why a set could not be made, or (without a document) what a configuration is.
Kind = Literal["queries", "scores", "topics", "candidates", "keywords", "failed", "config"]
KINDS: Final[tuple[str, ...]] = get_args(Kind)
#: Bytes of a hash; the vector cache takes the same.
HASH_BYTES: Final = 16
#: Stands where a record has no document.
NOBODY: Final = bytes(HASH_BYTES)
_HEX: Final = 2 * HASH_BYTES


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the log.

    ``config`` and ``document`` are hashes of 16 bytes; ``number`` tells the sets of queries of one document
    apart (0 for the other kinds). ``value`` is plain JSON: a list of texts for queries, candidates and keywords;
    a list of ``[topic, weight, label]`` for topics; ``{"by": scorer, "values": [...]}`` for scores;
    ``{"why": ..., "text": ...}`` for a failure.
    """

    config: bytes
    document: bytes
    kind: Kind
    number: int
    value: Any

    def line(self) -> bytes:
        """The record as its line, with the line feed."""
        head = f"{self.config.hex()} {self.document.hex()} {self.kind} {self.number} "
        return head.encode() + canonical(self.value) + b"\n"


def content_hash(contents: str) -> bytes:
    """What a document is known by: blake2b of title and text (:attr:`Passage.contents`), 16 bytes."""
    return blake2b(contents.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).digest()


def config_hash(config: Mapping[str, Any]) -> bytes:
    """What a configuration is known by: blake2b of its canonical JSON, 16 bytes."""
    return blake2b(canonical(config), digest_size=HASH_BYTES).digest()


def canonical(value: Any) -> bytes:
    """JSON without blanks and with sorted keys; never a line feed, and any text survives."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    # These end a line for some readers of text files; JSON may escape them.
    text = text.replace("\x85", "\\u0085").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return text.encode("utf-8", "surrogatepass")


def keys_of(line: bytes) -> tuple[bytes, bytes]:
    """Configuration and document of a line.

    Raises:
        ValueError: If it does not begin with two hashes.
    """
    return bytes.fromhex(line[:_HEX].decode("ascii")), bytes.fromhex(line[_HEX + 1 : 2 * _HEX + 1].decode("ascii"))


def parse(line: bytes) -> Record:
    """The record of a line.

    Raises:
        CorruptIndexError: If it is none.
    """
    try:
        _, _, kind, number, value = line.split(b" ", 4)
        config, document = keys_of(line)
        name = kind.decode("ascii")
        if name not in KINDS:
            raise ValueError(f"kind {name!r}")
        found = json.loads(value.decode("utf-8", "surrogatepass"))
        return Record(config, document, name, int(number), found)  # type: ignore[arg-type]
    except (ValueError, UnicodeError) as error:
        raise CorruptIndexError(
            f"a line of an expansion store that is no record: {line[:120]!r}",
            expected="CONFIG DOCUMENT KIND NUMBER JSON",
            remedy="restore the store from a copy, or generate again into a new folder",
        ) from error

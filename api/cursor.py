"""Opaque cursors: where the next page of a search begins, bound to the search that they belong to.

A cursor holds an offset, the generation of the index that the page before came from, and hashes of the search and of
itself. Who forges one can only ask for another page of the same search, so there is no secret in it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass
from typing import Any, Final

from twindex.api.json_response import to_json
from twindex.indexing.errors import QueryError

#: Hits that pages reach, whatever their size: what is ranked below is found with a better query, not by paging.
DEPTH: Final = 1000
#: What a page says that comes from another commit than the one before.
CHANGED: Final = "the index has changed since the page before: one may come twice or be passed over"
_FORM: Final = struct.Struct("<BIQ8s8s")
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """``offset``: hits that earlier pages held, or an ordinal; ``generation``: the commit that they came from."""

    offset: int
    generation: int

    def to_text(self, search: dict[str, Any]) -> str:
        """The cursor as a client gets it."""
        body = _FORM.pack(_VERSION, self.offset, self.generation, _digest(to_json(search)), b"\0" * 8)
        whole = body[:-8] + _digest(body)
        return base64.urlsafe_b64encode(whole).decode("ascii").rstrip("=")

    @classmethod
    def from_text(cls, text: str, search: dict[str, Any], *, most: int = DEPTH) -> Cursor:
        """The cursor of that text, whose offset is at most so large.

        Raises:
            QueryError: If it is none, or one of another search.
        """
        try:
            whole = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            if base64.urlsafe_b64encode(whole).decode("ascii").rstrip("=") != text:
                raise ValueError("spare bits that are not 0")
            version, offset, generation, of, check = _FORM.unpack(whole)
        except (ValueError, binascii.Error, struct.error):
            raise _wrong("no cursor of this server") from None
        if version != _VERSION or check != _digest(whole[:-8] + b"\0" * 8) or not 0 < offset <= most:
            raise _wrong("no cursor of this server")
        if of != _digest(to_json(search)):
            raise _wrong("the cursor of another search")
        return cls(offset, generation)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=8, person=b"twindexcursor").digest()


def _wrong(what: str) -> QueryError:
    return QueryError(
        what,
        expected="the cursor of the page before, with all else as it was there",
        remedy="begin again without a cursor",
    )

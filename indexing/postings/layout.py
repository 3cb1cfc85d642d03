"""Names and bounds of the files of one inverted file; FORMAT.md says what each byte means."""

from __future__ import annotations

from typing import Final

from twindex.indexing.errors import CorruptIndexError

TERM_FILE: Final = "terms.dat"
TERM_OFFSET_FILE: Final = "terms.off"
PTR_FILE: Final = "post.ptr"
DOC_FILE: Final = "post.doc"
TF_FILE: Final = "post.tf"
BIG_FILE: Final = "post.big"
LENGTH_FILE: Final = "len.u32"

IMPACT_PTR_FILE: Final = "imp.ptr"
IMPACT_DOC_FILE: Final = "imp.doc"
IMPACT_FILE: Final = "imp.u8"
IMPACT_FACTS_FILE: Final = "imp.json"

ORDER_FILE: Final = "order.u32"

#: Frequencies from here on stand in the list of large ones; the byte holds this value.
TF_CLIP: Final = 255
MAX_DOCS: Final = 2**31 - 1


def encode_term(term: str) -> bytes:
    """UTF-8; a lone surrogate, which UTF-8 does not have, as three bytes."""
    return term.encode("utf-8", "surrogatepass")


def decode_term(data: bytes) -> str:
    """The inverse of :func:`encode_term`.

    Raises:
        CorruptIndexError: If no term has these bytes.
    """
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise CorruptIndexError(
            f"a term of the index that is no text ({error.reason})",
            expected="UTF-8",
            remedy="run: twindex verify; then restore the index from a copy, or build it again",
        ) from error

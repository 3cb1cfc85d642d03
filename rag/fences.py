"""Fences around untrusted text: a passage can neither close its fence nor pose as the frame around it.

A fence line holds a key, a hash of everything that the prompt is made of: nobody who writes one document
knows the others and the question, so nobody can write the key into it; yet the same prompt has the same
bytes every time. Should the key stand in a text after all, another one is derived. Beyond that, whatever
merely looks like a fence or like a chat template's control token is broken up, and invisible control
characters are removed. Only the rendered copy is changed; citations refer to the passage as it is stored.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final

#: Hexadecimal digits of a key: 48 bits.
KEY_LENGTH: Final = 12
#: A key for counting: alternating letters and digits cost the most tokens.
SAMPLE_KEY: Final = "0a1b2c3d4e5f"

_FENCE_LIKE: Final = re.compile(
    r"[<\u2039\u00ab\uff1c\u3008\u300a]{2,}(?=[^\S\n]*/?[^\S\n]*(?:passage|document|end|question)\b)", re.IGNORECASE
)
#: Control tokens of the common chat templates.
_CONTROL_TOKEN: Final = re.compile(
    r"<(?=\|)|(?<=\|)>|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS)\])|<(?=/?(?:s|bos|eos)>)"
    r"|<(?=(?:start|end)_of_turn>)|<(?=/?SYS>)|<(?=/?think>)",
    re.IGNORECASE,
)
#: C0 and C1 controls but tab and line feed, bidirectional overrides, tag characters, zero-width marks.
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)


def fence_key(texts: Iterable[str], secret: str = "") -> str:
    """The key of a prompt made of these texts, which occurs in none of them.

    Args:
        texts: Everything that is rendered: question, titles, passages.
        secret: What a server may add, so that even one who knows every text cannot tell the key.
    """
    parts = list(texts)
    turn = 0
    while True:
        digest = hashlib.blake2b(digest_size=KEY_LENGTH // 2, key=secret.encode()[:64])
        digest.update(turn.to_bytes(4, "little"))
        for part in parts:
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
        key = digest.hexdigest()
        if not any(key in part.lower() for part in parts):
            return key
        turn += 1


def neutralise(text: str) -> str:
    """The text without invisible controls, and with look-alikes of fences and control tokens broken up.

    Law: idempotent; text without such things comes back unchanged.
    """
    text = _INVISIBLE.sub("", text)
    text = _FENCE_LIKE.sub(lambda match: match.group()[0] + " ", text)
    return _CONTROL_TOKEN.sub(_broken, text)


def _broken(match: re.Match[str]) -> str:
    return " >" if match.group() == ">" else match.group() + " "


def fenced(number: int, *, title: str, text: str, key: str) -> str:
    """One passage within its fence, ready for a prompt."""
    head = f"Title: {' '.join(neutralise(title).split())}\n" if title.strip() else ""
    return f"<<passage {number} {key}>>\n{head}{neutralise(text)}\n<<end {number} {key}>>"

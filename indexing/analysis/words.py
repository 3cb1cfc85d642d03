"""Word segmentation by Unicode Standard Annex 29, in the form that Lucene's StandardTokenizer gives it.

A text is first turned into a string of classes, one letter a code point, and the rules are patterns over those:

====  =========================================  ====  ==================================================
a     letter (P: also a pictograph, I: Han,      i     Han
      g: Hangul, h: Hebrew)                      j     Hiragana
n     digit                                      w     South-East Asian, written without spaces (S: a mark)
k     Katakana                                   p     pictograph, emoji
e     joins words, as "_"                        r     regional indicator: two make a flag
l     between letters only, as ":"               #     "#" and "*": bases of keycaps
m     between digits only, as ","                x     mark or format character; belongs to what precedes it
b     between either, as "."                     z     zero-width joiner, u and v: presentation selectors,
s     single quote, d: double quote                    c: keycap, t and T: tags, M: skin tone, y: Han mark
====  =========================================  ====  ==================================================

Source: UAX 29 (Unicode Text Segmentation), rules WB4 to WB13b; UTS 51 (Emoji), ED-17; what Lucene makes of them:
its tokens are words that hold a letter, digit or kana, single Han and Hiragana characters, runs of South-East Asian
characters, and emoji, at most 255 UTF-16 units each. The longest rule wins, as in the scanner that Lucene generates.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

#: UTF-16 units of a token, at most. The scanner sees no further than that from where a token starts, so a longer word
#: becomes a row of tokens, and what leads up to a word ("_", or joiners before an emoji) is shorter than that.
MAX_TOKEN: Final = 255
_LEAD: Final = MAX_TOKEN - 1
#: White space to str.split(), but a joiner to UAX 29.
NARROW_SPACE: Final = "\u202f"

#: ASCII is the common case and needs no classes.
_ASCII: Final = re.compile(
    rf"_{{0,{_LEAD}}}+(?:[A-Za-z]++(?:[:.'][A-Za-z]++)*+_*+|[0-9]++(?:[.,;'][0-9]++)*+_*+)++",
)


def _word() -> str:
    """WB5 to WB13b. Katakana joins other words only through "_"; quotes hold to Hebrew letters (WB7a to WB7c)."""
    marks = "[xyzuvctTMS]*+"
    letter, digit, kana, joiner = f"[aghIP]{marks}", f"n{marks}", f"k{marks}", f"e{marks}"
    hebrew = f"h{marks}(?:d{marks}h{marks}|s{marks})"
    letters = f"{letter}(?:[lbs]{marks}{letter})*+"
    digits = f"{digit}(?:[mbs]{marks}{digit})*+"
    core = f"(?:(?:{kana})++|(?:{hebrew}|{letters}|{digits})++)"
    return f"(?:{joiner})*+{core}(?:(?:{joiner})++{core})*+(?:{joiner})*+"


def _emoji() -> str:
    """UTS 51: characters with their modifiers, joined by zero-width joiners or closed by tags; keycaps; flags."""
    marks = "[xyzctTMS]*+"
    element = f"[pP]{marks}v?+"
    joined = f"(?:(?<=z){element}|z++{element}|zM{marks})"
    sequence = f"(?:z*+{element}|M{marks})(?:t++T|{joined}*+)"
    keycap = f"#(?:{marks}vc|[xyzctTMS]*c){marks}"
    flag = "(?:r[xyzuvctTMS]*+){2}"
    return f"{sequence}|{keycap}|{flag}"


def _single() -> str:
    """What Lucene makes of writing without spaces: one token a Han or Hiragana character, or a whole run."""
    return "[iIyj][xyzuvctTMS]*+|[wS][wxyzuvctTMS]*+"


_RULES: Final = tuple(re.compile(rule()) for rule in (_word, _emoji, _single))
#: All in one, for texts without "P": only there may two rules fit, and the longer one is not always the first.
_ANY: Final = re.compile("|".join(rule.pattern for rule in _RULES))
#: Where a token may start.
_START: Final = re.compile(r"[^.lbmsdxuvctT]")
#: What leads up to a word or an emoji, with marks; what may start a token within; and a run of it that is worth care:
#: each place of it is looked at as the start of a token, and each time to its end.
_LEADING: Final = re.compile("[exyzuvctTMS]++")
_WITHIN: Final = re.compile("[MSy]")
_CAREFUL: Final = 64
_LONG_LEAD: Final = re.compile(f"[exyzuvctTMS]{{{_CAREFUL}}}")


class WordBreaker:
    """Splits texts into words, by the character classes of one version of Unicode.

    Args:
        runs: The classes, as in the generated modules of this package.
    """

    def __init__(self, runs: str) -> None:
        self._runs = runs

    def classes(self, text: str) -> str:
        """One letter a code point."""
        return text.translate(class_table(self._runs))

    def words(self, text: str) -> list[str]:
        """The tokens of a text, in order. Time is linear in its length."""
        if text.isascii():
            found: list[str] = _ASCII.findall(text)
            if len(text) <= MAX_TOKEN or max(map(len, found), default=0) <= MAX_TOKEN:
                return found
        return [word for piece in pieces(text) for word in self._piece(piece)]

    def _piece(self, text: str) -> list[str]:
        """The tokens of a text without spaces."""
        if text.isascii() and len(text) <= MAX_TOKEN:
            return _ASCII.findall(text)
        classes = self.classes(text)
        if "P" in classes or (len(text) > _CAREFUL and _LONG_LEAD.search(classes)):
            return scan(text, classes)
        spans = [match.span() for match in _ANY.finditer(classes)]
        if len(text) > MAX_TOKEN // 2 and any(end - start > MAX_TOKEN // 2 for start, end in spans):
            return scan(text, classes)
        return [text[start:end] for start, end in spans]


def scan(text: str, classes: str) -> list[str]:
    """The tokens of a text, as Lucene's scanner finds them: the longest rule at each place, within its window."""
    out: list[str] = []
    at = lead = 0
    while place := _START.search(classes, at):
        start = place.start()
        if classes[start] in "ez":
            lead = lead if start < lead else _lead(classes, start)
            if lead - start > _LEAD:  # what it leads up to is out of sight
                inner = _WITHIN.search(classes, start, lead - _LEAD)
                at = inner.start() if inner else lead - _LEAD
                continue
        window = _window(text, start)
        ends = [match.end() for rule in _RULES if (match := rule.match(classes, start, window))]
        at = max(ends, default=start + 1)
        if ends:
            out.append(text[start:at])
    return out


def _lead(classes: str, start: int) -> int:
    match = _LEADING.match(classes, start)
    return match.end() if match else start


def pieces(text: str) -> list[str]:
    """The text cut at white space, which no word crosses."""
    return text.split(" " if NARROW_SPACE in text else None)


@cache
def class_table(runs: str) -> str:
    """The classes spelt out: 1,114,112 letters."""
    return "".join(run[0] * int(run[1:], 16) for run in runs.split())


def _window(text: str, start: int) -> int:
    """The end of at most 255 UTF-16 units; a character beyond the first 65,536 takes two, and is not torn."""
    part = text[start : start + MAX_TOKEN]
    if part.isascii() or max(part) <= "\uffff":
        return start + len(part)
    units = 0
    for at, character in enumerate(part, start):
        units += 1 + (character > "\uffff")
        if units > MAX_TOKEN:
            return at
    return start + len(part)

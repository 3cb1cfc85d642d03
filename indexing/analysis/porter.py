"""Porter's stemmer in the form of its author's own programs, which Lucene follows.

It differs from the published description in the points that the author lists as departures: words of one or two
letters stay as they are, "bli" becomes "ble", and "logi" becomes "log". (Snowball's "porter" has neither of the last
two, so the well-kept library does not give Lucene's terms.)
Source: M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, pp. 130-137.

Beside the word goes its pattern, "c" for a consonant and "v" for a vowel a letter. Whether y is a vowel depends on
what precedes it only, so a pattern stays right when the word loses its end. The measure of a stem, how often a vowel
is followed by a consonant, is the number of "vc" in its pattern.
"""

from __future__ import annotations

import re
from typing import Final

#: The pattern of each ASCII character; y is settled later.
_KINDS: Final = "".join("v" if chr(c) in "aeiou" else "y" if c == ord("y") else "c" for c in range(128))
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")

#: Suffix -> replacement where the measure of the stem is above 0; found by the letter before the last.
STEP_2: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "a": (("ational", "ate"), ("tional", "tion")),
    "c": (("enci", "ence"), ("anci", "ance")),
    "e": (("izer", "ize"),),
    "l": (("bli", "ble"), ("alli", "al"), ("entli", "ent"), ("eli", "e"), ("ousli", "ous")),
    "o": (("ization", "ize"), ("ation", "ate"), ("ator", "ate")),
    "s": (("alism", "al"), ("iveness", "ive"), ("fulness", "ful"), ("ousness", "ous")),
    "t": (("aliti", "al"), ("iviti", "ive"), ("biliti", "ble")),
    "g": (("logi", "log"),),
}
#: The same, by the last letter.
STEP_3: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "e": (("icate", "ic"), ("ative", ""), ("alize", "al")),
    "i": (("iciti", "ic"),),
    "l": (("ical", "ic"), ("ful", "")),
    "s": (("ness", ""),),
}
#: Suffixes that go where the measure is above 1; by the letter before the last.
STEP_4: Final[dict[str, tuple[str, ...]]] = {
    "a": ("al",),
    "c": ("ance", "ence"),
    "e": ("er",),
    "i": ("ic",),
    "l": ("able", "ible"),
    "n": ("ant", "ement", "ment", "ent"),
    "o": ("ion", "ou"),
    "s": ("ism",),
    "t": ("ate", "iti"),
    "u": ("ous",),
    "v": ("ive",),
    "z": ("ize",),
}


def stem(word: str) -> str:
    """The stem of a word in lower case. Letters that are not English vowels count as consonants."""
    if not word.isascii() and max(word) > "\uffff":
        return _joined(stem(_units(word)))
    if len(word) <= 2:
        return word
    kinds = pattern(word)
    if word[-1] == "s":
        word = _plural(word)
    if word[-1] in "dg":
        word, kinds = _past(word, kinds)
    if word[-1] == "y" and "v" in kinds[: len(word) - 1]:
        word = word[:-1] + "i"
        kinds = kinds[: len(word) - 1] + "v"
    if len(word) > 1:
        if (rules := STEP_2.get(word[-2])) is not None:
            word, kinds = _replace(word, kinds, rules)
        if (rules := STEP_3.get(word[-1])) is not None:
            word, kinds = _replace(word, kinds, rules)
        if len(word) > 1 and (suffixes := STEP_4.get(word[-2])) is not None:
            word = _remove(word, kinds, suffixes)
    return _final(word, kinds) if word[-1] in "el" else word


def pattern(word: str) -> str:
    """Consonants and vowels of a word; y is a vowel after a consonant."""
    kinds = (word if word.isascii() else _NOT_ASCII.sub("c", word)).translate(_KINDS)
    if "y" in kinds:
        kinds = ("c" if kinds[0] == "y" else kinds[0]) + kinds[1:]
        while (at := kinds.find("y")) > 0:
            kinds = kinds[:at] + ("v" if kinds[at - 1] == "c" else "c") + kinds[at + 1 :]
    return kinds


def _plural(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    return word if word[-2] == "s" else word[:-1]


def _past(word: str, kinds: str) -> tuple[str, str]:
    if word.endswith("eed"):
        return (word[:-1] if kinds.count("vc", 0, len(word) - 3) else word), kinds
    size = len(word) - (2 if word.endswith("ed") else 3 if word.endswith("ing") else 0)
    if size == len(word) or "v" not in kinds[:size]:
        return word, kinds
    word, kinds = word[:size], kinds[:size]
    if word.endswith(("at", "bl", "iz")):
        return word + "e", kinds + "v"
    if doubled(word, kinds):
        return (word if word[-1] in "lsz" else word[:-1]), kinds
    return (word + "e", kinds + "v") if kinds.count("vc") == 1 and short(word, kinds) else (word, kinds)


def _replace(word: str, kinds: str, rules: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    """The first rule whose suffix fits decides, whether or not its condition holds."""
    for suffix, replacement in rules:
        if word.endswith(suffix):
            size = len(word) - len(suffix)
            if not kinds.count("vc", 0, size):
                break
            return word[:size] + replacement, kinds[:size] + replacement.translate(_KINDS)
    return word, kinds


def _remove(word: str, kinds: str, suffixes: tuple[str, ...]) -> str:
    for suffix in suffixes:
        if word.endswith(suffix) and (suffix != "ion" or word[-4:-3] in ("s", "t")):
            size = len(word) - len(suffix)
            return word[:size] if kinds.count("vc", 0, size) > 1 else word
    return word


def _final(word: str, kinds: str) -> str:
    size = len(word)
    if word[-1] == "e":
        measure = kinds.count("vc", 0, size - 1)
        if measure > 1 or (measure == 1 and not short(word[:-1], kinds)):
            word, size = word[:-1], size - 1
    if word[-2:] == "ll" and kinds.count("vc", 0, size - 1) > 1:
        return word[:-1]
    return word


def doubled(word: str, kinds: str) -> bool:
    """Ends with the same consonant twice."""
    size = len(word)
    return size > 1 and word[-1] == word[-2] and kinds[size - 1] == "c"


def short(word: str, kinds: str) -> bool:
    """Ends consonant, vowel, consonant, the last not w, x or y: the e of "hope" is put back after such."""
    size = len(word)
    return size > 2 and kinds[size - 3 : size] == "cvc" and word[-1] not in "wxy"


def _units(word: str) -> str:
    """A character beyond the first 65,536 as the two that Java sees."""
    return "".join(c if c <= "\uffff" else chr(0xD7C0 + (ord(c) >> 10)) + chr(0xDC00 + (ord(c) & 0x3FF)) for c in word)


def _joined(word: str) -> str:
    return word.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")

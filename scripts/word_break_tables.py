"""Writes the generated modules of indexing/analysis: one class a code point, as UAX 29 word segmentation needs it.

    pip install regex==2020.2.20   && python scripts/word_break_tables.py classes 12.1
    pip install regex==2025.11.3   && python scripts/word_break_tables.py classes 17.0
    python3.11 scripts/word_break_tables.py assigned 14.0

The properties come from the package ``regex``, whose releases carry the Unicode Character Database: 12.1 is the
version that Lucene's StandardTokenizer is made with, 17.0 the newest one. Which code points are assigned comes from
the interpreter: 14.0 is the database of Python 3.11, the oldest interpreter that we support.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "indexing" / "analysis"
LAST = 0x10FFFF

#: Class -> the code points that have it, as a pattern; the first that fits counts. indexing/analysis/words.py says
#: what each class is for. ``&&`` and ``--`` are set operations of the package (its version 1 behaviour).
CLASSES = {
    "z": r"\p{WB=ZWJ}",
    "u": r"\uFE0E",
    "v": r"\uFE0F",
    "c": r"\u20E3",
    "t": r"[\U000E0020-\U000E007E]",
    "T": r"\U000E007F",
    "M": r"\p{Emoji_Modifier}",
    "S": r"[[\p{WB=Extend}\p{WB=Format}]&&\p{LB=SA}]",
    "y": r"[[\p{WB=Extend}\p{WB=Format}]&&\p{Script=Han}]",
    "x": r"[\p{WB=Extend}\p{WB=Format}]",
    "h": r"\p{WB=Hebrew_Letter}",
    "P": r"[\p{WB=ALetter}&&\p{Extended_Pictographic}]",
    "I": r"[\p{WB=ALetter}&&\p{Script=Han}]",
    "g": r"[\p{WB=ALetter}&&\p{Script=Hangul}]",
    "a": r"\p{WB=ALetter}",
    "n": r"[\p{WB=Numeric}[[\uFF00-\uFFEF]&&\p{Nd}]]",
    "k": r"\p{WB=Katakana}",
    "e": r"\p{WB=ExtendNumLet}",
    "l": r"\p{WB=MidLetter}",
    "b": r"\p{WB=MidNumLet}",
    "m": r"\p{WB=MidNum}",
    "s": r"\p{WB=Single_Quote}",
    "d": r"\p{WB=Double_Quote}",
    "i": r"\p{Script=Han}",
    "j": r"\p{Script=Hiragana}",
    "w": r"\p{LB=SA}",
    "r": r"\p{WB=Regional_Indicator}",
    "#": r"[#*]",
    "p": r"[\p{Extended_Pictographic}\p{Emoji}]",
}
#: Version -> a character that it has, and one that came later.
WITNESS = {"12.1": ("\u32ff", "\U00030000"), "17.0": ("\U00016ea0", ""), "14.0": ("\u0870", "\U00011f00")}

HEADER = '''"""{title}, Unicode {version}.

Written by scripts/word_break_tables.py; not to be edited. An item is a class and, in hexadecimal, for how many
code points it goes on, from U+0000 to U+10FFFF.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = "{version}"
RUNS: Final = (
'''


def word_class() -> Callable[[int], str]:
    import regex  # only this half of the script needs it

    tests = [(name, regex.compile(pattern, regex.V1).match) for name, pattern in CLASSES.items()]
    check(lambda c: regex.match(r"\p{Assigned}", c) is not None)

    def of(code: int) -> str:
        character = chr(code)
        return next((name for name, fits in tests if fits(character)), ".")

    return lambda code: "." if 0xD800 <= code < 0xE000 else of(code)


def assigned_class() -> Callable[[int], str]:
    check(lambda c: unicodedata.category(c) != "Cn")
    return lambda code: "?" if unicodedata.category(chr(code)) == "Cn" else "."


def check(assigned: Callable[[str], bool]) -> None:
    """Whether the database at hand is of the version that was asked for."""
    old, new = WITNESS[sys.argv[2]]
    if not assigned(old) or (new and assigned(new)):
        raise SystemExit(f"this is not the Unicode Character Database {sys.argv[2]}")


def runs(of: Callable[[int], str]) -> Iterator[str]:
    for name, group in groupby(map(of, range(LAST + 1))):
        yield f"{name}{sum(1 for _ in group):x}"


def lines(items: Iterator[str]) -> Iterator[str]:
    line = ""
    for item in items:
        if len(line) + len(item) > 108:
            yield line
            line = ""
        line += item + " "
    yield line.rstrip()


def main() -> None:
    kind, version = sys.argv[1:]
    of = word_class() if kind == "classes" else assigned_class()
    title = {"classes": "Word-break classes", "assigned": "Code points assigned"}[kind]
    target = FOLDER / f"{kind}_{version.replace('.', '_')}.py"
    body = "".join(f'    "{line}"\n' for line in lines(runs(of)))
    target.write_text(HEADER.format(title=title, version=version) + body + ")\n")
    sys.stdout.write(f"{target}\n")


if __name__ == "__main__":
    main()

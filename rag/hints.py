"""What kind of thing a question asks for, and whether a sentence holds one.

English; other languages get no hint.
"""

from __future__ import annotations

import re
from typing import Final, Literal

Kind = Literal["number", "date", "name", "place", "reason", "definition", "manner"]

_ASKS: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = (
    (
        "date",
        re.compile(r"\bwhen\b|\b(?:what|which)\s+(?:\w+\s+)?(?:year|date|day|month|century|decade|era|time)\b"),
    ),
    (
        "number",
        re.compile(
            r"\bhow\s+(?:many|much|long|old|tall|far|big|large|fast|often|high|deep|wide|heavy|few|late|early)\b"
            r"|\b(?:what|which)\s+(?:\w+\s+){0,3}?(?:percent|percentage|number|amount|price|cost|size|population"
            r"|age|rate|ratio|score|speed|length|height|weight|temperature|share|proportion|value|limit)\b"
        ),
    ),
    ("name", re.compile(r"\bwho(?:m|se)?\b|\b(?:what|which)\s+(?:\w+\s+){0,2}?(?:name|person|man|woman)\b")),
    (
        "place",
        re.compile(
            r"\bwhere\b|\b(?:what|which)\s+(?:\w+\s+)?(?:country|countries|city|cities|state|states|place|region"
            r"|location|continent|river|town|area)\b"
        ),
    ),
    ("reason", re.compile(r"\bwhy\b|\bwhat\s+(?:\w+\s+){0,2}?(?:caused?|causes|reasons?|purpose|led)\b")),
    ("manner", re.compile(r"\bhow\s+(?:do|does|did|can|could|is|are|was|were|to|should|would)\b")),
    ("definition", re.compile(r"^\s*what\s+(?:is|are|was|were|does)\b|\bstand for\b|\bdefin")),
)
_NUMBER_WORD: Final = (
    r"one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|sixty|seventy"
    r"|eighty|ninety|hundreds?|thousands?|millions?|billions?|trillions?|dozens?|half|third|quarter|twice|once"
)
_NUMBER: Final = re.compile(rf"\d[\d.,]*|\b(?:{_NUMBER_WORD})\b", re.IGNORECASE)
_DATE: Final = re.compile(
    r"\b1\d{3}s?\b|\b20\d{2}s?\b|\b(?:January|February|March|April|May|June|July|August|September|October"
    r"|November|December|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day)\b"
    r"|\b(?:century|centuries|decades?|BC|AD|CE|spring|summer|autumn|winter|morning|night)\b|\b\d{1,2}:\d{2}\b"
)
_NAME: Final = re.compile(r"(?<=[\w,;:)\"'] )[\"'(]?[A-Z][\w.'-]+|^[A-Z][\w'-]+(?= [A-Z][\w'-]+)")
_SIGNS: Final[dict[Kind, re.Pattern[str]]] = {
    "number": _NUMBER,
    "date": _DATE,
    "name": _NAME,
    "place": _NAME,
    "reason": re.compile(
        r"\b(?:because|due to|since|so that|in order to|as a result|therefore|caus|led to|leads to|owing|thus"
        r"|reason|so as to|thanks to|prevent|avoid|allow)",
        re.IGNORECASE,
    ),
    "definition": re.compile(
        r"\b(?:is|are|was|were) (?:an?|the|one|any)\b|\bmeans?\b|\brefers? to\b|\bknown as\b|\bcalled\b"
        r"|\bstands for\b|\bdefined\b|\bterm\b",
        re.IGNORECASE,
    ),
    "manner": re.compile(
        r"\bby \w+ing\b|\bby (?:means|way) of\b|\busing\b|\buse\b|\bthrough\b|\bvia\b|\bwith an?\b",
        re.IGNORECASE,
    ),
}


def asked_kind(question: str) -> Kind | None:
    """What the question asks for, None if its form does not say."""
    low = question.lower()
    for kind, pattern in _ASKS:
        if pattern.search(low):
            return kind
    return None


def shows(kind: Kind, sentence: str, question: str) -> bool:
    """Whether the sentence holds such a thing that the question does not hold already."""
    low = question.lower()
    return any(match.group().lower().strip(" \"'(") not in low for match in _SIGNS[kind].finditer(sentence))

"""Words and phrases of a text, as topics and keywords count them.

A word is a run of letters and digits with at least one letter, hyphens and apostrophes inside included, in lower
case. Phrases are single words and pairs of neighbours; none begins or ends with a stop word, and none reaches over a
stop word, a number or a mark of punctuation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

_TOKEN: Final = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*|[^\w\s]")
_LETTER: Final = re.compile(r"[^\W\d_]")
#: Shorter words say too little by themselves, longer ones are no words.
MIN_CHARS: Final = 2
MAX_CHARS: Final = 40

#: Function words of English, and words by which prose of any subject is held together.
STOP_WORDS: Final = frozenset(
    """
    a about above across after afterwards again against ago all almost alone along already also although always am
    among amongst an and another any anybody anyone anything anywhere apart are aren't around as aside at away back be
    became because become becomes becoming been before beforehand began begin behind being below beside besides best
    better between beyond both briefly but by came can can't cannot certain certainly come comes could couldn't did
    didn't different do does doesn't doing don't done down downwards due during e.g each either else elsewhere end
    enough entirely especially et etc even ever every everybody everyone everything everywhere exactly except fairly
    far few fewer finally find finds first five following follows for former formerly found four from full further
    furthermore gave general generally get gets getting give given gives giving go goes going gone got had hadn't
    has hasn't have haven't having he hence her here hereby herein hers herself him himself his how however i i.e if
    in inasmuch indeed instead into inward is isn't it it's its itself just keep keeps kept know known knows largely
    last later latter latterly least less lest let like likely likewise long longer made mainly make makes making
    many may maybe me mean means meanwhile merely might mine more moreover most mostly mr mrs ms much must my myself
    namely near nearly necessary need needs neither never nevertheless new next nine no nobody non none nonetheless
    nor normally not nothing now nowhere obtain obtained of off often okay old on once one ones only onto or other
    others otherwise ought our ours ourselves out outside over overall own part particular particularly per perhaps
    possible possibly present presented presumably previously probably provide provided provides put quite rather
    really reasonably recent recently regarding regardless regards relatively respectively same saw say saying says
    second see seeing seem seemed seeming seems seen self selves seven several shall she should shouldn't show showed
    shown shows significantly similar similarly since six so some somebody somehow someone something sometime sometimes
    somewhat somewhere soon still such sure take taken takes taking ten than that that's the their theirs them
    themselves then thence there thereafter thereby therefore therein thereof thereupon these they thing things third
    this thorough thoroughly those though three through throughout thru thus to together too took toward towards tried
    try trying two under underlying unless unlike until up upon us use used useful uses using usually various very via
    was wasn't way ways we well went were weren't what whatever when whence whenever where whereafter whereas whereby
    wherein whereupon wherever whether which while whither who whoever whole whom whose why will with within without
    won't would wouldn't yes yet you your yours yourself yourselves
    """.split()  # noqa: SIM905
)


def segments(text: str) -> Iterator[list[str]]:
    """Runs of neighbouring words: whatever parts them (stop words, numbers, punctuation) is left out."""
    run: list[str] = []
    for token in _TOKEN.findall(text.lower().replace("’", "'")):
        word = _word(token)
        if word:
            run.append(word)
        elif run:
            yield run
            run = []
    if run:
        yield run


def words(text: str) -> list[str]:
    """The words of a text that are no stop words, in order."""
    return [word for run in segments(text) for word in run]


def phrases(text: str) -> list[str]:
    """Words and pairs of neighbours, in order of appearance, with repetitions."""
    found: list[str] = []
    for run in segments(text):
        for at, word in enumerate(run):
            found.append(word)
            if at + 1 < len(run) and word != run[at + 1]:
                found.append(f"{word} {run[at + 1]}")
    return found


@lru_cache(maxsize=1 << 18)
def _word(token: str) -> str:
    """The word that a token stands for, "" if it stands for none."""
    word = token.removesuffix("'s")
    fits = MIN_CHARS <= len(word) <= MAX_CHARS and word not in STOP_WORDS and _LETTER.search(word)
    return word if fits else ""

"""Answers against gold answers: exact match and token F1 by SQuAD's rules.

Source: Rajpurkar et al., EMNLP 2016, section 6.1, and for questions without an answer Rajpurkar et al.,
ACL 2018: there the empty prediction is right, and nothing else.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Final

_ARTICLES: Final = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """Lower case, without ASCII punctuation and English articles, blanks collapsed."""
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(prediction: str, golds: Sequence[str]) -> float:
    """1 if the prediction equals a gold answer after :func:`normalise`; no gold answer is the empty one."""
    wanted = {normalise(g) for g in golds} or {""}
    return float(normalise(prediction) in wanted)


def token_f1(prediction: str, golds: Sequence[str]) -> float:
    """Best F1 of shared tokens over the gold answers; no gold answer is the empty one.

    Against an empty answer only an empty prediction scores.
    """
    return max((_f1(prediction, gold) for gold in golds), default=_f1(prediction, ""))


def contains_answer(text: str, golds: Sequence[str]) -> float:
    """1 if the normalised text contains a normalised gold answer as a run of tokens.

    A softer question for long answers, which token F1 punishes for their length.
    """
    hay = f" {normalise(text)} "
    return float(any(f" {normalise(g)} " in hay for g in golds if normalise(g)))


def _f1(prediction: str, gold: str) -> float:
    said, wanted = normalise(prediction).split(), normalise(gold).split()
    if not said or not wanted:
        return float(said == wanted)
    shared = sum((Counter(said) & Counter(wanted)).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(said), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)

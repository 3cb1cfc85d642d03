"""What an expansion has still to do, counted before it begins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from twindex.indexing.expansion.records import content_hash
from twindex.indexing.types import Passage
from twindex.rag.expand.prompts import DOCUMENT_TOKENS, ExpandPrompt, Shown, count_tokens, cut
from twindex.rag.expand.report import Estimate
from twindex.rag.expand.stage import Expansion

#: Tokens of a generated query and of a chosen keyword, line feed included. Source: 1.1 million queries of
#: Qwen2.5-Coder-1.5B-Instruct over four collections, eval/LOG.md.
QUERY_TOKENS: Final = 16
KEYWORD_TOKENS: Final = 4
#: Tokens around keywords and topics in a prompt.
GUIDANCE_TOKENS: Final = 60


def estimate(expansion: Expansion, passages: Iterable[Passage]) -> Estimate:
    """Documents, requests and tokens that are still to come; near-duplicates may add some.

    Cost: one pass over the passages.
    """
    config = expansion.config
    documents = pending = requests = prompts = shared = completions = 0
    common = {way: _common(config.prompt(way), way.lines) for way in config.ways} if config.writes else {}
    choosing = _common(config.selection(), config.keywords) if config.selects else 0
    seen: set[bytes] = set()
    for passage in passages:
        document = content_hash(passage.contents)
        if document in seen:
            continue
        seen.add(document)
        documents += 1
        sets = expansion.missing(document)
        if not sets:
            continue
        pending += 1
        if not config.writes:
            continue
        own = count_tokens(cut(passage.text, DOCUMENT_TOKENS)) + count_tokens(passage.title)
        own += GUIDANCE_TOKENS if config.guided else 0
        calls = [common[config.way(number)] for number in sets] + [choosing] * config.selects
        requests += len(calls)
        prompts += sum(calls) + len(calls) * own
        shared += sum(calls)
        completions += sum(config.way(number).lines for number in sets) * QUERY_TOKENS
        completions += config.selects * config.keywords * KEYWORD_TOKENS
    return Estimate(documents, pending, requests, prompts, shared, completions)


def _common(prompt: ExpandPrompt, lines: int) -> int:
    """Tokens of instructions and worked examples."""
    return count_tokens(prompt.render(Shown("", ""), count=lines).text)

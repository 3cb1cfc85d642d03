"""From ranking to cited answer: contexts in a budget, prompts, generators, validated citations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twindex.indexing.public import public_names

if TYPE_CHECKING:
    from twindex.rag.batch import Ask, BatchGenerator, Sampling
    from twindex.rag.citations import CitationConfig
    from twindex.rag.context import ContextBuilder, ContextConfig
    from twindex.rag.engine import AnswerEngine, EngineConfig
    from twindex.rag.events import Cited, Event, Final, Retrieved, Token
    from twindex.rag.forms import Lines
    from twindex.rag.generator import Generator
    from twindex.rag.generators.extractive import ExtractiveConfig, ExtractiveGenerator
    from twindex.rag.generators.llama_cpp import LlamaCppConfig, LlamaCppGenerator
    from twindex.rag.generators.openai import OpenAIConfig, OpenAIGenerator
    from twindex.rag.prompt import BRIEF, CITED, Prompt, PromptTemplate, render
    from twindex.rag.resolve import resolve_generator
    from twindex.rag.sentences import Span, split_sentences
    from twindex.rag.source import PassageHit, PassageRanking, PassageSource
    from twindex.rag.tokens import EstimatedTokens, TokenCounter
    from twindex.rag.types import Answer, Binding, Citation, Context, ContextPassage, Draft, Part, RankedId, Usage

__all__ = [
    "BRIEF",
    "CITED",
    "Answer",
    "AnswerEngine",
    "Ask",
    "BatchGenerator",
    "Binding",
    "Citation",
    "CitationConfig",
    "Cited",
    "Context",
    "ContextBuilder",
    "ContextConfig",
    "ContextPassage",
    "Draft",
    "EngineConfig",
    "EstimatedTokens",
    "Event",
    "ExtractiveConfig",
    "ExtractiveGenerator",
    "Final",
    "Generator",
    "Lines",
    "LlamaCppConfig",
    "LlamaCppGenerator",
    "OpenAIConfig",
    "OpenAIGenerator",
    "Part",
    "PassageHit",
    "PassageRanking",
    "PassageSource",
    "Prompt",
    "PromptTemplate",
    "RankedId",
    "Retrieved",
    "Sampling",
    "Span",
    "Token",
    "TokenCounter",
    "Usage",
    "render",
    "resolve_generator",
    "split_sentences",
]

#: Module (below this package) -> the public names that live in it.
_HOMES = {
    "batch": ("Ask", "BatchGenerator", "Sampling"),
    "citations": ("CitationConfig",),
    "context": ("ContextBuilder", "ContextConfig"),
    "engine": ("AnswerEngine", "EngineConfig"),
    "events": ("Cited", "Event", "Final", "Retrieved", "Token"),
    "forms": ("Lines",),
    "generator": ("Generator",),
    "generators.extractive": ("ExtractiveConfig", "ExtractiveGenerator"),
    "generators.llama_cpp": ("LlamaCppConfig", "LlamaCppGenerator"),
    "generators.openai": ("OpenAIConfig", "OpenAIGenerator"),
    "prompt": ("BRIEF", "CITED", "Prompt", "PromptTemplate", "render"),
    "resolve": ("resolve_generator",),
    "sentences": ("Span", "split_sentences"),
    "source": ("PassageHit", "PassageRanking", "PassageSource"),
    "tokens": ("EstimatedTokens", "TokenCounter"),
    "types": ("Answer", "Binding", "Citation", "Context", "ContextPassage", "Draft", "Part", "RankedId", "Usage"),
}
__getattr__, __dir__ = public_names(__name__, _HOMES)

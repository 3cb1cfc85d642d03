"""Request and response bodies of the REST API, and their conversion to domain types."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from twindex.indexing.filters import Filter, filter_from_dict, parse_filter

Mode = Literal["hybrid", "sparse", "dense"]
#: More hits than anybody reads, few enough to answer at once.
MAX_K = 10_000

FilterBody = Annotated[
    str | dict[str, Any] | None,
    Field(
        description="A condition on metadata: an expression, as in the example, or its JSON form.",
        examples=["year >= 2020 and lang = 'en'"],
    ),
]


class Body(BaseModel):
    """A request body: unknown fields are errors, since a misspelt option must not be ignored."""

    model_config = ConfigDict(extra="forbid")


class SearchRequest(Body):
    """One query."""

    query: str = Field(description="What to look for. Empty finds nothing.", examples=["how to read a csv file"])
    k: int = Field(default=10, ge=0, le=MAX_K, description="How many hits.")
    mode: Mode = Field(default="hybrid", description="Which index: both fused, words only, meaning only.")
    filter: FilterBody = None
    explain: bool = Field(default=False, description="Add to each hit the tree that explains its score.")


class AnswerRequest(Body):
    """One question."""

    question: str = Field(min_length=1, description="What to answer.", examples=["How do I read a csv file?"])
    k: int = Field(default=8, ge=1, le=100, description="How many hits may become context.")
    mode: Mode = Field(default="hybrid", description="Which index finds the context.")
    filter: FilterBody = None


class Span(BaseModel):
    """Where in its document the text of a hit stands, in characters."""

    model_config = ConfigDict(extra="allow")
    id: str
    start: int
    end: int


class HitBody(BaseModel):
    """One hit."""

    model_config = ConfigDict(extra="allow")
    id: str
    score: float
    title: str
    text: str
    metadata: dict[str, Any]


class SearchResponse(BaseModel):
    """The hits, best first: score descending, ties in document order."""

    model_config = ConfigDict(extra="allow")
    query: str
    mode: str
    hits: list[HitBody]
    took_ms: float


class CitationBody(BaseModel):
    """Which span of which document supports a sentence of the answer."""

    model_config = ConfigDict(extra="allow")


class AnswerResponse(BaseModel):
    """An answer whose citations were checked against the passages; or an abstention that says so."""

    model_config = ConfigDict(extra="allow")
    question: str
    answer: str
    citations: list[CitationBody]
    abstained: bool


class HealthResponse(BaseModel):
    """Whether this process can answer, and from what."""

    status: Literal["ok"]
    version: str
    index: str
    generation: int
    documents: int = Field(description="Live passages.")
    segments: int
    modes: list[Mode]


class Problem(BaseModel):
    """An error, as RFC 9457 has it, with the three clauses of every twindex error."""

    type: str = Field(description="Stable identifier of the kind of error.")
    title: str
    status: int
    detail: str
    given: str = ""
    expected: str = ""
    remedy: str = ""


def to_filter(body: str | dict[str, Any] | None) -> Filter | None:
    """The filter of a request body.

    Raises:
        FilterError: If it cannot be read.
    """
    if body is None:
        return None
    return parse_filter(body) if isinstance(body, str) else filter_from_dict(body)

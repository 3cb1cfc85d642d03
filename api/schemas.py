"""Request and response bodies of the REST API, and their conversion to domain types."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from twindex.api.schemas_legs import LegOptions, Whole
from twindex.indexing.filters import Filter, filter_from_dict, parse_filter
from twindex.retrieval.profile import Recipe

Mode = Literal["hybrid", "sparse", "dense"]
#: More hits than anybody reads, few enough to answer at once.
MAX_K = 10_000
#: Fields of a response that clients may meet in later releases.
OPEN = ConfigDict(extra="allow")


FilterBody = Annotated[
    str | dict[str, Any] | None,
    Field(
        description="A condition on metadata: an expression, as in the example, or its JSON form.",
        examples=["year >= 2020 and lang = 'en'"],
    ),
]
FusionBody = Annotated[
    dict[str, Any] | None,
    Field(
        description="How to fuse this once: method rrf (with k) or convex (with normalise), and a weight for each leg. "
        "Left out, the server's profile decides. The response says what was used.",
        examples=[{"method": "rrf", "k": 60, "weights": {"sparse": 1.0, "dense": 1.0}}],
    ),
]


class SearchBody(LegOptions):
    """What one query and a batch of them share."""

    k: Whole = Field(default=10, ge=0, le=MAX_K, description="How many hits; with a cursor, how many more.")
    mode: Mode = Field(default="hybrid", description="Which index: both fused, words only, meaning only.")
    filter: FilterBody = None
    explain: bool = Field(default=False, description="Add to each hit the tree that explains its score.")
    highlight: bool = Field(default=False, description="Add to each hit the spans of its text that match.")
    text: bool = Field(default=True, description="Whether hits come with their texts, the bulk of most responses.")
    fusion: FusionBody = None


class SearchRequest(SearchBody):
    """One query."""

    query: str = Field(description="What to look for. Empty finds nothing.", examples=["how to read a csv file"])
    cursor: str | None = Field(default=None, max_length=200, description="The cursor of the page before.")


class BatchRequest(SearchBody):
    """Many queries at once."""

    queries: list[str] = Field(min_length=1, description="What to look for.", examples=[["read a csv", "parse a date"]])


class AnswerRequest(LegOptions):
    """One question."""

    question: str = Field(min_length=1, description="What to answer.", examples=["How do I read a csv file?"])
    k: Whole = Field(default=8, ge=1, le=100, description="How many hits may become context.")
    mode: Mode = Field(default="hybrid", description="Which index finds the context.")
    filter: FilterBody = None
    fusion: FusionBody = None
    stream: bool = Field(default=False, description="Answer with server-sent events, as Accept: text/event-stream.")


class Span(BaseModel):
    """Where in its document the text of a hit stands, in characters."""

    model_config = OPEN
    id: str
    start: int
    end: int


class HitBody(BaseModel):
    """One hit."""

    model_config = OPEN
    id: str
    score: float
    title: str
    text: str | None = Field(default=None, description="Left out where the request wants none.")
    metadata: dict[str, Any]
    highlights: list[list[int]] | None = Field(default=None, description="[start, end] in characters of the text.")


class SearchResponse(BaseModel):
    """The hits, best first: score descending, ties in document order."""

    model_config = OPEN
    query: str
    mode: str
    hits: list[HitBody]
    took_ms: float
    cursor: str | None = Field(default=None, description="For the next page; null after the last one.")
    fusion: dict[str, Any] | None = Field(default=None, description="How the legs of a search were fused.")
    reranked: dict[str, Any] | None = Field(default=None, description="Which reranker ordered how many hits.")
    notes: list[str] | None = None


class BatchResponse(BaseModel):
    """One result a query, in their order."""

    results: list[SearchResponse]
    took_ms: float


class CitationBody(BaseModel):
    """Which span of which document supports a sentence of the answer."""

    model_config = OPEN


class AnswerResponse(BaseModel):
    """An answer whose citations were checked against the passages; or an abstention that says so."""

    model_config = OPEN
    question: str
    answer: str
    citations: list[CitationBody]
    abstained: bool


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


def to_recipe(body: dict[str, Any] | None) -> Recipe | None:
    """The fusion of a request body.

    Raises:
        ConfigError: If it cannot be read.
    """
    return None if body is None else Recipe.from_dict(body)

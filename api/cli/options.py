"""Options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

import typer

from twindex.indexing.errors import ConfigError
from twindex.retrieval.expanded import AGGREGATES, FIELD_FORMS
from twindex.retrieval.options import IDF_SOURCES, LEARNED_QUERIES, SPARSE_LEGS, SearchOptions
from twindex.retrieval.rerank import WEIGHT

IndexDir = Annotated[Path, typer.Argument(metavar="DIR", help="Index directory.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Hits = Annotated[int, typer.Option("-k", help="How many hits.")]
Mode = Annotated[str, typer.Option("--mode", help="hybrid, sparse or dense.", metavar="[hybrid|sparse|dense]")]
FilterExpression = Annotated[
    str | None,
    typer.Option("--filter", metavar="EXPR", help="Condition on metadata, as in: year >= 2020 and lang = 'en'"),
]
Sparse = Annotated[
    str | None,
    typer.Option(
        "--sparse",
        metavar="[bm25|learned|both]",
        help="Which sparse legs to ask.",
        show_default="the profile's; else all in hybrid mode, the learned leg in sparse mode",
    ),
]
Rerank = Annotated[
    int, typer.Option("--rerank", metavar="N", help="Let a reranker read and reorder the N best hits; 0 = none.")
]
RerankWeight = Annotated[
    float,
    typer.Option("--rerank-weight", metavar="SHARE", help="The reranker's share in their scores; 1 = its order alone."),
]
Reranker = Annotated[
    str | None,
    typer.Option(
        "--reranker", metavar="NAME|DIR", help="Which reranker.", show_default="the one that comes with twindex"
    ),
]
Prune = Annotated[
    float,
    typer.Option(
        "--prune", metavar="SHARE", help="Leave learned query terms below this share of the heaviest out (approximate)."
    ),
]
TwoPhase = Annotated[
    float,
    typer.Option(
        "--two-phase",
        metavar="SHARE",
        help="Look terms below this share of the heaviest up for the best candidates alone; the answer stays exact.",
    ),
]
Budget = Annotated[
    float,
    typer.Option(
        "--budget", metavar="SHARE", help="Let the learned leg touch this share of a query's postings (approximate)."
    ),
]
Recall = Annotated[
    float | None,
    typer.Option(
        "--recall",
        metavar="SHARE",
        help="Let the learned leg find this share of its exact list, with as little work as that takes.",
        show_default="all, exactly",
    ),
]
Idf = Annotated[
    str | None,
    typer.Option(
        "--idf",
        metavar="[model|index]",
        help="Weights of learned queries: the model's, or counted in this index.",
        show_default="the index's, where it counts the model's terms",
    ),
]
LearnedQueries = Annotated[
    str,
    typer.Option(
        "--learned-queries",
        metavar="[words|model]",
        help="Ask the learned leg for the query's words, or also for what the model adds to them (a pass a query).",
    ),
]
Expansion = Annotated[
    bool | None,
    typer.Option(
        "--expansion/--no-expansion",
        help="Search the generated queries as well.",
        show_default="if the index has them",
    ),
]
Alpha = Annotated[
    float | None,
    typer.Option("--alpha", metavar="SHARE", help="Share of the generated queries in the dense leg, 0 to 1."),
]
Aggregate = Annotated[
    str | None,
    typer.Option("--aggregate", metavar="[max|mean]", help="The nearest generated query counts, or their mean."),
]
FieldWeight = Annotated[
    float | None,
    typer.Option("--field-weight", metavar="W", help="How much words of generated queries count in the sparse legs."),
]
FieldFormName = Annotated[
    str | None,
    typer.Option(
        "--field-form",
        metavar="[bm25f|additive]",
        help="Generated queries join the text before BM25's formula, or their score is added.",
    ),
]
OnError = Annotated[
    str,
    typer.Option("--on-error", metavar="[fail|skip]", help="What to do with a record that cannot be read."),
]
Format = Annotated[
    str | None,
    typer.Option("--format", help="Corpus format, when the file name does not tell: beir, jsonl, csv, tsv, parquet."),
]
IdField = Annotated[str | None, typer.Option(help="Field or column of the document id.")]
TextField = Annotated[str | None, typer.Option(help="Field or column of the text.")]
TitleField = Annotated[str | None, typer.Option(help="Field or column of the title.")]
Profile = Annotated[
    Path | None, typer.Option("--profile", help="Search profile (JSON), as written by: twindex eval tune")
]

Choice = TypeVar("Choice", bound=str)


def chosen(value: str, choices: tuple[Choice, ...], option: str) -> Choice:
    """The choice that was typed.

    Raises:
        ConfigError: If it is none of them.
    """
    for choice in choices:
        if choice == value:
            return choice
    raise ConfigError(f"{option} {value!r}", expected=f"{', '.join(choices[:-1])} or {choices[-1]}")


def search_options(
    *,
    sparse: str | None = None,
    rerank: int = 0,
    rerank_weight: float = WEIGHT,
    prune: float = 0.0,
    two_phase: float = 0.0,
    budget: float = 1.0,
    recall: float | None = None,
    idf: str | None = None,
    learned_queries: str = "words",
    expansion: bool | None = None,
    alpha: float | None = None,
    aggregate: str | None = None,
    field_weight: float | None = None,
    field_form: str | None = None,
) -> SearchOptions:
    """The options of a search from what was typed.

    Raises:
        ConfigError: If a word is none of the choices.
        QueryError: If a number is out of range.
    """
    return SearchOptions(
        sparse=None if sparse is None else chosen(sparse, SPARSE_LEGS, "--sparse"),
        rerank=rerank,
        rerank_weight=rerank_weight,
        prune=prune,
        two_phase=two_phase,
        budget=budget,
        recall=recall,
        idf=None if idf is None else chosen(idf, IDF_SOURCES, "--idf"),
        learned_queries=chosen(learned_queries, LEARNED_QUERIES, "--learned-queries"),
        expansion=expansion,
        alpha=alpha,
        aggregate=None if aggregate is None else chosen(aggregate, AGGREGATES, "--aggregate"),
        field_weight=field_weight,
        field_form=None if field_form is None else chosen(field_form, FIELD_FORMS, "--field-form"),
    )

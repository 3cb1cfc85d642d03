"""``twindex train``: from folders of documents to a training set, and from that to an encoder."""

from __future__ import annotations

import json as json_lib
import logging
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from twindex.api.cli import options
from twindex.api.cli.console import progress_bars
from twindex.api.cli.plain import emit_json
from twindex.api.cli.train_search import lexical_search
from twindex.indexing.corpus import open_corpus
from twindex.indexing.encoders.bert_graph import Precision
from twindex.indexing.encoders.idf_table import corpus_idf, idf_bytes
from twindex.indexing.encoders.term_space import TermSpace
from twindex.indexing.encoders.twin import DEFAULT_LENGTH
from twindex.indexing.errors import ConfigError
from twindex.indexing.training.export import PAIR_LENGTH, export_reranker, export_twin, run_weights
from twindex.indexing.training.outputs import write_atomically
from twindex.indexing.training.overlap import Guard
from twindex.indexing.training.prepare import prepare
from twindex.indexing.training.sources import SourceSpec

if TYPE_CHECKING:  # the module loads torch
    from twindex.indexing.training.config import Recipe

RECIPES: Final[tuple[Recipe, ...]] = ("twin", "sparse", "dense", "rerank")
#: What a query's expansions count while a siamese encoder learns.
SIAMESE = 1.0
HELP = {
    "twin": "Train an encoder that gives a dense and a sparse vector in one pass; run again, it resumes.",
    "sparse": "Train an inference-free sparse encoder; run again, it resumes.",
    "dense": "Train a dense encoder; run again, it resumes.",
    "rerank": "Train a cross-encoder that scores a query with a document; run again, it resumes.",
}

Data = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="Training set, as 'prepare' makes it.", show_default=False)
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write.", show_default=False)]
Base = Annotated[
    Path,
    typer.Option("--base", metavar="FILE", help="model.safetensors of the student to begin with.", show_default=False),
]
Teacher = Annotated[
    list[Path] | None, typer.Option("--teacher", metavar="DIR", help="Sentence encoder to learn from; repeatable.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting of the run, as in steps=500; repeatable."),
]
Minutes = Annotated[float, typer.Option(help="Stop after so many minutes; the same command resumes. 0 = no limit.")]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Train encoders on your own texts (needs the extra 'train').", no_args_is_help=True)
    group.command("prepare")(prepare_command)
    for recipe in RECIPES:
        group.command(recipe, help=HELP[recipe])(_recipe_command(recipe))
    group.command("export")(export_command)
    group.command("idf")(idf_command)
    app.add_typer(group, name="train")


def prepare_command(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="FOLDER[,split=NAME][,sentences=NUMBER][,limit=N]: a BEIR folder; without a split its titles "
            "are the queries; sentences are drawn from the texts as further queries.",
            show_default=False,
        ),
    ],
    out: Out,
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", metavar="DIR", help="Evaluation set whose texts must not be trained on; repeatable."),
    ] = None,
    negatives: Annotated[int, typer.Option(help="Hard negatives a query, mined with BM25; 0 = none.")] = 8,
    skip: Annotated[int, typer.Option(help="Best ranks that are never a negative.")] = 0,
    json: options.Json = False,
) -> None:
    """Gather pairs, drop what an evaluation contains, mine hard negatives with BM25, and pack it all as tokens."""
    specs = [SourceSpec.parse(text) for text in sources]
    guard = Guard.of(against or [])
    with ExitStack() as stack, progress_bars() as progress:
        maker = lexical_search(stack) if negatives else None
        made = prepare(specs, guard, maker, negatives=negatives, skip=skip, progress=progress)
    digest = made.save(out)
    if json:
        emit_json({**made.about, "sha256": digest})
        return
    typer.echo(f"{len(made):,} queries over {len(made.passages):,} passages in {out} (sha256 {digest[:16]}...)")
    for name, count in sorted(made.about["refused"].items()):
        typer.echo(f"  refused, since {name} contains it: {count:,}")


def _recipe_command(recipe: Recipe) -> Any:
    def command(
        data: Data,
        base: Base,
        out: Out,
        teacher: Teacher = None,
        idf: Annotated[Path | None, typer.Option(metavar="FILE", help="idf.npz; without, that of the texts.")] = None,
        cross: Annotated[
            Path | None, typer.Option(metavar="FILE", help="model.safetensors of a trained reranker to learn from too.")
        ] = None,
        cache: Annotated[Path | None, typer.Option(metavar="DIR", help="Where teacher vectors are kept.")] = None,
        probe: Annotated[
            list[str] | None,
            typer.Option(metavar="FOLDER,split=NAME", help="Judged set to look at during training; repeatable."),
        ] = None,
        siamese: Annotated[
            bool,
            typer.Option(
                "--siamese", help="Of a sparse side: let the model read queries too, and learn to expand them."
            ),
        ] = False,
        settings: Settings = None,
        device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
        minutes: Minutes = 0.0,
        verbose: Annotated[bool, typer.Option(help="Print the log's lines as they are written.")] = False,
    ) -> None:
        from twindex.indexing.training.config import defaults  # torch is loaded from here on
        from twindex.indexing.training.probe import probe_set
        from twindex.indexing.training.recipes import Inputs, make_trainer, train

        if verbose:
            logging.basicConfig(level=logging.INFO, format="%(message)s")
        if siamese and recipe not in ("twin", "sparse"):
            raise ConfigError(f"--siamese of the recipe {recipe}", expected="twin or sparse, which have a sparse side")
        form = {"query_expansion": SIAMESE} if siamese else {}
        config = replace(defaults(recipe), **{**form, **_settings(settings or [])})
        inputs = Inputs(data, base, tuple(teacher or ()), cross, idf, cache, device)
        probes = {text: probe_set(SourceSpec.parse(text)) for text in probe or []}
        with progress_bars() as progress:
            trainer = make_trainer(config, inputs, out, probes=probes, progress=progress)
            every = max(1, config.steps // 8) if probes else 0
            done = train(trainer, minutes=minutes or float("inf"), probe_every=every, progress=progress)
        state = "done" if done else "stopped; the same command goes on"
        typer.echo(f"step {trainer.step:,} of {config.steps:,} in {out}: {state}")

    return command


def export_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.", show_default=False)],
    out: Out,
    precision: Annotated[str, typer.Option(metavar="[int8|fp32]")] = "int8",
    max_length: Annotated[
        int | None,
        typer.Option(help="Tokens that are read at a time, special ones included.", show_default="256; 288 of a pair"),
    ] = None,
) -> None:
    """Write the served form of a run: an ONNX graph, of an encoder also its tables of terms, and their hashes."""
    if precision not in ("int8", "fp32"):
        raise ConfigError(f"--precision {precision!r}", expected="int8 or fp32")
    _, record = run_weights(run)
    wanted: Precision = "int8" if precision == "int8" else "fp32"
    if record["config"]["recipe"] == "rerank":
        about = export_reranker(run, out, precision=wanted, max_length=max_length or PAIR_LENGTH)
    else:
        about = export_twin(run, out, precision=wanted, max_length=max_length or DEFAULT_LENGTH)
    size = sum((out / name).stat().st_size for name in about["sha256"])
    typer.echo(f"{size / 1e6:.1f} MB in {out}, step {about['training']['step']}")


def idf_command(
    corpus: Annotated[
        Path, typer.Argument(metavar="CORPUS", help="A BEIR folder or a corpus file.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="idf.npz to write.", show_default=False)],
) -> None:
    """Compute the idf of each term from your own corpus: what inference-free queries are weighed by."""
    space = TermSpace.bert_uncased()
    weights = corpus_idf((f"{d.title} {d.text}" if d.title else d.text for d in open_corpus(corpus)), space)
    write_atomically(out, idf_bytes(weights, space))
    typer.echo(f"idf of {int((weights < weights.max()).sum()):,} terms in {out}")


def _settings(parts: list[str]) -> dict[str, Any]:
    """Settings as JSON values where they are such, else as text.

    Raises:
        ConfigError: If a part is no NAME=VALUE, or there is no such setting.
    """
    from dataclasses import fields

    from twindex.indexing.training.config import TrainConfig

    names = {field.name for field in fields(TrainConfig)} - {"recipe"}
    found: dict[str, Any] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals or name not in names:
            raise ConfigError(f"--set {part!r}", expected=f"NAME=VALUE with one of {', '.join(sorted(names))}")
        try:
            found[name] = json_lib.loads(value)
        except ValueError:
            found[name] = value
        if isinstance(found[name], list):
            found[name] = tuple(found[name])
    return found

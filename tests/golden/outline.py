"""The public faces of the program as plain values: commands with their options, and REST routes with their bodies.

    python -m tests.golden.outline      # from the root: writes cli.json and openapi.json anew

An intended change of a face shows as a difference of these files in the commit that makes it.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import typer.main

from twindex.api.app import AppConfig, create_app
from twindex.api.cli import COMMANDS, build_app
from twindex.indexing.writer import IndexWriter
from twindex.rag.generators.extractive import ExtractiveGenerator

FOLDER = Path(__file__).parent
FILES = ("cli.json", "openapi.json")


def cli_outline() -> dict[str, Any]:
    """Command -> its help, arguments and options."""
    return _commands(typer.main.get_command(build_app(list(COMMANDS))))


def _commands(group: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, command in sorted(group.commands.items()):
        out[name] = _commands(command) if hasattr(command, "commands") else _command(command)
    return out


def _command(command: Any) -> dict[str, Any]:
    return {
        "help": (command.help or "").split("\n\n")[0],
        "parameters": [
            {
                "names": [*parameter.opts, *parameter.secondary_opts],
                "required": parameter.required,
                "default": _plain(parameter.default),
                "help": parameter.help or "",
            }
            for parameter in command.params
        ],
    }


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def openapi_outline() -> dict[str, Any]:
    """Route -> parameters, bodies and statuses; schema -> fields. What releases of the framework reword is left out."""
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        with IndexWriter.create(index) as writer:
            writer.commit()
        document = create_app(AppConfig(index, ExtractiveGenerator())).openapi()
    return {
        "paths": {
            f"{method.upper()} {path}": _operation(operation)
            for path, methods in sorted(document["paths"].items())
            for method, operation in sorted(methods.items())
        },
        "schemas": {name: _schema(schema) for name, schema in sorted(document["components"]["schemas"].items())},
    }


def _operation(operation: dict[str, Any]) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {})
    return {
        "summary": operation.get("summary", ""),
        "parameters": sorted(f"{p['in']} {p['name']}" for p in operation.get("parameters", [])),
        "body": _bodies(body),
        "answers": {
            status: {
                kind: _type(content.get("schema", {})) for kind, content in sorted(answer.get("content", {}).items())
            }
            for status, answer in sorted(operation["responses"].items())
        },
    }


def _bodies(content: dict[str, Any]) -> dict[str, str]:
    return {kind: _type(form.get("schema", {})) for kind, form in sorted(content.items())}


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "required": sorted(schema.get("required", [])),
        "fields": {name: _type(field) for name, field in sorted(schema.get("properties", {}).items())},
    }


def _type(schema: dict[str, Any]) -> str:
    """As in "string", "array of Hit", "integer or null"."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return " or ".join(map(_type, schema[key]))
    if schema.get("type") == "array":
        return f"array of {_type(schema.get('items', {}))}"
    return str(schema.get("type", "anything"))


def outline(name: str) -> str:
    """The text of one of FILES."""
    value = cli_outline() if name == "cli.json" else openapi_outline()
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    for file in FILES:
        (FOLDER / file).write_text(outline(file), encoding="utf-8")

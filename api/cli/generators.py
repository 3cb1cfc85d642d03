"""From an option to what writes answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twindex.api.settings import Settings

if TYPE_CHECKING:
    from twindex.rag.generator import Generator

#: The generator that needs no model, and nothing to be checked.
EXTRACTIVE: Final = "extractive"


def generator_from(name: str | None) -> Generator:
    """The generator of that name, or the environment's default.

    Raises:
        ConfigError: If the name has none of the known forms.
        MissingError: If its model or its runtime is not here.
    """
    from twindex.rag.resolve import resolve_generator

    settings = Settings.from_environment()
    return resolve_generator(name or settings.generator, api_key=settings.api_key)


def generator_if_any(name: str | None) -> Generator | None:
    """The same; None for the extractive one, which a server loads when the first answer is asked for."""
    wanted = name or Settings.from_environment().generator
    return None if wanted.strip() == EXTRACTIVE else generator_from(name)

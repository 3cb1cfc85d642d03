"""API keys: 256 random bits each, kept only as a hash, with scopes, the indexes they are good for, and an end.

A key reads ``tw_ID_SECRET``. A slow hash would protect secrets that people choose; these cannot be guessed, so one
salted SHA-256 is enough and costs a request nothing. Comparison takes the same time for right and wrong secrets, and
for ids that do not exist.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from twindex.indexing.directory import sync_path
from twindex.indexing.errors import ConfigError, UsageError

Scope = Literal["read", "write", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
KEYS_FILE: Final = "keys.json"
#: What a wider scope allows besides itself.
INCLUDES: Final[dict[Scope, frozenset[Scope]]] = {
    "read": frozenset({"read"}),
    "write": frozenset({"read", "write"}),
    "admin": frozenset({"read", "write", "admin"}),
}
#: Seconds after which a changed file is noticed, at most: so long a revoked key may still be good.
RELOAD: Final = 1.0
_FORM: Final = re.compile(r"tw_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_NAME: Final = re.compile(r"[^\x00-\x1f\x7f]{0,100}")
_NOBODY: Final = ("0" * 32, "0" * 64)


@dataclass(frozen=True, slots=True)
class Key:
    """What is kept of a key. ``indexes`` names indexes, or is ``("*",)``; times are seconds since 1970, 0 = none."""

    id: str
    name: str
    salt: str
    hash: str
    scope: Scope
    indexes: tuple[str, ...] = ("*",)
    created: float = 0.0
    expires: float = 0.0
    revoked: float = 0.0

    def active(self, now: float) -> bool:
        """Whether it is good at that time."""
        return not self.revoked and (not self.expires or now < self.expires)

    def allows(self, scope: Scope, index: str | None) -> bool:
        """Whether it may do that to that index; None = to the server as a whole, which takes a grant for all."""
        if scope not in INCLUDES[self.scope]:
            return False
        return "*" in self.indexes or (index is not None and index in self.indexes)

    def shown(self) -> dict[str, Any]:
        """What lists may show: no salt and no hash."""
        plain = asdict(self)
        del plain["salt"], plain["hash"]
        return plain | {"active": self.active(time.time())}


class KeyStore:
    """The keys of a server, in one file that only its owner may read.

    Args:
        folder: Where the file is.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / KEYS_FILE
        self._lock = threading.Lock()
        self._looked = 0.0
        self._stamp: tuple[int, int, int] | None = None
        self._keys: dict[str, Key] = {}

    def create(
        self, *, name: str = "", scope: Scope = "read", indexes: Sequence[str] = ("*",), days: float = 0.0
    ) -> tuple[Key, str]:
        """A new key, and its text, which is shown this once.

        Raises:
            ConfigError: If scope, name, indexes or days make no sense.
        """
        if scope not in SCOPES:
            raise ConfigError(f"scope {scope!r}", expected=" or ".join(SCOPES))
        if not indexes or not all(indexes):
            raise ConfigError("a key for no index", expected="names of indexes, or * for all")
        if not 0 <= days < 36_500 or not _NAME.fullmatch(name):
            raise ConfigError(f"days = {days}, name {name!r}", expected="0 or more days, a name of plain characters")
        secret, salt = secrets.token_urlsafe(32), secrets.token_hex(16)
        with self._lock:
            self._load()
            id_ = secrets.token_hex(4)
            while id_ in self._keys:
                id_ = secrets.token_hex(4)
            now = time.time()
            key = Key(
                id_, name, salt, _hash(salt, secret), scope, tuple(indexes), now, now + days * 86_400 if days else 0.0
            )
            self._save({**self._keys, id_: key})
        return key, f"tw_{id_}_{secret}"

    def revoke(self, id_: str) -> Key:
        """The key, no longer good.

        Raises:
            UsageError: If there is none of that id.
        """
        with self._lock:
            self._load()
            key = self._keys.get(id_)
            if key is None:
                raise UsageError(f"no key {id_!r}", expected="the id of a key", remedy="see: twindex keys list")
            values = asdict(key) | {"revoked": time.time(), "indexes": key.indexes}
            gone = Key(**values)
            self._save({**self._keys, id_: gone})
            return gone

    def all(self) -> list[Key]:
        """Every key, the oldest first."""
        with self._lock:
            self._load()
            return sorted(self._keys.values(), key=lambda key: (key.created, key.id))

    def check(self, text: str) -> Key | None:
        """The active key of that text; None if there is none. Takes as long either way."""
        now = time.time()
        with self._lock:
            if now - self._looked >= RELOAD:
                self._load()
            found = _FORM.fullmatch(text)
            key = self._keys.get(found.group(1)) if found else None
        salt, wanted = (key.salt, key.hash) if key else _NOBODY
        same = hmac.compare_digest(_hash(salt, found.group(2) if found else ""), wanted)
        return key if key is not None and same and key.active(now) else None

    def _load(self) -> None:
        self._looked = time.time()
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._keys, self._stamp = {}, None
            return
        if status.st_mode & 0o077:
            raise ConfigError(
                f"{self.path} can be read by others", expected="mode 0600", remedy=f"run: chmod 600 {self.path}"
            )
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if stamp == self._stamp:
            return
        try:
            rows = json.loads(self.path.read_bytes())["keys"]
            self._keys = {row["id"]: Key(**{**row, "indexes": tuple(row["indexes"])}) for row in rows}
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{self.path} cannot be read: {error}", remedy="restore it, or remove it") from error
        self._stamp = stamp

    def _save(self, keys: dict[str, Key]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".tmp")
        data = json.dumps({"keys": [asdict(key) for key in keys.values()]}, indent=1).encode() + b"\n"
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(handle, 0o600)
            os.write(handle, data)
            os.fsync(handle)
        finally:
            os.close(handle)
        temporary.replace(self.path)
        sync_path(self.path.parent)
        self._keys, self._stamp = keys, None


def _hash(salt: str, secret: str) -> str:
    return hashlib.sha256(f"{salt}:{secret}".encode()).hexdigest()

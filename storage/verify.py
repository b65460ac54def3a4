"""Files against the digests that their source, or the user, told of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from threading import Event

from storage.errors import Cancelled, Corrupt, StorageError
from storage.listing import Item

_CHUNK = 2**20


def verify(shown: str, items: Sequence[Item], files: Path, cancel: Event) -> None:
    """Raises Corrupt for a file whose digest is another one, Cancelled."""
    for item in items:
        if item.digest is not None:
            check(shown, files / item.name, item.digest, cancel)


def checked(uri: str, path: Path, digest: str | None, cancel: Event) -> Path:
    """A local path that is that one file. Raises StorageError for a folder, Corrupt, Cancelled."""
    if digest is not None:
        if not path.is_file():
            raise StorageError(f"{uri} is a folder, and a sha256 goes with one file")
        check(uri, path, digest, cancel)
    return path


def check(shown: str, path: Path, digest: str, cancel: Event) -> None:
    """Raises Corrupt where the file is not of that ``sha256:…`` or ``git-sha1:…``, Cancelled."""
    kind, _, expected = digest.partition(":")
    match kind:
        case "sha256":
            hashing = hashlib.sha256()
        case "git-sha1":
            hashing = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        case _:
            raise ValueError(f"no digest is called {kind}")
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_CHUNK):
            if cancel.is_set():
                raise Cancelled
            hashing.update(piece)
    if hashing.hexdigest() != expected.lower():
        raise Corrupt(f"{shown}: {path.name} has {kind} {hashing.hexdigest()}, and {expected.lower()} was expected")

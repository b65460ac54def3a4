"""The cache: models by what is in them, shared by every process of a user.

``models/ID`` is a model, whole from its first moment; ``manifests/ID.json`` says what is in it, and is what a process
that uses it holds a lock on. ``refs/KEY.json`` is the last complete listing of a URI, ``locks/KEY`` who is at it,
``work/KEY`` what is being brought.
"""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from storage.errors import StorageError
from storage.events import KEPT_SECONDS
from storage.listing import unsafe
from storage.locks import freed, hold
from storage.work import wipe

_NAME = "pipeline-serve"
# A disk may lie: what is read names nothing elsewhere, and a time is before the year 10000.
_NAMED = re.compile(r"[\w-]{1,64}", re.ASCII)
_LAST = 253_402_300_800
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# https://bford.info/cachedir/\n"


@dataclass(frozen=True, slots=True)
class Entry:
    """A model in the cache. ``single``: the one file in it is the model. ``listed``: when, in seconds since 1970."""

    id: str
    folder: Path
    uri: str
    listed: float
    single: bool
    files: tuple[tuple[str, int], ...] = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(size for _, size in self.files)

    @property
    def path(self) -> Path:
        """The model: its one file where the URI names a file, else its folder."""
        return self.folder / self.files[0][0] if self.single and len(self.files) == 1 else self.folder


@dataclass(slots=True)
class Cache:
    """A cache folder, and what this process uses of it: until it ends, or until all who borrowed it gave it back.

    ``limit``: bytes to stay under, None for any.
    """

    root: Path
    limit: int | None = None
    _held: dict[str, int] = field(default_factory=dict, repr=False)
    _lent: Counter[str] = field(default_factory=Counter, repr=False)
    _forgotten: set[str] = field(default_factory=set, repr=False)
    _lending: Lock = field(default_factory=Lock, repr=False)

    def lock(self, key: str) -> Path:
        return self.root / "locks" / key

    def work(self, key: str) -> Path:
        return self.root / "work" / key

    def ready(self) -> None:
        """Makes its folder. Raises StorageError where that cannot be, or nothing can be written to it."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            wrong = None if os.access(self.root, os.W_OK | os.X_OK) else os.strerror(errno.EACCES)
        except OSError as error:
            wrong = error.strerror
        if wrong is not None:
            raise StorageError(
                f"the cache {self.root} cannot be written: {wrong}; PIPELINE_SERVE_CACHE_DIR names another folder"
            )

    def find(self, identity: str) -> Entry | None:
        """The model of that identity, from now on in use by this process; None where it is not there, or is damaged."""
        manifest = self._manifest(identity)
        if identity not in self._held:
            descriptor = hold(manifest)
            if descriptor is None:
                return None
            if self._held.setdefault(identity, descriptor) != descriptor:
                os.close(descriptor)  # another thread of this process was faster
        entry = self._entry(identity)
        if entry is None or not _intact(entry):
            self._release(identity)
            return None
        with suppress(OSError):  # a cache that may only be read serves too
            os.utime(manifest)
        return entry

    def latest(self, key: str) -> tuple[str, float] | None:
        """(identity, when) of the last complete listing of a request; None where there was none."""
        match _read(self.root / "refs" / f"{key}.json"):
            case {"id": str(identity), "listed": int() | float() as listed} if _NAMED.fullmatch(identity):
                return (identity, float(listed)) if 0 <= listed < _LAST else None
        return None

    def remember(self, key: str, identity: str, uri: str) -> None:
        """The request has that identity now."""
        _write(self.root / "refs" / f"{key}.json", {"id": identity, "listed": time.time(), "uri": uri})

    def publish(self, files: Path, identity: str, uri: str, *, single: bool) -> Entry:
        """Takes a folder over, under its own name at once. The caller holds the request's lock.

        The manifest comes first, so that no model is ever without one, and is in use from then on, so that none goes.
        """
        self._release(identity)
        if not self._remove(identity):
            identity = fresh(identity)  # a damaged one that somebody still uses
        target = self.root / "models" / identity
        target.parent.mkdir(parents=True, exist_ok=True)
        told = {
            "uri": uri,
            "listed": time.time(),
            "single": single,
            "files": sorted([path.relative_to(files).as_posix(), path.stat().st_size] for path in _files(files)),
        }
        for path in _files(files):
            path.chmod(path.stat().st_mode & 0o555 | 0o444)  # a hard link of it elsewhere is the same file
        _write(self._manifest(identity), told)
        held = hold(self._manifest(identity))
        files.rename(target)
        _sync(target.parent)
        with suppress(FileExistsError), (self.root / "CACHEDIR.TAG").open("x") as tag:
            tag.write(_TAG)
        entry = self.find(identity)
        if held is not None:
            os.close(held)
        if entry is None:
            raise FileNotFoundError(f"{target} was removed while it was put into the cache")
        return entry

    @property
    def forgotten(self) -> frozenset[str]:
        """Contents that go when nobody uses them any more."""
        return frozenset(self._forgotten)

    def lend(self, identity: str) -> None:
        """The model that was just found is in use until it is given back, as often as it was lent.

        Raises FileNotFoundError where another process has removed it since.
        """
        with self._lending:
            if identity not in self._held:
                descriptor = hold(self._manifest(identity))
                if descriptor is None:
                    raise FileNotFoundError(f"{self.root / 'models' / identity} was removed while it was looked for")
                self._held[identity] = descriptor
            self._lent[identity] += 1

    def give_back(self, identity: str) -> None:
        """One who borrowed it does not use it any more; after the last, it goes where the limit or ``forget`` says."""
        with self._lending:
            self._lent[identity] -= 1
            if self._lent[identity]:
                return
            del self._lent[identity]
            self._release(identity)
        if identity in self._forgotten:
            self.forget(identity)
        self.evict()

    def forget(self, identity: str) -> None:
        """Nobody will ask for these contents again; they stay as long as somebody uses them."""
        with self._lending:
            if self._lent[identity]:
                self._forgotten.add(identity)
                return
            self._release(identity)
        if self._remove(identity):
            self._forgotten.discard(identity)
        else:  # another process has it in use, perhaps the one that this one pulls for
            self._forgotten.add(identity)

    def evict(self) -> list[Entry]:
        """Removes what was not used for longest until the limit holds, but nothing that a process uses."""
        if self.limit is None:
            return []
        there = sorted(self._entries(), key=lambda pair: pair[0])
        total = sum(entry.size for _, entry in there)
        gone = []
        for _, entry in there:
            if total <= self.limit:
                break
            if entry.id not in self._held and self._remove(entry.id):
                total -= entry.size
                gone.append(entry)
        return gone

    def sweep(self) -> None:
        """Removes working folders that no pull has touched for a day and none is at."""
        limit = time.time() - KEPT_SECONDS
        with suppress(FileNotFoundError):
            for folder in list((self.root / "work").iterdir()):
                if not _touched_since(folder, limit):
                    lock = self.lock(folder.name)
                    with freed(lock) as mine:
                        if mine or not lock.exists():
                            wipe(folder)

    def close(self) -> None:
        """This process uses nothing of it any more."""
        for identity in list(self._held):
            self._release(identity)

    def _remove(self, identity: str) -> bool:
        """Whether it is gone. One that a process uses stays; one without a manifest is rubbish of a killed process."""
        manifest, folder = self._manifest(identity), self.root / "models" / identity
        trash = self.root / "work" / f"trash-{identity}-{os.getpid()}"
        trash.parent.mkdir(parents=True, exist_ok=True)
        if manifest.exists():
            with freed(manifest) as mine:
                if not mine:
                    return False
                _moved(folder, trash)
                manifest.unlink()
        _moved(folder, trash)
        wipe(trash)
        return True

    def _entries(self) -> Iterator[tuple[float, Entry]]:
        for manifest in (self.root / "manifests").glob("*.json"):
            entry = self._entry(manifest.stem)
            if entry is not None:
                with suppress(FileNotFoundError):
                    yield manifest.stat().st_mtime, entry

    def _entry(self, identity: str) -> Entry | None:
        match _read(self._manifest(identity)):
            case {"uri": str(uri), "listed": int() | float() as listed, "single": bool(single), "files": [*told]}:
                files = tuple(_sized(told))
                if files and len(files) == len(told):
                    return Entry(identity, self.root / "models" / identity, uri, listed, single, files)
        return None

    def _manifest(self, identity: str) -> Path:
        return self.root / "manifests" / f"{identity}.json"

    def _release(self, identity: str) -> None:
        descriptor = self._held.pop(identity, None)
        if descriptor is not None:
            os.close(descriptor)


def cache_folder(environment: Mapping[str, str], platform: str) -> Path:
    """The user's cache folder for models, by the platform's convention (XDG, ``~/Library/Caches``)."""
    if environment.get("XDG_CACHE_HOME", "").startswith("/"):
        return Path(environment["XDG_CACHE_HOME"], _NAME)
    home = Path(environment["HOME"]) if environment.get("HOME") else Path.home()
    return home / ("Library/Caches" if platform == "darwin" else ".cache") / _NAME


def _touched_since(folder: Path, limit: float) -> bool:
    with suppress(OSError):
        return max(path.stat().st_mtime for path in (folder, *folder.glob("journal"))) >= limit
    return True


def _moved(folder: Path, trash: Path) -> None:
    with suppress(FileNotFoundError):
        folder.rename(trash)


def fresh(identity: str) -> str:
    """An identity of its own, for contents that nothing tells from others of that size."""
    return f"{identity}-{time.time_ns():x}"


def _sized(told: Iterable[object]) -> Iterator[tuple[str, int]]:
    """Those of a manifest's files that can be any below the model's folder."""
    for own in told:
        match own:
            case [str(name), int(size)] if unsafe(name) is None:
                yield name, size


def _intact(entry: Entry) -> bool:
    try:
        return all((entry.folder / name).stat().st_size == size for name, size in entry.files)
    except OSError:
        return False


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _read(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _write(path: Path, told: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    with partial.open("w") as file:
        json.dump(told, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

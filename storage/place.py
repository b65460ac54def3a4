"""A model into a folder that somebody named: all at once where that can be, and never a part that is being made."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

from storage.errors import Cancelled, StorageError
from storage.events import KEPT_SECONDS
from storage.locks import freed, locked
from storage.work import room_or, wipe

HIDDEN = ".pipeline-serve-"
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def workplace(folder: Path, key: str) -> Path:
    """A hidden folder on the disk of ``folder``: beside it, where a rename can put it into place, else in it.

    Raises StorageError where ``folder`` is a file, or can neither be made nor written.
    """
    # Two users of a shared folder are not in each other's way.
    told = f"{key}/{os.geteuid()}/{folder.name}"
    own = hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    parent = folder.parent
    if not folder.is_dir():
        _make(parent if not folder.exists() else folder, folder)
    mounted = folder.exists() and folder.stat().st_dev != parent.stat().st_dev
    if not mounted and os.access(parent, os.W_OK | os.X_OK):
        return parent / f"{HIDDEN}{own}"
    _make(folder, folder)
    return folder / f"{HIDDEN}{own}"


def _make(own: Path, folder: Path) -> None:
    """``own`` on the way to ``folder``, which the error names."""
    try:
        own.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise StorageError(f"{own} is a file; a model goes into a folder") from None
    except OSError as error:
        raise StorageError(f"the folder {folder} cannot be made: {error.strerror}") from None


@contextmanager
def working(place: Path, cancel: Event) -> Iterator[None]:
    """The lock of a working folder. Raises Cancelled; StorageError where another user has made it, in a folder that
    both may write: he would choose what is taken up of it."""
    _refuse_anothers(place)
    with locked(place / "lock", cancel):
        _refuse_anothers(place)
        yield


def _refuse_anothers(place: Path) -> None:
    try:
        there, above = place.lstat(), place.parent.stat()
    except FileNotFoundError:
        return
    mine = stat.S_ISDIR(there.st_mode) and there.st_uid == os.geteuid() and not there.st_mode & _OTHERS
    if not mine and above.st_mode & _OTHERS:
        raise StorageError(f"{place} is where a pull would work, and another user can write it; remove it")


def deliver(tree: Path, folder: Path) -> None:
    """Moves what is in ``tree`` into ``folder``, on the same disk: in one step where that is new or empty.

    Where it has files already, they stay, and those of the same name are replaced, each in one step. Raises
    StorageError, with nothing moved, where a file or a link is in the way of a folder, or a folder of a file.
    """
    try:
        tree.rename(folder)
    except OSError:
        _make(folder, folder)
        _refuse_clashes(tree, folder)
        _merge(tree, folder)


def _refuse_clashes(tree: Path, folder: Path) -> None:
    for own in sorted(tree.iterdir()):
        target = folder / own.name
        # Through a link its owner's files would be written, as those that ``link_entries`` names.
        solid = target.is_dir() and not target.is_symlink()
        if own.is_dir() and solid:
            _refuse_clashes(own, target)
        elif solid or (own.is_dir() and os.path.lexists(target)):
            raise StorageError(f"{target} is in the way: the model has a {_kind(own)} of that name")


def _merge(tree: Path, folder: Path) -> None:
    for own in sorted(tree.iterdir()):
        target = folder / own.name
        if own.is_dir() and target.is_dir():
            _merge(own, target)
        else:
            own.replace(target)


def _kind(path: Path) -> str:
    return "folder" if path.is_dir() else "file"


def copy_of(tree: Path, new: Path, cancel: Event) -> None:
    """The files of ``tree`` under a second root: as hard links, or copied where the disk is another one.

    Raises NoSpace, Cancelled; ``new`` is then gone again.
    """
    try:
        for path in (tree, *sorted(tree.rglob("*"))):
            if cancel.is_set():
                raise Cancelled
            target = new / path.relative_to(tree)
            if path.is_dir():
                target.mkdir(parents=True)
            else:
                _link_or_copy(path, target)
    except OSError as error:
        wipe(new)
        raise room_or(error, new.parent) from None
    except BaseException:
        wipe(new)
        raise


def _link_or_copy(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def link_entries(entries: Iterable[Path], folder: Path) -> None:
    """Local files into a folder as KServe does: a symbolic link per entry, what is there already stays.

    Raises StorageError where the folder is a file, or cannot be made.
    """
    _make(folder, folder)
    for own in entries:
        with suppress(FileExistsError):
            (folder / own.name).symlink_to(own.absolute())


def sweep(parent: Path, now: float | None = None) -> list[Path]:
    """Removes working folders below ``parent`` that no pull has touched for a day and none is at; which they were."""
    limit = (time.time() if now is None else now) - KEPT_SECONDS
    gone = []
    for folder in _abandoned(parent, limit):
        with freed(folder / "lock") as mine:
            if mine or not (folder / "lock").exists():
                wipe(folder)
                gone.append(folder)
    return gone


def _abandoned(parent: Path, limit: float) -> Iterator[Path]:
    with suppress(FileNotFoundError, PermissionError):
        for folder in list(parent.glob(f"{HIDDEN}*")):
            with suppress(FileNotFoundError):
                if max(path.stat().st_mtime for path in (folder, *folder.glob("*"), *folder.glob("*/journal"))) < limit:
                    yield folder

"""The working folder of one pull: files being written, the journal beside them, and what was listed when it began."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any

from storage.errors import NoSpace
from storage.journal import Journal, Span, boot, sound, spans
from storage.listing import Item, Listing

# Of a file system in memory it is zeroed: other threads wait meanwhile, and so does who cancels.
_STEP = 16 * 2**20
# What st_blocks counts in.
_BLOCK = 512


class Work:
    """``folder/files`` holds what will be published, never half of it under another name.

    Made by ``begin``; ``written`` says what was there already. Files are written by several threads at once.
    """

    def __init__(self, folder: Path, items: Sequence[Item], written: dict[int, list[Span]], *, durable: bool) -> None:
        self.folder = folder
        self.files = folder / "files"
        self.items = items
        self.written = written
        self._durable = durable
        self._journal = Journal(folder / "journal")
        self._root = f"{self.files}/"
        self._made: set[str] = set()

    def open(self, file: int) -> int:
        """A descriptor to write that file by, which the caller closes."""
        name = self.items[file].name
        parent = name.rpartition("/")[0]
        if parent not in self._made:
            (self.files / parent).mkdir(parents=True, exist_ok=True)
            self._made.add(parent)
        return os.open(self._root + name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)

    def take_room(self, descriptor: int, start: int, stop: int, cancel: Event) -> None:
        """For the bytes ``start`` to before ``stop``, which nobody else writes, or until the flag is set.

        Raises NoSpace.
        """
        try:
            for at in range(start, stop, _STEP):
                if cancel.is_set():
                    return
                _allocate(descriptor, at, min(_STEP, stop - at))
        except OSError as error:
            raise room_or(error, self.folder) from None

    def write(self, descriptor: int, file: int, at: int, data: bytes) -> None:
        """Raises NoSpace."""
        view = memoryview(data)
        try:
            while view:
                count = os.pwrite(descriptor, view, at)
                self._journal.note(file, at, at + count)
                at, view = at + count, view[count:]
        except OSError as error:
            raise room_or(error, self.folder) from None

    def finish(self, descriptor: int, file: int, size: int) -> None:
        """The file is whole and ``size`` bytes long."""
        if self.items[file].size is None:
            os.ftruncate(descriptor, size)  # an earlier try may have written more
        if self._durable:
            os.fsync(descriptor)
        if size == 0:
            self._journal.note(file, 0, 0)

    def close(self) -> None:
        self._journal.close()


def begin(folder: Path, uri: str, listing: Listing, *, durable: bool) -> Work:
    """Takes up what an earlier pull of the same listing left in the folder, in this boot; else starts clean.

    So it does where the journal speaks of files that are not there: a pull was killed when it had put them into their
    place. Raises NoSpace before a byte is asked for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [[item.name, item.key, item.size, item.version, item.digest, item.ranged] for item in listing.items]
    plan = {"uri": uri, "boot": boot(), "files": files}
    journal = folder / "journal"
    written: dict[int, list[Span]] = {}
    begun = bool(plan["boot"]) and listing.versioned and _read(folder / "plan.json") == plan
    if begun:
        with suppress(FileNotFoundError):
            records = sound(journal.read_bytes())
            os.truncate(journal, len(records))
            written = spans(records)
        begun = _there(folder / "files", listing.items, written)
    if not begun:
        written = {}
        wipe(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "files").mkdir(exist_ok=True)
    os.utime(folder)
    _check_room(folder, listing.items)
    return Work(folder, listing.items, written, durable=durable)


def wipe(folder: Path) -> None:
    """Removes a folder, whatever is in it."""
    shutil.rmtree(folder, ignore_errors=True)


def room_or(error: OSError, folder: Path) -> OSError:
    """The error, or NoSpace where that is what it says."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace(f"no space is left on the disk of {folder}")
    return error


def _allocate(descriptor: int, start: int, size: int) -> None:
    allocate = getattr(os, "posix_fallocate", None)
    if allocate is None:
        return
    try:
        allocate(descriptor, start, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise


def _there(files: Path, items: Sequence[Item], written: Mapping[int, Sequence[Span]]) -> bool:
    """Whether the files are as long as the journal says at least."""
    try:
        return all((files / items[file].name).stat().st_size >= own[-1][1] for file, own in written.items())
    except (OSError, IndexError):
        return False


def _check_room(folder: Path, items: Iterable[Item]) -> None:
    needed = sum(_lacking(folder / "files" / item.name, item.size or 0) for item in items)
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if needed > free:
        raise NoSpace(f"{folder} has {free:,} bytes free, and {needed:,} are to come")


def _lacking(path: Path, size: int) -> int:
    """What has its room taken counts as used already."""
    try:
        return max(0, size - path.stat().st_blocks * _BLOCK)
    except FileNotFoundError:
        return size


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None

"""Archives, unpacked into a new folder: plain files and folders, within limits, and never beyond the folder."""

from __future__ import annotations

import errno
import gzip
import lzma
import os
import posixpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import IO

from storage.errors import Cancelled, Corrupt, Unsafe
from storage.listing import unsafe
from storage.work import room_or, wipe

_ZIP = (".zip",)
_TAR = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_CHUNK = 2**20
_LONGEST_LINK = 4096
# Below it a ratio says nothing: a page of zeros is no bomb.
_RATIO_FROM = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may become: bytes in all, members, and bytes per byte of the archive (from 64 MiB on)."""

    total: int = 2**40
    members: int = 1_000_000
    ratio: float = 200.0


def is_archive(name: str) -> bool:
    """By its name, as KServe does."""
    return name.lower().endswith(_ZIP + _TAR)


def unpack(archive: Path, folder: Path, limits: Limits, cancel: Event) -> None:
    """Unpacks into ``folder``, which must not exist; an archive within is a file.

    Raises Unsafe for a member that would land elsewhere or is no file, and for what exceeds the limits; Corrupt for
    what is no archive; NoSpace; Cancelled. The folder is then gone again.
    """
    taking = _Taking(archive.name, archive.stat().st_size, folder, limits, cancel)
    folder.mkdir()
    try:
        with _readable(archive.name):
            _from_zip(archive, taking) if archive.name.lower().endswith(_ZIP) else _from_tar(archive, taking)
            taking.link()
    except OSError as error:
        wipe(folder)
        raise room_or(error, folder.parent) from None
    except BaseException:
        wipe(folder)
        raise


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """The libraries' ways to say that bytes are not of their format."""
    try:
        yield
    except (
        tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, gzip.BadGzipFile,
        EOFError, NotImplementedError, RuntimeError, ValueError,
    ) as error:  # fmt: skip
        raise Corrupt(f"{name} is named like an archive and cannot be unpacked: {error}") from None
    except OSError as error:
        if error.errno == errno.EINVAL:  # a place in it before its start
            raise Corrupt(f"{name} is named like an archive and cannot be unpacked: its index is damaged") from None
        raise


def _from_zip(archive: Path, taking: _Taking) -> None:
    with zipfile.ZipFile(archive) as read:
        for member in read.infolist():
            mode = member.external_attr >> 16
            if member.is_dir():
                taking.directory(member.filename)
            elif stat.S_ISLNK(mode):
                with read.open(member) as file:
                    taking.symbolic(member.filename, file.read(_LONGEST_LINK).decode("utf-8", "surrogateescape"))
            else:
                with read.open(member) as file:
                    taking.file(member.filename, file, mode)


def _from_tar(archive: Path, taking: _Taking) -> None:
    with tarfile.open(archive, "r:*") as read:
        for member in read:
            read.members.clear()  # type: ignore[attr-defined]  # it would remember a million of them
            if member.isdir():
                taking.directory(member.name)
            elif member.issym():
                taking.symbolic(member.name, member.linkname)
            elif member.islnk():
                taking.hard(member.name, member.linkname)
            elif member.isreg() and (file := read.extractfile(member)) is not None:
                taking.file(member.name, file, member.mode)
            else:
                raise Unsafe(f"{archive.name} has {member.name!r}, which is neither file nor folder nor link")


@dataclass(slots=True)
class _Taking:
    """What has come out of one archive so far."""

    archive: str
    packed: int
    folder: Path
    limits: Limits
    cancel: Event
    members: int = 0
    total: int = 0
    files: set[str] = field(default_factory=set)
    links: dict[str, str] = field(default_factory=dict)

    def directory(self, name: str) -> None:
        safe = self._safe(name)
        if safe:
            (self.folder / safe).mkdir(parents=True, exist_ok=True)

    def file(self, name: str, read: IO[bytes], mode: int) -> None:
        safe = self._safe(name)
        path = self.folder / safe
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # A name that comes twice is an archive that was appended to: the last one counts. No link exists yet.
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(path, flags, 0o644 | (mode & 0o111))
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise Unsafe(f"{self.archive} has {name!r} both as a file and as a folder") from None
        with os.fdopen(descriptor, "wb", buffering=0) as out:
            while piece := read.read(_CHUNK):
                self._grow(len(piece))
                view = memoryview(piece)
                while view:
                    view = view[out.write(view) or 0 :]
        self.files.add(safe)
        self.links.pop(safe, None)

    def symbolic(self, name: str, target: str) -> None:
        """A link, relative to where it lies."""
        safe = self._safe(name)
        self._link(safe, name, target, posixpath.join(posixpath.dirname(safe), target))

    def hard(self, name: str, target: str) -> None:
        """A link to another member."""
        self._link(self._safe(name), name, target, target)

    def link(self) -> None:
        """Makes the links, when nothing can be written through them any more: as second names of their files."""
        for name, target in self.links.items():
            seen = {name}
            while target in self.links and target not in seen:
                seen.add(target)
                target = self.links[target]  # noqa: PLW2901  # to its end
            if target not in self.files:
                raise Unsafe(f"{self.archive} has the link {name!r}, which leads to no file in it")
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            os.link(self.folder / target, path)

    def _link(self, safe: str, name: str, target: str, where: str) -> None:
        resolved = posixpath.normpath(where)
        if not safe or target.startswith("/") or unsafe(resolved) is not None:
            raise Unsafe(f"{self.archive} has the link {name!r} to {target!r}, which leaves its folder")
        self.files.discard(safe)
        self.links[safe] = resolved

    def _safe(self, name: str) -> str:
        """The name without ``./`` before and ``/`` behind it; "" for the folder itself."""
        self.members += 1
        if self.members > self.limits.members:
            raise Unsafe(f"{self.archive} has more than {self.limits.members:,} members")
        if self.cancel.is_set():
            raise Cancelled
        plain = name.rstrip("/") if name.strip("/") else name
        while plain.startswith("./"):
            plain = plain[2:]
        if plain in (".", ""):
            return ""
        reason = unsafe(plain)
        if reason is not None:
            raise Unsafe(f"{self.archive} has {name!r}, which is no file below its folder: {reason}")
        return plain

    def _grow(self, size: int) -> None:
        if self.cancel.is_set():
            raise Cancelled
        self.total += size
        if self.total > self.limits.total:
            raise Unsafe(f"{self.archive} becomes more than {self.limits.total:,} bytes")
        if self.total > _RATIO_FROM and self.total > self.limits.ratio * self.packed:
            raise Unsafe(f"{self.archive} becomes more than {self.limits.ratio:g} times its {self.packed:,} bytes")

"""Archives, unpacked into a new folder: plain files and folders, within limits, and never beyond the folder."""

from __future__ import annotations

import copy
import errno
import io
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
from typing import IO, Protocol

from storage.errors import Cancelled, Corrupt, Unsafe
from storage.listing import unsafe
from storage.order import Limits
from storage.transfer import cancellable
from storage.undone import Undone
from storage.work import room_or, wipe

_ZIP = (".zip",)
_TAR = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_CHUNK = 2**20
# Of LZMA a zip file's reader undoes all that it was asked to read, and 4 KiB become 28 MiB at most.
_SMALL_CHUNK = 2**12
_LONGEST_LINK = 4096
# What a tar file may have before a member, and a zip file in its index for one.
_HEADERS = 2**20
_INDEXED = 100
_BLOCK = 512
# Below it a ratio says nothing: a page of zeros is no bomb.
_RATIO_FROM = 64 * 2**20


def is_archive(name: str) -> bool:
    """By its name, as KServe does."""
    return name.lower().endswith(_ZIP + _TAR)


def unpack(archive: Path, folder: Path, limits: Limits, cancel: Event, *, durable: bool = False) -> None:
    """Unpacks into ``folder``, which must not exist; an archive within is a file. ``durable``: each file is synced.

    Raises Unsafe for a member that would land elsewhere or is no file, and for what exceeds the limits; Corrupt for
    what is no archive, or only the beginning of one; NoSpace; the folder is then gone again. After Cancelled it is not:
    a million files are removed by whoever has the time.
    """
    taking = _Taking(archive.name, archive.stat().st_size, folder, limits, cancel, durable)
    folder.mkdir()
    try:
        with _readable(archive.name):
            _from_zip(archive, taking) if archive.name.lower().endswith(_ZIP) else _from_tar(archive, taking)
            taking.link()
    except Cancelled:
        raise
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
        tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
        EOFError, NotImplementedError, RuntimeError, ValueError,
    ) as error:  # fmt: skip
        raise Corrupt(f"{name} is named like an archive and cannot be unpacked: {error}") from None
    except OSError as error:
        if error.errno == errno.EINVAL:  # a place in it before its start
            raise Corrupt(f"{name} is named like an archive and cannot be unpacked: its index is damaged") from None
        raise


class _Indexed(io.FileIO):
    """A file of which at most ``most`` bytes are read at once: zipfile reads the index whole, however large it says."""

    most = _CHUNK

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self.most:
            raise Unsafe(f"{Path(str(self.name)).name} has an index of {size:,} bytes, too many for its members")
        return super().read(size)


def _from_zip(archive: Path, taking: _Taking) -> None:
    with _Indexed(archive) as file:
        file.most = max(_CHUNK, taking.limits.members * _INDEXED)
        with cancellable(lambda: zipfile.ZipFile(file), taking.cancel) as read:
            for member in read.infolist():
                mode = member.external_attr >> 16
                if member.is_dir():
                    taking.directory(member.filename)
                elif stat.S_ISLNK(mode):
                    with read.open(member) as link:
                        taking.symbolic(member.filename, link.read(_LONGEST_LINK).decode("utf-8", "surrogateescape"))
                elif member.compress_type == zipfile.ZIP_BZIP2:
                    _from_bzip2(read, member, mode, taking)
                else:
                    chunk = _SMALL_CHUNK if member.compress_type == zipfile.ZIP_LZMA else _CHUNK
                    with read.open(member) as content:
                        taking.file(member.filename, content, mode, chunk)


def _from_bzip2(read: zipfile.ZipFile, member: zipfile.ZipInfo, mode: int, taking: _Taking) -> None:
    """A member whose 4 KiB may be gibibytes, which the library would undo at once; bzip2 has checksums of its own."""
    packed = copy.copy(member)
    packed.compress_type, packed.file_size = zipfile.ZIP_STORED, member.compress_size
    del packed.CRC
    with read.open(packed) as content:
        undone = Undone(content, taking.archive, taking.grow)
        taking.file(member.filename, undone, mode, _CHUNK)
    if undone.tell() != member.file_size:
        raise ValueError(f"{member.filename!r} is not as long as its index says")


def _from_tar(archive: Path, taking: _Taking) -> None:
    with archive.open("rb", buffering=0) as file:
        undone = Undone(file, archive.name, taking.grow)
        for member, content in _members(undone):
            if member.isdir():
                taking.directory(member.name)
            elif member.issym():
                taking.symbolic(member.name, member.linkname)
            elif member.islnk():
                taking.hard(member.name, member.linkname)
            elif content is not None:
                taking.file(member.name, content, member.mode, _CHUNK)
            else:
                raise Unsafe(f"{archive.name} has {member.name!r}, which is neither file nor folder nor link")


def _members(undone: Undone) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Of a tar file, each with what is in it where it is a file. Raises ValueError for one that ends before its end."""
    undone.room = _HEADERS
    with tarfile.TarFile(fileobj=undone, mode="r") as read:  # type: ignore[arg-type]  # what it reads a stream by
        while (member := read.next()) is not None:
            # It would remember a million of them.
            read.members.clear()  # type: ignore[attr-defined]
            read.pax_headers.clear()  # type: ignore[attr-defined]
            undone.room = None
            yield member, read.extractfile(member) if member.isreg() else None
            undone.room = _HEADERS
    if undone.last != bytes(_BLOCK):  # what cannot be read as a header is an end to the library
        raise ValueError("a member's header is damaged, or the rest is missing")
    undone.room = None
    undone.drain()


class Content(Protocol):
    """What a member is read from."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(slots=True)
class _Taking:
    """What has come out of one archive so far."""

    archive: str
    packed: int
    folder: Path
    limits: Limits
    cancel: Event
    durable: bool
    members: int = 0
    total: int = 0
    folders: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    links: dict[str, str] = field(default_factory=dict)

    def directory(self, name: str) -> None:
        safe = self._safe(name)
        if safe:
            self._make(safe, name)

    def file(self, name: str, read: Content, mode: int, chunk: int) -> None:
        safe = self._safe(name)
        self._make(posixpath.dirname(safe), name)
        path = self.folder / safe
        try:
            # A name that comes twice is an archive that was appended to: the last one counts. No link exists yet.
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(path, flags, 0o644 | (mode & 0o111))
        except (NotADirectoryError, IsADirectoryError):
            raise self._both(name) from None
        with os.fdopen(descriptor, "wb", buffering=0) as out:
            while piece := read.read(chunk):
                self.grow(len(piece))
                view = memoryview(piece)
                while view:
                    view = view[out.write(view) or 0 :]
            if self.durable:
                os.fsync(out.fileno())
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
            self._make(posixpath.dirname(name), name)
            path = self.folder / name
            if name in self.folders:
                raise self._both(name)
            path.unlink(missing_ok=True)
            os.link(self.folder / target, path)
        if not self.files:
            raise Corrupt(f"{self.archive} has no file in it")

    def _link(self, safe: str, name: str, target: str, where: str) -> None:
        resolved = posixpath.normpath(where)
        if not safe or target.startswith("/") or unsafe(resolved) is not None:
            raise Unsafe(f"{self.archive} has the link {name!r} to {target!r}, which leaves its folder")
        self.files.discard(safe)
        self.links[safe] = resolved

    def _make(self, folder: str, name: str) -> None:
        """Makes that folder, and those above it, which count as members too: one name may stand for a hundred."""
        above, at = [], folder
        while at and at not in self.folders:
            above.append(at)
            at = posixpath.dirname(at)
        for own in reversed(above):
            self._count()
            try:
                (self.folder / own).mkdir()
            except FileExistsError:
                raise self._both(name) from None
            self.folders.add(own)

    def _both(self, name: str) -> Unsafe:
        return Unsafe(f"{self.archive} has {name!r} both as a file and as a folder")

    def _count(self) -> None:
        self.members += 1
        if self.members > self.limits.members:
            raise Unsafe(f"{self.archive} has more than {self.limits.members:,} members")
        if self.cancel.is_set():
            raise Cancelled

    def _safe(self, name: str) -> str:
        """The name without ``./`` before and ``/`` behind it; "" for the folder itself."""
        self._count()
        plain = name.rstrip("/") if name.strip("/") else name
        while plain.startswith("./"):
            plain = plain[2:]
        if plain in (".", ""):
            return ""
        reason = unsafe(plain)
        if reason is not None:
            raise Unsafe(f"{self.archive} has {name!r}, which is no file below its folder: {reason}")
        return plain

    def grow(self, size: int) -> None:
        """So many bytes more have come out of it."""
        if self.cancel.is_set():
            raise Cancelled
        self.total += size
        if self.total > self.limits.total:
            raise Unsafe(f"{self.archive} becomes more than {self.limits.total:,} bytes")
        if self.total > _RATIO_FROM and self.total > self.limits.ratio * self.packed:
            raise Unsafe(f"{self.archive} becomes more than {self.limits.ratio:g} times its {self.packed:,} bytes")

"""A file with its compression undone, read forward in bounded pieces: whatever it says of itself, none is larger."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import IO, Protocol

from storage.errors import Unsafe

_PIECE = 2**16
_LONGEST_MARK = 6
# `xz -9` asks for 65 MiB; a dictionary of 4 GiB is as large when it is read as when it was written.
_DICTIONARY = 2**28


class Coding(Protocol):
    """What ``bz2`` and ``lzma`` call a decompressor: of one stream, of which a file may have several."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class Undone:
    """The bytes as ``tarfile`` reads them, which at once asks for as many as a header names.

    ``room`` is how many it may ask for until that is said anew, None for any: Unsafe is raised beyond. What is skipped
    is told to ``skipped``. Raises EOFError where the file ends in the middle of a stream, the libraries' errors where
    it is damaged.
    """

    def __init__(self, file: IO[bytes], name: str, skipped: Callable[[int], None]) -> None:
        self.room: int | None = None
        self.last = b""
        """What was read last; where an archive has ended it is the block that ended it."""
        self._file = file
        self._name = name
        self._skipped = skipped
        self._ahead = file.read(_LONGEST_MARK)
        self._coding = _coding(self._ahead)
        self._own: Coding | None = None
        self._at = 0

    def tell(self) -> int:
        return self._at

    def read(self, size: int) -> bytes:
        if self.room is not None:
            self.room -= size
            if self.room < 0:
                raise Unsafe(f"{self._name} has a header of a size that no honest one has")
        pieces = []
        while size > 0 and (piece := self._some(size)):
            pieces.append(piece)
            size -= len(piece)
        self.last = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._at += len(self.last)
        return self.last

    def seek(self, to: int) -> None:
        """Forward only. Raises ValueError for another way, or beyond the end."""
        if to < self._at:
            raise ValueError("its members overlap")
        while self._at < to:
            piece = self._some(min(to - self._at, _PIECE))
            if not piece:
                raise EOFError("it ends before its last member")
            self._skip(piece)

    def drain(self) -> None:
        """To the end, where a stream's checksum is."""
        while piece := self._some(_PIECE):
            self._skip(piece)

    def _skip(self, piece: bytes) -> None:
        self._at += len(piece)
        self._skipped(len(piece))

    def _packed(self, most: int) -> bytes:
        data, self._ahead = self._ahead[:most], self._ahead[most:]
        return data or self._file.read(most)

    def _some(self, most: int) -> bytes:
        """At least one byte, unless that was the end."""
        if self._coding is None:
            return self._packed(most)
        most = min(most, _PIECE)
        while True:
            own = self._own
            if own is None or own.eof:
                data = (b"" if own is None else own.unused_data) or self._packed(_PIECE)
                if own is not None and not data.strip(b"\0"):  # tapes are filled up
                    return b""
                own = self._own = self._coding()
            else:
                data = self._packed(_PIECE) if own.needs_input else b""
            starved = own.needs_input and not data
            piece = own.decompress(data, most)
            if piece:
                return piece
            if starved and not own.eof:
                raise EOFError("it ends in the middle of its compressed data")


class _Gzip:
    """zlib's own object under the names of the others."""

    def __init__(self) -> None:
        self._own = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._own.eof

    @property
    def needs_input(self) -> bool:
        return not self._own.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._own.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._own.decompress(self._own.unconsumed_tail + data, max_length)


def _coding(first: bytes) -> Callable[[], Coding] | None:
    """By a file's first bytes: names lie."""
    if first.startswith(b"\x1f\x8b"):
        return _Gzip
    if first.startswith(b"BZh"):
        return bz2.BZ2Decompressor
    if first == b"\xfd7zXZ\0":
        return lambda: lzma.LZMADecompressor(memlimit=_DICTIONARY)
    return None

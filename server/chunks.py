"""A body in chunks, as it comes; pure. Source: RFC 9112, 7.1."""

from __future__ import annotations

import re

from pipeline.wire.reply_headers import TOKEN
from server.head import VALUE, Refused

# The size and its extensions, which nobody knows and everybody ignores; no chunk needs more digits than 2**60.
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_FIELD = re.compile(rf"{TOKEN}:{VALUE}\r\n".encode())
# Of what is no data, beside 16 bytes for each chunk and as many as it has data twice: Go's bound.
_MOST_BESIDE = 2**14
_TOO_MUCH = "the chunks of the body have too much beside their data"


class Chunks:
    """What of the bytes is data. ``ended`` once the last chunk and its trailers, which are dropped, have come."""

    def __init__(self) -> None:
        self.ended = False
        self.rest = b""
        self._left = 0
        """Bytes of the chunk that are still to come, and of the line end after it."""
        self._beside = 0
        self._trailing = False

    def take(self, data: bytes) -> list[bytes | memoryview]:
        """The parts of the body in these bytes, views of them. Raises Refused for what is no chunk.

        After the end it takes nothing more; what came after it is in ``rest``.
        """
        if self.rest:
            data = self.rest + data
        parts: list[bytes | memoryview] = []
        view, at = memoryview(data), 0
        while at < len(data) and not self.ended:
            if self._left > 2:
                part = view[at : at + self._left - 2]
                parts.append(part)
                self._left -= len(part)
                at += len(part)
            elif self._left:
                if data[at] != b"\r\n"[2 - self._left]:
                    raise Refused(400, "a chunk of the body is longer than its size says")
                self._left -= 1
                at += 1
            else:
                after = self._line(data, at)
                if after == at:
                    break
                at = after
        self.rest = data[at:]
        return parts

    def _line(self, data: bytes, at: int) -> int:
        """Where the line at this place ends; the place itself where it has not come whole."""
        end = data.find(b"\n", at) + 1
        if not end:
            if len(data) - at > _MOST_BESIDE:
                raise Refused(400, _TOO_MUCH)
            return at
        if self._trailing:
            self._trailer(data, at, end)
            return end
        size = _SIZE.fullmatch(data, at, end)
        if size is None:
            raise Refused(400, "a chunk of the body has no size")
        self._left = int(size[1], 16)
        self._count(end - at - 16 - 2 * self._left)
        if self._left:
            self._left += 2
        else:
            self._trailing, self._beside = True, 0
        return end

    def _trailer(self, data: bytes, at: int, end: int) -> None:
        if data[at:end] == b"\r\n":
            self.ended = True
        elif _FIELD.fullmatch(data, at, end) is None:
            raise Refused(400, "a trailer of the body is no field")
        else:
            self._count(end - at)

    def _count(self, more: int) -> None:
        self._beside = max(0, self._beside + more)
        if self._beside > _MOST_BESIDE:
            raise Refused(400, _TOO_MUCH)

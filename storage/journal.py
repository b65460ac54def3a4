"""Which bytes of which file have been written: an append-only file that survives ``kill -9``, and its reading.

A record is written after its bytes. A process that is killed leaves both in the kernel's hands; a machine that loses
power may keep a record and lose the bytes, so a journal counts only in the boot it was written in. Each record has its
checksum: one that a full disk has torn ends the journal, for what was appended behind it cannot be told from chance.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

_SPAN = struct.Struct("<IQQ")  # number of the file, first byte, byte after the last
_SUM = struct.Struct("<I")
_LENGTH = _SPAN.size + _SUM.size
Span = tuple[int, int]


def record(file: int, start: int, stop: int) -> bytes:
    told = _SPAN.pack(file, start, stop)
    return told + _SUM.pack(zlib.crc32(told))


def sound(data: bytes) -> bytes:
    """The records before the first one that is none."""
    for at in range(0, len(data), _LENGTH):
        told, summed = data[at : at + _SPAN.size], data[at + _SPAN.size : at + _LENGTH]
        if summed != _SUM.pack(zlib.crc32(told)):
            return data[:at]
    return data


def spans(data: bytes) -> dict[int, list[Span]]:
    """File → its written spans, sorted, none touching another, of records that are ``sound``."""
    found: dict[int, list[Span]] = {}
    for at in range(0, len(data), _LENGTH):
        file, start, stop = _SPAN.unpack_from(data, at)
        found.setdefault(file, []).append((start, stop))
    return {file: list(_joined(sorted(own))) for file, own in found.items()}


def _joined(ordered: Iterable[Span]) -> Iterator[Span]:
    held: Span | None = None
    for start, stop in ordered:
        if held is not None and start <= held[1]:
            held = (held[0], max(held[1], stop))
            continue
        if held is not None:
            yield held
        held = (start, stop)
    if held is not None:
        yield held


def missing(written: Iterable[Span], size: int) -> list[Span]:
    """What of a file of that size is not written yet. An empty file that has a record lacks nothing."""
    gaps: list[Span] = []
    at = 0
    known = False
    for start, stop in written:
        known = True
        if start > at:
            gaps.append((at, min(start, size)))
        at = max(at, stop)
    if at < size or not known:
        gaps.append((at, size))
    return gaps


def boot() -> str:
    """What changes when the machine starts; "" where nothing tells, and then nothing is taken up again."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


class Journal:
    """An open journal. Records are smaller than a page and appended whole, from whichever thread."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def note(self, file: int, start: int, stop: int) -> None:
        os.write(self._descriptor, record(file, start, stop))

    def close(self) -> None:
        os.close(self._descriptor)

"""Numbers by key in memory that processes share: each part has one process that writes it, and all may read it.

What a process has counted stays when it dies, and who takes its part goes on counting. A part is words of 8 bytes: how
many are in use, whose process it is, places for what there was no room for, and entries. An entry is a turn, odd while
the key changes; the bytes of its key, 0 where it is free; the words that the key may take; how many numbers follow the
key; the key, as JSON; the numbers. Knows nothing of what is counted.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence

import msgspec

_LOG = logging.getLogger("pipeline_serve")
_WORD = 8
_USED, _PROCESS, _SPARE = 0, 1, 2
# More numbers than any entry has.
_MOST = 62
_FIRST = _SPARE + _MOST
_HEAD = 4
# A key that changes is there again in microseconds.
_LOOKS = 3

Key = tuple[str, ...]


class Cells:
    """A part as its one writer has it; ``numbers[at]`` is changed in place, by one thread for each number."""

    def __init__(self, part: memoryview, process: int) -> None:
        """Goes on with what stands there."""
        self._bytes = part
        self._words = part.cast("Q")
        self.numbers = part.cast("d")
        self._lock = threading.Lock()
        self._full = False
        self._words[_USED] = max(self._words[_USED], _FIRST)
        self._words[_PROCESS] = process
        self._entries: dict[Key, int] = {}
        self._free: list[int] = []
        for at in _entries(self._words):
            if self._words[at] % 2:  # its writer died in the middle of a change
                self._words[at + 1] = 0
                self._words[at] += 1
            key = _key(self._bytes, self._words, at)
            if key is None:
                self._free.append(at)
            else:
                self._entries[key] = at

    def place(self, key: Key, count: int) -> int:
        """Where the ``count`` numbers of a key stand, 0.0 each where it is new.

        Where there is no room, it is a place that nobody reads.
        """
        with self._lock:
            at = self._entries.get(key)
            if at is None:
                at = self._enter(key, count)
            return _SPARE if at is None else _numbers_of(self._words, at)

    def drop(self, key: Key) -> None:
        """Its numbers are gone, and nobody may write them any more."""
        with self._lock:
            at = self._entries.pop(key, None)
            if at is not None:
                self._words[at] += 1
                self._words[at + 1] = 0
                self._words[at] += 1
                self._free.append(at)

    def known(self) -> Sequence[Key]:
        return tuple(self._entries)

    def _enter(self, key: Key, count: int) -> int | None:
        text = msgspec.json.encode(key)
        room = -(-len(text) // _WORD)
        fits = (at for at in self._free if self._words[at + 2] >= room and self._words[at + 3] == count)
        at = next(fits, None)
        if at is not None:
            self._free.remove(at)
            room = self._words[at + 2]
        else:
            at = self._words[_USED]
            if at + _HEAD + room + count > len(self._words):
                if not self._full:
                    self._full = True
                    _LOG.warning("there is no room for the metrics of %s, nor for more", "/".join(key))
                return None
        self._words[at] += 1
        self._words[at + 1], self._words[at + 2], self._words[at + 3] = len(text), room, count
        start = (at + _HEAD) * _WORD
        self._bytes[start : start + len(text)] = text
        first = _numbers_of(self._words, at)
        for number in range(first, first + count):
            self.numbers[number] = 0.0
        self._words[at] += 1
        # Last: until now nobody looks there.
        self._words[_USED] = max(self._words[_USED], first + count)
        self._entries[key] = at
        return at


def process_of(part: memoryview) -> int:
    """The process that writes it, 0 where there is none."""
    return part.cast("Q")[_PROCESS]


def left(part: memoryview) -> None:
    """Its process has ended; what it has counted stays."""
    part.cast("Q")[_PROCESS] = 0


def read(part: memoryview) -> Iterator[tuple[Key, Sequence[float]]]:
    """The keys of a part and their numbers, as they are now; in order of their entry."""
    words, numbers = part.cast("Q"), part.cast("d")
    for at in _entries(words):
        for _ in range(_LOOKS):
            turn = words[at]
            first = _numbers_of(words, at)
            key, found = _key(part, words, at), list(numbers[first : first + words[at + 3]])
            if turn % 2 == 0 and words[at] == turn:
                if key is not None:
                    yield key, found
                break


def _entries(words: memoryview) -> Iterator[int]:
    at = _FIRST
    while at < words[_USED]:
        yield at
        at = _numbers_of(words, at) + words[at + 3]


def _numbers_of(words: memoryview, at: int) -> int:
    return int(at + _HEAD + words[at + 2])


def _key(part: memoryview, words: memoryview, at: int) -> Key | None:
    size = words[at + 1]
    start = (at + _HEAD) * _WORD
    if not size:
        return None
    try:
        return msgspec.json.decode(part[start : start + size], type=Key)
    except msgspec.DecodeError:  # it changes right now
        return None

"""What is to be moved, cut into parts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from storage.journal import Span, missing
from storage.listing import Item

PART = 16 * 2**20
"""Bytes asked for at once: 16 connections keep 256 MiB in flight, and one that fails loses nothing that is written."""


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes ``start`` to before ``stop`` of file number ``file``; ``stop`` is None for all there is.

    ``whole``: the file is this part alone and cannot be taken up in its middle.
    """

    file: int
    item: Item
    start: int
    stop: int | None
    whole: bool = False


def parts(items: Sequence[Item], written: Mapping[int, Sequence[Span]], size: int = PART) -> Iterator[Part]:
    """What is missing, file by file, in parts of at most that size; files without a length or ranges in one."""
    for number, item in enumerate(items):
        have = written.get(number, ())
        if item.size is None or not item.ranged:
            if item.size is None or missing(have, item.size):
                yield Part(number, item, 0, item.size, whole=True)
            continue
        for start, stop in missing(have, item.size):
            at = start
            while True:
                yield Part(number, item, at, min(at + size, stop))
                at += size
                if at >= stop:
                    break


def have(items: Sequence[Item], written: Mapping[int, Sequence[Span]]) -> int:
    """Bytes that need not be moved again."""
    total = 0
    for number, item in enumerate(items):
        spans = written.get(number, ())
        if item.size is not None and (item.ranged or not missing(spans, item.size)):
            total += sum(min(stop, item.size) - min(start, item.size) for start, stop in spans)
    return total

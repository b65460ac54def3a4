"""Large JSON bodies: long arrays of numbers are taken out of the text, and read without Python objects; what is left is
read as all JSON is.

In its place each has a text that no JSON around it can say. Where one does not come back from where numbers may stand,
the body is read as if nothing had been taken: values and errors are the same either way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from pipeline.errors import InvalidInput
from pipeline.wire.json_tensors import MOST_LISTS, parse
from pipeline.wire.numbers import Numbers, ReadPieces, read_numbers

Place = tuple[dict[str, Any], str]
"""An object and a key: its value may be numbers."""

LARGE = 1 << 13
"""From that many bytes on what is looked for pays for the looking."""
_LONG = 1 << 12
_QUOTE = ord('"')
# numpy looks at that much at a time.
_CHUNK = 1 << 20
# An array of numbers has no quotes: it stands between that of its key and the next one.
_VALUE = re.compile(rb"[ \t\n\r]*:[ \t\n\r]*(?=\[)")
# From the part of Unicode that is nobody's, as UTF-8 and as the two ways in which JSON spells it.
_STAND_IN = "\ue000"
_SPELLINGS = (_STAND_IN.encode(), b"\\ue000", b"\\uE000")


def parse_with_numbers(body: bytes | memoryview, read: ReadPieces, places: Callable[[Any], Iterable[Place]]) -> Any:
    """As ``parse``, but that values at ``places`` of what it gives may be ``Numbers`` instead of lists."""
    if len(body) < LARGE:
        return parse(body)
    text = bytes(body)
    found = list(_taken(text, read))
    rest = _rest(text, found)
    if not found or any(spelling in part for part in rest for spelling in _SPELLINGS):
        return parse(text)
    lists = sum(numbers.lists for _, _, numbers in found) + sum(part.count(b"[") + part.count(b"{") for part in rest)
    if lists > MOST_LISTS:
        return parse(text)
    try:
        value = parse(b"".join(_with_stand_ins(rest)))
    except InvalidInput:
        return parse(text)
    missing = {f"{_STAND_IN}{position}": numbers for position, (_, _, numbers) in enumerate(found)}
    for holder, key in places(value):
        stand_in = holder.get(key)
        if isinstance(stand_in, str) and stand_in in missing:
            holder[key] = missing.pop(stand_in)
    return parse(text) if missing else value


def _taken(text: bytes, read: ReadPieces) -> Iterator[tuple[int, int, Numbers]]:
    """(start, end, numbers) of what is taken out."""
    for start, end in _arrays(text):
        numbers = read_numbers(text, start, end, read)
        if numbers is not None:
            yield start, end, numbers


def _arrays(text: bytes) -> Iterator[tuple[int, int]]:
    """(start, end) of what may be a long array of numbers that is a key's value."""
    quotes = _quotes_and_end(text)
    gaps = np.flatnonzero(quotes[1:] - quotes[:-1] > _LONG)
    for before, after in zip(quotes[gaps].tolist(), quotes[gaps + 1].tolist(), strict=True):
        opening = _VALUE.match(text, before + 1, after)
        if opening is None:
            continue
        start = opening.end()
        brace = text.find(b"}", start, after)
        end = text.rfind(b"]", start, after if brace < 0 else brace) + 1
        if end - start > _LONG:
            yield start, end


def _quotes_and_end(text: bytes) -> np.ndarray[Any, Any]:
    """Where quotes are, those within texts too, and the text's end."""
    marks = np.frombuffer(text, np.uint8)
    found = [np.flatnonzero(marks[at : at + _CHUNK] == _QUOTE) + at for at in range(0, len(text), _CHUNK)]
    return np.concatenate([*found, [len(text)]])


def _rest(text: bytes, found: list[tuple[int, int, Numbers]]) -> list[bytes]:
    """What stands around what is taken out: one part more than that."""
    starts = [0, *(end for _, end, _ in found)]
    ends = [*(start for start, _, _ in found), len(text)]
    return [text[start:end] for start, end in zip(starts, ends, strict=True)]


def _with_stand_ins(rest: list[bytes]) -> Iterator[bytes]:
    yield rest[0]
    for position, part in enumerate(rest[1:]):
        yield f'"{_STAND_IN}{position}"'.encode()
        yield part

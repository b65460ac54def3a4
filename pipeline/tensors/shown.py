"""What came from outside, as it stands in an error message: short, on one line, never a whole body.

Names, values and shapes are the caller's: each may be a megabyte long, hold a line break, or be too large to print.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

_SHOWN = 40
_SHOWN_BITS = 128
_SHOWN_DIMS = 8


def quoted(name: str) -> str:
    """A name in double quotes; what does not print is escaped."""
    short = _short(name)
    return f'"{short if short.isprintable() else ascii(short)[1:-1]}"'


class Named(msgspec.Struct, frozen=True):
    """``input "x"``: put into words where an error is, and that is seldom."""

    role: str
    name: str

    def __str__(self) -> str:
        return f"{self.role} {quoted(self.name)}"


def shown(value: Any) -> str:
    """A value as Python writes it, a list or an object by its kind alone."""
    match value:
        case dict() | list() | tuple():
            return kind(value)
        case str() | bytes():
            return repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}…"
        case int() if value.bit_length() > _SHOWN_BITS:
            # repr of an integer past 4,300 digits raises.
            return f"an integer of {value.bit_length()} bits"
        case _:
            return _short(repr(value))


def dims(shape: Sequence[int]) -> str:
    """``[2,4]``, as the graph file writes it."""
    first = ",".join(shown(size) for size in shape[:_SHOWN_DIMS])
    return f"[{first}]" if len(shape) <= _SHOWN_DIMS else f"[{first},…] ({len(shape)} dimensions)"


def kind(value: Any) -> str:
    """What a JSON value is, in words."""
    names = {
        dict: "an object",
        list: "a list",
        tuple: "a list",
        str: "a text",
        bool: "a boolean",
        type(None): "nothing",
    }
    return names.get(type(value), "a number")


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

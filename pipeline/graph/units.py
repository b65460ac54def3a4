"""Durations and sizes as people write them, always with a unit: ``300ms`` → 0.3 seconds, ``64MiB`` → 67108864 bytes.

A bare number is refused, since seconds and milliseconds look alike in it. What is wrong is said in a ValueError's text;
this file does not know which key or flag the text stands under.
"""

from __future__ import annotations

import math
import re
from types import MappingProxyType

from pipeline.graph.scalars import shown

SECONDS = MappingProxyType({"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0})
BYTES = MappingProxyType(
    {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
    | {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
)
# What fits a signed 64-bit integer: no file, buffer or content-length is larger.
_MOST_BYTES = 2**63 - 1
# Digits are taken for good: callers choose the text too, and a long one must not be tried in every way.
_QUANTITY = re.compile(r"(-?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][-+]?[0-9]++)?)\s*+([A-Za-zµμ]*+)", re.ASCII)


def duration(text: str) -> float:
    """Seconds; zero is a duration. ValueError says what came and what was expected."""
    number, unit = _quantity(text, "a duration", tuple(SECONDS), ("300ms", "2s", "5m"), ("ms", "s"))
    seconds = number * SECONDS[unit]
    if math.isinf(seconds):
        raise ValueError(f"{shown(text)} is too large for a duration")
    return seconds


def seconds_of(given: float | str) -> float:
    """Seconds of a Python caller: a number of them, or text with a unit. ValueError says what came."""
    try:
        seconds = duration(given) if isinstance(given, str) else float(given)
    except TypeError as error:
        raise ValueError(str(error)) from None
    if not seconds >= 0:
        raise ValueError(f"a number of seconds from 0, not {given!r}")
    return seconds


def size(text: str) -> int:
    """Bytes, rounded to a whole one. ValueError says what came and what was expected."""
    number, unit = _quantity(text, "a size", tuple(BYTES), ("512KiB", "64MiB", "10MB"), ("B", "MiB"))
    exact = number * BYTES[unit]
    if exact > _MOST_BYTES:
        raise ValueError(f"{shown(text)} is too large for a size")
    return round(exact)


def format_duration(seconds: float) -> str:
    """For people, to three digits below a minute and to the second above: ``300 ms``, ``1.5 s``, ``1 m 30 s``."""
    if math.isinf(seconds):
        return "no bound"
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    rounded = float(f"{seconds:.3g}")
    if rounded == 0:
        return "0 s"
    if rounded < 1e-3:
        return f"{rounded * 1e6:.3g} us"
    if rounded < 1:
        return f"{rounded * 1e3:.3g} ms"
    if rounded < 60:
        return f"{rounded:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count)


def _quantity(
    text: str, what: str, units: tuple[str, ...], examples: tuple[str, ...], ask: tuple[str, str]
) -> tuple[float, str]:
    text = text.strip()
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise ValueError(f'"{shown(text)}" is not {what}; write a number and a unit, like {", ".join(examples)}')
    digits, unit = found.groups()
    if digits.startswith("-"):
        raise ValueError(f"{shown(text)} is negative; {what} is 0 or more")
    if not unit:
        raise ValueError(f"{shown(digits)} has no unit; write {' or '.join(shown(digits) + unit for unit in ask)}")
    if unit not in units:
        raise ValueError(f'{shown(text)} has the unit "{shown(unit)}"; there are {", ".join(units)}')
    return float(digits), unit

"""``params`` of a runtime, each in the form that it must have. Raises CannotOpen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.runtimes.catalog import CannotOpen


def whole(params: Mapping[str, Any], name: str, default: int) -> int:
    """A number of threads, or the like: 0 or more."""
    match params.get(name, default):
        case int() as number if number >= 0 and not isinstance(number, bool):
            return number
        case odd:
            raise CannotOpen(f"params.{name} is a whole number, 0 or more, not {odd!r}")


def truth(params: Mapping[str, Any], name: str) -> bool:
    """False where it is not said."""
    match params.get(name, False):
        case bool() as value:
            return value
        case odd:
            raise CannotOpen(f"params.{name} is true or false, not {odd!r}")

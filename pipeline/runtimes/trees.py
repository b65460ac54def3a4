"""Whether trees of a booster's file can be walked: the libraries believe what it says, and end the process; pure.

Not a proof that a file is sound, which is for those who wrote it: that it was cut short, edited, or made up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.runtimes.catalog import CannotOpen

Indices = np.ndarray[Any, Any]

# Of each of them a row is made, and an answer: far more than anybody trains with.
_MOST_FEATURES = 1 << 24
_MOST_OUTPUTS = 1 << 20


def sound(path: Path, data: bytes, check: Callable[[bytes], None]) -> None:
    """Raises CannotOpen with what the check of such files found."""
    try:
        check(data)
    except ValueError as error:
        raise CannotOpen(f"{path} is no booster that can be read: {error}") from error


def count(params: Mapping[str, Any], name: str, least: int, most: int) -> int:
    """A number, as text, that is in those bounds. Raises ValueError."""
    try:
        number = int(params[name])
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{name} is missing, or no number") from None
    if not least <= number <= most:
        raise ValueError(f"{name} is {number}, expected {least} to {most}")
    return number


def features(params: Mapping[str, Any], name: str, least: int = 0) -> int:
    return count(params, name, least, _MOST_FEATURES)


def outputs(params: Mapping[str, Any], name: str) -> int:
    return count(params, name, 0, _MOST_OUTPUTS)


def indices(tree: Mapping[str, Any], name: str, size: int) -> Indices:
    """So many whole numbers. Raises ValueError."""
    try:
        found = np.asarray(tree[name])
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{name} is missing, or no list") from None
    if found.shape != (size,) or (size and found.dtype.kind not in "iub"):
        raise ValueError(f"{name} is no list of {size} whole numbers")
    return found.astype(np.int64)


def within(name: str, values: Indices, least: int, below: int) -> None:
    """Raises ValueError that names the first outside."""
    odd = values[(values < least) | (values >= below)]
    if odd.size:
        raise ValueError(f"{name} has {odd[0]}, expected {least} to {below - 1}")


def walkable(children: Indices) -> None:
    """Raises ValueError where a node is the child of two, or the root is one: a walk from it might never end."""
    if np.unique(children).size < children.size or not children.all():
        raise ValueError("its nodes form no tree")

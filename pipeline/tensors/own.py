"""What a step with state gave, as the request's own: nobody writes it any more once the step is called again.

Such a step may keep what it returns, and write there at its next call, while the reply to this one is still read from
it. So what somebody else may write is copied, as long as the step's place is held. What nobody else holds stays, and
so does an array that is read-only down to where its memory is, as those of the request are.

Whether somebody else holds a value, CPython's count of references tells, as long as nobody on the way here holds it in
a variable.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Mapping
from copy import copy
from itertools import chain
from sys import getrefcount
from typing import Any

import numpy as np
from numpy import ndarray

from pipeline.tensors.tensor import Json, Tensor, Value, locked

_PLAIN = frozenset({str, int, float, bool, type(None), bytes})
_NUMBERS = frozenset({int, float})
# As many are looked at one by one in the time that it takes to begin with all of them at once.
_FEW = 8


def _counts() -> tuple[int, int]:
    """The count of what one object holds, and beside that a variable here; and of the same in a list that is mapped.

    Python 3.14 counts some of its own references no more. Without the interpreter's lock a count is none to go by, and
    what is never alone is copied.
    """
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return 0, 0
    holder = [object()]
    held = holder[0]
    in_variable = getrefcount(held)
    del held
    return in_variable, max(map(getrefcount, list(holder)))


_IN_VARIABLE, _IN_LIST = _counts()


def owned(values: Mapping[str, Value]) -> Mapping[str, Value]:
    """The values, or copies in the place of those that somebody else may write; ``values`` itself is the request's."""
    changed: dict[str, Value] = {}
    # Not items(): those hold the value that they gave last.
    for name in values:
        value = values[name]
        if type(value) is Tensor:
            array = value.array
            if array.flags.writeable or not _is_from_nobody(array):
                changed[name] = Tensor(value.datatype, locked(array.copy()))
        elif type(value) is Json and (getrefcount(value) > _IN_VARIABLE or not _is_alone(value)):
            changed[name] = _copy(value)
    return {**values, **changed} if changed else values


def handed_on(result: Any) -> Any:
    """What a hook gave, for the next, which runs elsewhere: the same, or a copy as of a value."""
    held = Json(result)
    del result
    return held.value if _is_alone(held) else _copy(held).value


def _copy(json: Json) -> Json:
    """With lists, objects and arrays of its own. What nests without end stays: it is refused by who says it."""
    try:
        return Json(copied(json.value), json.reason)
    except RecursionError:
        return json


def copied(value: Any) -> Any:
    """Any JSON that a step may give, with new lists and objects; arrays that nobody can write are not copied.

    Raises RecursionError for what nests without end.
    """
    if type(value) in _PLAIN:
        return value
    match value:
        case dict():
            # A list of them is made at once: a thread of the author's may add to what it keeps.
            return {key: copied(inner) for key, inner in list(value.items())}
        case list() | tuple():
            kept = list(value) if _are_numbers((value,)) else [copied(inner) for inner in value]
            return tuple(kept) if type(value) is tuple else kept
        case np.ndarray():
            return value.copy() if value.flags.writeable or not _is_from_nobody(value) else value
        case set() | bytearray():
            return value.copy()
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            made = copy(value)
            for own in dataclasses.fields(value):
                object.__setattr__(made, own.name, copied(getattr(value, own.name)))
            return made
        case _:
            return value


def owned_part(part: Any) -> Any:
    """A part of a stream: a buffer that may be filled again as bytes, any other as it is."""
    return bytes(part) if isinstance(part, bytearray | memoryview) else part


def _is_from_nobody(array: np.ndarray[Any, Any]) -> bool:
    """Whether nobody else can write the arrays that this one is a view of."""
    owner: Any = array.base
    while isinstance(owner, ndarray):
        if owner.flags.writeable and getrefcount(owner) > _IN_VARIABLE:
            return False
        array = owner
        owner = array.base
    # What is no array may share its memory with whom no count tells of.
    return owner is None or not array.flags.writeable


def _is_alone(json: Json) -> bool:
    """Whether nobody else holds any list, object or array of it. Of what nests without end: no."""
    value = json.value
    try:
        return type(value) in _PLAIN or (getrefcount(value) <= _IN_VARIABLE and _are_alone(value))
    except RecursionError:
        return False


def _are_alone(holder: Any) -> bool:
    """Whether nobody else holds what this one holds, and what that holds."""
    few: Iterable[Any]
    match holder:
        case dict() if len(holder) <= _FEW:
            few = holder.values()
        case list() | tuple() if len(holder) <= _FEW:
            few = holder
        case _:
            return _are_many_alone(holder)
    for inner in few:
        if type(inner) not in _PLAIN and (getrefcount(inner) > _IN_VARIABLE or not _are_alone(inner)):
            return False
    return True


def _are_many_alone(holder: Any) -> bool:
    """The same, level by level, each at C's speed. What holds itself is held twice, so this ends."""
    inside = _inside(type(holder), [holder])
    if inside is None:
        return False
    below = list(inside)
    while below:
        # One list at a time holds what is counted.
        level, below = below, []
        found = set(map(type, level))
        kinds = found - _PLAIN
        if len(kinds) < len(found):
            level = [each for each in level if type(each) in kinds]
        if level and max(map(getrefcount, level)) > _IN_LIST:
            return False
        for kind in kinds:
            alike = level if len(kinds) == 1 else [each for each in level if type(each) is kind]
            inside = _inside(kind, alike)
            if inside is None:
                return False
            below += inside
    return True


def _inside(kind: type, alike: list[Any]) -> Iterable[Any] | None:
    """What these, all of one kind, hold that is still to be looked at; None where nothing tells who holds that."""
    if kind is dict:
        return chain.from_iterable(map(dict.values, alike))
    if kind is list or kind is tuple:
        return () if _are_numbers(alike) else chain.from_iterable(alike)
    if kind is ndarray:
        return () if all(map(_is_from_nobody, alike)) else None
    return () if issubclass(kind, np.generic) else None


def _are_numbers(lists: Iterable[Iterable[Any]]) -> bool:
    """Whether they hold nothing but Python's numbers: only those have a sum that is one.

    A sum takes a quarter of what it takes to ask for the types.
    """
    if type(next(chain.from_iterable(lists), None)) not in _NUMBERS:
        return False
    try:
        return type(sum(chain.from_iterable(lists))) in _NUMBERS
    except (TypeError, ValueError, ArithmeticError):
        return False

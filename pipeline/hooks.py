"""The hooks of a model: what each takes, whether it is awaited, and in which order they answer. Runs none of them."""

from __future__ import annotations

import enum
import inspect
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

Headers = dict[str, str]
Ran = Callable[[str, float, float], None]
"""Hears of each hook that ran, well or not: its name, and when it began and ended by ``time.perf_counter``."""

_OFFERED = ("payload", "headers", "response_headers")


def _nobody(name: str, start: float, end: float) -> None:
    """Nobody asks for the times."""


def _nothing() -> None:
    """Nobody stops it."""


class Manner(enum.Enum):
    """How a hook is run. ``AT_ONCE``: calling it computes nothing, be it that it only makes a generator."""

    AT_ONCE = "at once"
    BLOCKING = "in a thread"
    AWAITED = "awaited"


@dataclass(frozen=True, slots=True)
class Hook:
    """``call(value, headers, response_headers)``, whatever its author wrote; to be awaited where ``manner`` says so.

    ``name`` is empty for one whose time nobody asks for.
    """

    call: Callable[[Any, Headers, Headers], Any]
    manner: Manner
    name: str = ""


@dataclass(frozen=True, slots=True)
class Hop:
    """Hooks in a row that run in one place, one trip for all of them."""

    hooks: tuple[Hook, ...]
    manner: Manner

    def run(
        self,
        value: Any,
        headers: Headers,
        response_headers: Headers,
        ran: Ran = _nobody,
        before: Callable[[], object] = _nothing,
    ) -> Any:
        """What they make of the value, one after the other; those of a hop that is not awaited.

        ``before`` each of them is looked whether it is to run: it raises where not.
        """
        for hook in self.hooks:
            before()
            start = perf_counter()
            try:
                value = hook.call(value, headers, response_headers)
            finally:
                if hook.name:
                    ran(hook.name, start, perf_counter())
        return value

    async def awaited(self, value: Any, headers: Headers, response_headers: Headers, ran: Ran = _nobody) -> Any:
        """The same on a loop. Cancelled, the hook that runs is cancelled, and no further one begins."""
        for hook in self.hooks:
            start = perf_counter()
            try:
                value = hook.call(value, headers, response_headers)
                if hook.manner is Manner.AWAITED:
                    value = await value
            finally:
                if hook.name:
                    ran(hook.name, start, perf_counter())
        return value


def hook_of(function: Callable[..., Any], *, offered: int, name: str = "") -> Hook:
    """A bound method as a hook that is given so many of payload, headers and response headers, or as many as it takes.

    Its parameters may have any names, but for those that can only be given by name.
    """
    positional, named = _taken(function, offered)

    def call(value: Any, headers: Headers, response_headers: Headers) -> Any:
        given = (value, headers, response_headers)
        return function(*given[:positional], **{name: given[at] for name, at in named.items()})

    return Hook(call, manner_of(function), name)


def manner_of(function: Callable[..., Any], *, is_quick: bool = False) -> Manner:
    if inspect.iscoroutinefunction(function):
        return Manner.AWAITED
    makes_generator = inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function)
    return Manner.AT_ONCE if makes_generator or is_quick else Manner.BLOCKING


def hops_of(hooks: Sequence[Hook]) -> tuple[Hop, ...]:
    """The hooks in order, neighbours of one manner together; what is done at once joins those before it."""
    hops: list[Hop] = []
    for hook in hooks:
        last = hops[-1] if hops else None
        if last is not None and Manner.AT_ONCE in (hook.manner, last.manner):
            manner = last.manner if hook.manner is Manner.AT_ONCE else hook.manner
            hops[-1] = Hop((*last.hooks, hook), manner)
        elif last is not None and last.manner is hook.manner:
            hops[-1] = Hop((*last.hooks, hook), hook.manner)
        else:
            hops.append(Hop((hook,), hook.manner))
    return tuple(hops)


def _taken(function: Callable[..., Any], offered: int) -> tuple[int, dict[str, int]]:
    """(how many it takes by position, name → which one it takes by name only)"""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return offered, {}
    kinds = [own.kind for own in parameters]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return offered, {}
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    # One that takes nothing is told so by Python.
    positional = max(1, min(offered, sum(map(by_position.__contains__, kinds))))
    named = {own.name for own in parameters if own.kind is inspect.Parameter.KEYWORD_ONLY}
    rest = itertools.islice(enumerate(_OFFERED), positional, offered)
    return positional, {name: at for at, name in rest if name in named}

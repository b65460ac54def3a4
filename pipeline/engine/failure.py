"""What an exception that left a step means to its request: a failure, the echo of a cancellation, or Ctrl-C.

Decides what to raise instead and raises nothing. Knows no plan, no limit and no task.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import trio

from pipeline.errors import Code, InferError, WrongAnswer, noted

Kind = TypeVar("Kind", bound=BaseException)
# What asyncio.get_running_loop raises, as libraries do that need one.
_NO_ASYNCIO = "no running event loop"


def failure(error: BaseException, step: str, *, cancelled: bool) -> BaseException:
    """What to raise for an ``error`` that left the step of that name on the loop; mostly the error itself, noted.

    ``cancelled``: the step had been cancelled. Whatever its clean-up raised then, alone or in a group, is that
    cancellation: what somebody else did first is the cause. KeyboardInterrupt passes bare, since Ctrl-C hits whatever
    code happens to run.
    """
    if not isinstance(error, Exception) and (interrupt := _within(error, KeyboardInterrupt)):
        return interrupt
    if cancelled and (cancellation := _within(error, trio.Cancelled)):
        return cancellation
    if isinstance(error, RuntimeError) and error.args == (_NO_ASYNCIO,):
        noted(error, "code for asyncio runs in a step with place: asyncio")
    return contained(error, step)


def contained(error: BaseException, step: str) -> Exception:
    """The error that a request can have: itself with a note of the step, or WrongAnswer caused by it.

    A group of nothing but InferErrors, as an author's nursery makes of one, is the first of them: its text was meant
    for the caller. WrongAnswer is for what means something to the interpreter or to the loop and would be taken for
    it: SystemExit, GeneratorExit, StopIteration, a Cancelled that nobody sent.
    """
    match list(leaves(error)) if isinstance(error, ExceptionGroup) else []:
        case [InferError() as first, *others] if all(isinstance(other, InferError) for other in others):
            for note in getattr(error, "__notes__", ()):
                noted(first, note)
            error = first
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        noted(error, f'in step "{step}"')
        return error
    wrong = WrongAnswer(f'step "{step}" raised {type(error).__name__}; a step that fails raises an Exception')
    wrong.__cause__ = error
    return wrong


def code_of(error: BaseException) -> Code:
    """How a request has ended that raises this error."""
    match error:
        case InferError(code=code):
            return code
        case trio.Cancelled():
            return Code.CANCELLED
        case _:
            return Code.INTERNAL


def bare(error: BaseException) -> BaseException:
    """The first that a group holds, however deep; any other as it is."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions of a group, and of those within it; one that is none, alone."""
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from leaves(member)
    else:
        yield error


def _within(error: BaseException, kind: type[Kind]) -> Kind | None:
    """The first exception of that kind among the error, its members, its causes and its contexts."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop()
        if isinstance(current, kind):
            return current
        # `raise error from error` is legal, and a circle.
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        waiting += (current.__cause__, current.__context__)
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions
    return None

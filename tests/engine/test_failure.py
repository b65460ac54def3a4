"""What an exception means to its request."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import trio

from pipeline.engine.failure import contained, failure
from pipeline.errors import DeadlineExceeded, InvalidInput, Overloaded, WrongAnswer


@dataclass(frozen=True)
class Frozen(Exception):
    reason: str


def a_cancellation() -> trio.Cancelled:
    async def main():
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as error:
                found.append(error)
                raise

    found: list[trio.Cancelled] = []
    trio.run(main)
    return found[0]


CANCELLED = a_cancellation()


def after(error, *, cause=None, context=None):
    error.__cause__, error.__context__ = cause, context
    return error


def circle():
    one, two = KeyError("one"), KeyError("two")
    one.__cause__, two.__cause__ = two, one
    return one


ECHOES = {
    "itself": CANCELLED,
    "in a group": BaseExceptionGroup("", [ValueError(), CANCELLED]),
    "as the context": after(ValueError(), context=CANCELLED),
    "as the cause": after(ValueError(), cause=CANCELLED),
    "further down": after(ValueError(), cause=after(KeyError(), context=CANCELLED)),
    "beside an explicit cause": after(ValueError(), cause=KeyError(), context=CANCELLED),
    "within a member": ExceptionGroup("", [after(ValueError(), context=CANCELLED)]),
    "behind an exit": after(SystemExit(), context=CANCELLED),
}


@pytest.mark.parametrize("error", ECHOES.values(), ids=ECHOES)
def test_what_a_cancelled_step_raises_is_its_cancellation(error):
    assert failure(error, "a", cancelled=True) is CANCELLED


@pytest.mark.parametrize("error", ECHOES.values(), ids=ECHOES)
def test_where_nobody_cancelled_it_is_an_error(error):
    found = failure(error, "a", cancelled=False)
    assert isinstance(found, Exception)
    assert error in (found, found.__cause__)


OWN = {"plain": ValueError(), "caused": after(ValueError(), cause=KeyError()), "in a circle": circle()}


@pytest.mark.parametrize("cancelled", [True, False])
@pytest.mark.parametrize("error", OWN.values(), ids=OWN)
def test_an_error_of_the_steps_own_stays_itself(error, cancelled):
    cause, context = error.__cause__, error.__context__
    assert failure(error, "a", cancelled=cancelled) is error
    assert (error.__cause__, error.__context__) == (cause, context)
    assert error.__notes__ == ['in step "a"']


@pytest.mark.parametrize("cancelled", [True, False])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_an_interrupt_is_always_one(depth, cancelled):
    interrupt = error = after(KeyboardInterrupt(), context=CANCELLED)
    for _ in range(depth):
        error = BaseExceptionGroup("", [ValueError(), error])
    assert failure(error, "a", cancelled=cancelled) is interrupt


def test_an_interrupt_that_the_step_dealt_with_is_none():
    error = after(ValueError(), context=KeyboardInterrupt())
    assert failure(error, "a", cancelled=False) is error


@pytest.mark.parametrize("error", [SystemExit(1), GeneratorExit(), StopIteration(3), KeyboardInterrupt()], ids=repr)
def test_what_is_no_error_of_a_request_is_contained_in_one(error):
    found = contained(error, "a")
    assert isinstance(found, WrongAnswer)
    assert found.message == f'step "a" raised {type(error).__name__}; a step that fails raises an Exception'
    assert found.__cause__ is error


FULL = Overloaded("Step a")


@pytest.mark.parametrize("cancelled", [True, False])
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("beside", [[], [FULL], [InvalidInput("no"), ExceptionGroup("", [FULL])]])
def test_a_group_of_nothing_but_errors_for_the_caller_is_the_first_of_them(depth, beside, cancelled):
    group = first = DeadlineExceeded("late")
    for _ in range(depth):
        group = ExceptionGroup("", [group, *beside])
    group.add_note("in item 3")
    assert failure(group, "a", cancelled=cancelled) is first
    assert first.__notes__ == ["in item 3", 'in step "a"']


@pytest.mark.parametrize("others", [[ValueError()], [FULL, ValueError()], [FULL, ExceptionGroup("", [KeyError()])]])
def test_a_group_with_an_error_of_another_kind_stays_itself(others):
    group = ExceptionGroup("", others)
    assert contained(group, "a") is group


def test_an_error_that_cannot_be_noted_is_raised_all_the_same():
    error = Frozen("no")
    assert contained(error, "a") is error

"""The context a step is called with."""

from __future__ import annotations

import math
import threading

import pytest
import trio

from pipeline.engine.step import Context
from pipeline_serve import Context as PublicContext
from pipeline_serve import InvalidInput, Step
from tests.engine.graphs import ONE, pipeline, request


def test_without_a_deadline_it_needs_no_loop():
    context = Context(request(), math.inf)
    assert context.remaining() == math.inf
    assert (context.id, context.headers, context.parameters) == ("r1", {}, {})


async def test_the_remaining_time_is_told_on_the_loop_and_in_every_thread(mock_clock):
    context = Context(request(), trio.current_time() + 10, clock=trio.lowlevel.current_clock())
    told = []

    def in_a_thread_of_ones_own():
        thread = threading.Thread(target=lambda: told.append(context.remaining()))
        thread.start()
        thread.join()

    mock_clock.jump(3)
    told.append(context.remaining())
    told.append(await trio.to_thread.run_sync(context.remaining))
    await trio.to_thread.run_sync(in_a_thread_of_ones_own)
    assert told == pytest.approx([7, 7, 7])
    mock_clock.jump(8)
    assert context.remaining() == pytest.approx(-1)


def test_a_thread_that_outlives_its_request_and_the_loop_can_still_ask():
    told, go_on, ended = [], threading.Event(), threading.Event()

    def outlive(context):
        go_on.wait(10)
        told.append(context.remaining())
        ended.set()

    async def main():
        context = Context(request(), trio.current_time() - 5, clock=trio.lowlevel.current_clock())
        with trio.CancelScope() as scope:
            scope.deadline = trio.current_time()
            await trio.to_thread.run_sync(outlive, context, abandon_on_cancel=True)

    trio.run(main)
    go_on.set()
    if not told:
        ended.wait(10)
    assert all(remaining <= -5 for remaining in told)


@pytest.mark.parametrize("place", ["async", "thread", "loop"])
async def test_a_step_sees_its_request(place):
    seen = []

    def look(x, context: PublicContext):
        seen.append((context.headers, context.parameters, context.id, 0 < context.remaining() <= 5))
        return x

    async def look_async(x, context: PublicContext):
        return look(x, context)

    step = Step(run=look_async) if place == "async" else Step(run=look, place=place)
    async with pipeline({"a": step}) as built:
        await built.infer(ONE, headers={"X-User": "u"}, parameters={"p": [1]}, id="r7", timeout=5)
    assert seen == [({"x-user": "u"}, {"p": [1]}, "r7", True)]


@pytest.mark.parametrize(("deadline", "timeout", "most"), [("3s", None, 3), ("3s", 9, 3), ("9s", 2, 2)])
async def test_the_remaining_time_is_of_the_shorter_of_both_deadlines(deadline, timeout, most, mock_clock):
    async def ask(x, context: PublicContext):
        return context.remaining()

    async with pipeline({"a": Step(run=ask)}, deadline=deadline) as built:
        assert (await built.infer(ONE, timeout=timeout))["a"] == most


async def test_an_error_of_the_step_is_the_very_object_that_it_raised():
    error = InvalidInput("no")

    async def refuse(x):
        raise error

    async with pipeline({"a": Step(run=refuse)}) as built:
        for _ in range(2):
            with pytest.raises(InvalidInput) as caught:
                await built.infer(ONE)
            assert caught.value is error
    # Raised again and again, it is noted once.
    assert error.__notes__ == ['in step "a"']


async def test_a_step_knows_the_verb_and_adds_to_the_reply():
    async def add(x, context: PublicContext):
        context.answer.headers["x-answered-by"] = context.verb
        context.answer.parameters["p"] = 1
        context.answer.output_parameters["a"] = {"of": "a"}
        return x

    async with pipeline({"a": Step(run=add)}, output={"predict": "a", "explain": "a"}) as built:
        for verb in ("predict", "explain"):
            response = await built.infer(ONE, verb=verb)
            assert response.headers == {"x-answered-by": verb}
            assert (response.parameters, response.output_parameters) == ({"p": 1}, {"a": {"of": "a"}})


async def test_what_one_request_adds_is_in_no_other_ones_reply():
    async def add(x, context: PublicContext):
        context.answer.headers |= dict.fromkeys(context.parameters, "1")
        return x

    async with pipeline({"a": Step(run=add)}) as built:
        first = await built.infer(ONE, parameters={"x-a": 1})
        second = await built.infer(ONE, parameters={"x-b": 1})
    assert (first.headers, second.headers) == ({"x-a": "1"}, {"x-b": "1"})

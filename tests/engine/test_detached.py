"""Detached steps: begun when what they read exists, waited for by nobody but the pipeline that closes."""

from __future__ import annotations

import contextvars
import gc
import threading
import weakref

import numpy as np
import pytest
import trio
import trio.lowlevel
from trio.testing import wait_all_tasks_blocked

from pipeline.errors import (
    Code,
    DeadlineExceeded,
    InferError,
    InvalidInput,
    ModelNotReady,
    Overloaded,
    WrongAnswer,
)
from pipeline.observe import DetachedDone, RequestDone
from pipeline.tensors.message import InferRequest
from pipeline_serve import Context, Step
from tests.engine.graphs import pipeline

X = {"x": np.array([1.0, 2.0])}


class Boom(Exception):
    pass


async def same(x):
    return x


def told_by(model):
    told = []
    model.observers.append(lambda event: told.append(event) if isinstance(event, DetachedDone) else None)
    return told


def ends(told):
    return [(event.step, type(event.error)) for event in told]


async def test_the_answer_does_not_wait_and_the_pipeline_does(autojump_clock):
    ended = []

    async def slow(x):
        await trio.sleep(10)
        ended.append(x.tolist())
        return x

    async with pipeline({"a": Step(run=same), "log": Step(run=slow, detached=True)}) as model:
        told = told_by(model)
        assert (await model.infer(X))["a"].tolist() == [1, 2]
        assert trio.current_time() == 0
        await model.drained()
        assert (trio.current_time(), ended) == (10, [[1, 2]])
        await model.infer(X)
    assert trio.current_time() == 20
    assert ends(told) == [("log", type(None))] * 2


async def test_in_a_graph_the_step_below_reads_past_it_and_the_answer_is_the_last_that_is_waited_for():
    steps = {
        "a": Step(run=lambda x: x + 1),
        "log": Step(run=same, detached=True, inputs="a"),
        "b": Step(run=lambda a: a * 10, inputs="a"),
    }
    async with pipeline(steps) as model:
        assert list((await model.infer(X)).outputs) == ["b"]


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_it_begins_when_its_inputs_exist_before_the_steps_below_them(kind):
    begun = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def first(x):
        return x + 1

    async def first_async(x):
        return x + 1

    async def waits(x):
        await begun.wait()
        return x

    def log(x, context: Context):
        assert x.tolist() == [2, 3]
        token.run_sync_soon(begun.set)
        return x

    steps = {
        "a": Step(run=first if kind == "thread" else first_async),
        "log": Step(run=log, inputs=["a"], detached=True),
        "b": Step(run=waits, inputs="a"),
    }
    async with pipeline(steps) as model:
        assert (await model.infer(X))["b"].tolist() == [2, 3]


async def test_one_that_reads_only_the_request_begins_first_and_joins_every_plan():
    seen = []

    async def audit(x, context: Context):
        seen.append(context.id)
        return x

    steps = {
        "audit": Step(run=audit, inputs="request", detached=True),
        "p": Step(run=same, inputs="request"),
        "e": Step(run=same, inputs="request"),
    }
    async with pipeline(steps, output={"predict": "p", "explain": "e"}) as model:
        await model.infer(X, id="1")
        await model.infer(X, id="2", verb="explain")
    assert sorted(seen) == ["1", "2"]


async def test_it_joins_only_plans_that_compute_all_that_it_reads():
    seen = []

    async def log(x, context: Context):
        seen.append(context.id)
        return x

    steps = {
        "p": Step(run=same, inputs="request"),
        "e": Step(run=same, inputs="request"),
        "log": Step(run=log, inputs="e", detached=True),
    }
    async with pipeline(steps, output={"predict": "p", "explain": "e"}) as model:
        await model.infer(X, id="1")
        await model.infer(X, id="2", verb="explain")
    assert seen == ["2"]


# ---- when the request does not go well


async def fails(x):
    raise Boom


async def test_it_runs_when_a_later_step_fails_and_not_when_what_it_reads_does():
    seen = []

    async def log(x):
        seen.append(x.tolist())
        return x

    steps = {"a": Step(run=same), "log": Step(run=log, inputs="a", detached=True), "b": Step(run=fails, inputs="a")}
    async with pipeline(steps) as model:
        with pytest.raises(Boom):
            await model.infer(X)
    assert seen == [[1, 2]]
    steps = {"a": Step(run=fails), "log": Step(run=log, inputs="a", detached=True), "b": Step(run=same, inputs="a")}
    async with pipeline(steps) as model:
        with pytest.raises(Boom):
            await model.infer(X)
    assert seen == [[1, 2]]


async def test_steps_of_one_hop_that_fail_leave_what_was_given_before():
    seen = []

    def log(x):
        seen.append(x.tolist())
        return x

    def boom(x):
        raise Boom

    # a has two readers, so b is a stage of its own; b and c are one hop.
    steps = {
        "a": Step(run=lambda x: x),
        "b": Step(run=lambda x: x + 1, inputs="a"),
        "c": Step(run=boom, inputs="b"),
        "log": Step(run=log, inputs="b", detached=True),
    }
    async with pipeline(steps) as model:
        with pytest.raises(Boom):
            await model.infer(X)
    assert seen == [[2, 3]]


async def test_a_caller_that_leaves_does_not_take_it_along(autojump_clock):
    seen = []

    async def log(x):
        await trio.sleep(5)
        seen.append(x.tolist())
        return x

    async def forever(x):
        await trio.sleep_forever()

    steps = {"a": Step(run=same), "log": Step(run=log, inputs="a", detached=True), "b": Step(run=forever, inputs="a")}
    async with pipeline(steps) as model:
        with trio.move_on_after(1):
            await model.infer(X)
        assert trio.current_time() == 1
    assert (trio.current_time(), seen) == (5, [[1, 2]])


# ---- its own failures


async def test_its_failure_is_told_with_the_request_id_and_changes_no_answer():
    steps = {"a": Step(run=same), "log": Step(run=fails, detached=True)}
    async with pipeline(steps) as model:
        told, done = told_by(model), []
        model.observers.append(lambda event: done.append(event) if isinstance(event, RequestDone) else None)
        assert (await model.infer(X, id="7"))["a"].tolist() == [1, 2]
        await model.drained()
        assert ends(told) == [("log", Boom)]
        assert told[0].id == "7"
        assert told[0].error.__notes__ == ['in step "log"']
        assert [span.step for span in done[0].spans] == ["a"]


async def test_what_it_lacks_of_the_request_is_told_too():
    async def log(x, lang: str):
        return x

    steps = {"a": Step(run=same), "log": Step(run=log, inputs={"x": "a", "lang": "headers.lang"}, detached=True)}
    async with pipeline(steps) as model:
        told = told_by(model)
        await model.infer(X)
    assert ends(told) == [("log", InvalidInput)]


async def test_its_time_is_its_own_a_minute_by_default(autojump_clock):
    left = []

    async def forever(x, context: Context):
        left.append(context.remaining())
        await trio.sleep_forever()

    for timeout, seconds in ((None, 60), ("90s", 90)):
        began = trio.current_time()
        steps = {"a": Step(run=same), "log": Step(run=forever, detached=True, timeout=timeout)}
        async with pipeline(steps, deadline="1s") as model:
            told = told_by(model)
            await model.infer(X)
        assert trio.current_time() - began == seconds
        assert ends(told) == [("log", DeadlineExceeded)]
    assert left == [60, 90]


async def test_its_limit_and_queue_hold_and_what_finds_no_place_is_dropped(autojump_clock):
    ran = []

    async def log(x):
        ran.append(1)
        await trio.sleep(1)
        return x

    steps = {"a": Step(run=same), "log": Step(run=log, detached=True, limit=1, queue=1)}
    async with pipeline(steps) as model:
        told = told_by(model)
        for _ in range(4):
            await model.infer(X)
            await wait_all_tasks_blocked()
    assert len(ran) == 2
    assert ends(told) == [("log", Overloaded)] * 2 + [("log", type(None))] * 2


async def test_async_ones_without_a_limit_are_at_most_as_many_as_the_graph_takes_requests(autojump_clock):
    async def log(x):
        await trio.sleep(1)
        return x

    steps = {
        "a": Step(run=same),
        "log": Step(run=log, inputs="request", detached=True),
        "audit": Step(run=log, inputs="request", detached=True),
    }
    async with pipeline(steps, limit=3) as model:
        told = told_by(model)
        for _ in range(2):
            await model.infer(X, id="7")
        assert ends(told) == [("audit", Overloaded)]
        assert told[0].id == "7"
        await model.drained()
        await model.infer(X)
    assert sorted(step for step, error in ends(told) if error is type(None)) == ["audit"] * 2 + ["log"] * 3


@pytest.mark.parametrize("observed", [False, True])
async def test_its_failure_is_in_the_log_where_nobody_observes(observed, caplog):
    async with pipeline({"a": Step(run=same), "log": Step(run=fails, detached=True)}) as model:
        if observed:
            told_by(model)
        await model.infer(X)
    lines = [(record.name, record.levelname, record.message) for record in caplog.records]
    expected = [("pipeline_serve", "ERROR", 'detached step "log" of model "test" failed: Boom: ')]
    assert lines == ([] if observed else expected)
    assert observed or caplog.records[0].exc_info[0] is Boom


async def test_it_has_the_variables_of_its_request():
    name = contextvars.ContextVar("name", default="nobody")
    seen = []

    def log(x):
        seen.append(name.get())
        return x

    async with pipeline({"a": Step(run=same), "log": Step(run=log, detached=True)}) as model:
        name.set("request")
        await model.infer(X)
    assert seen == ["request"]


# ---- closing


async def test_a_pipeline_that_is_cancelled_cancels_it(autojump_clock):
    stopped = []

    async def forever(x):
        try:
            await trio.sleep_forever()
        finally:
            stopped.append(trio.current_time())

    told = []
    with trio.move_on_after(5) as scope:
        async with pipeline({"a": Step(run=same), "log": Step(run=forever, detached=True)}) as model:
            told = told_by(model)
            await model.infer(X)
            await trio.sleep_forever()
    assert (scope.cancelled_caught, stopped) == (True, [5])
    (done,) = told
    assert isinstance(done.error, InferError)
    assert done.error.code is Code.CANCELLED


async def asked_and_then(model, error):
    async with model:
        await model.infer(X)
        raise error


async def test_ctrl_c_in_the_body_cancels_it_and_an_error_of_the_body_stays_bare(autojump_clock):
    async def forever(x):
        await trio.sleep_forever()

    for error, seconds in ((KeyboardInterrupt, 0), (Boom, 60)):
        began = trio.current_time()
        model = pipeline({"a": Step(run=same), "log": Step(run=forever, detached=True)})
        with pytest.raises(error):
            await asked_and_then(model, error)
        assert trio.current_time() - began == seconds


async def interrupted(x):
    raise KeyboardInterrupt


async def interrupted_in_a_nursery(x):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(interrupted, x)


@pytest.mark.parametrize("step", [interrupted, interrupted_in_a_nursery])
async def test_an_interrupt_of_its_own_ends_nothing_else_where_ctrl_c_is_heard_elsewhere(step):
    async with pipeline({"a": Step(run=same), "log": Step(run=step, detached=True)}) as model:
        told = told_by(model)
        model.own_interrupts()
        await model.infer(X)
        await model.drained()
        assert (await model.infer(X))["a"].tolist() == [1, 2]
    assert ends(told) == [("log", WrongAnswer)] * 2
    assert "raised KeyboardInterrupt" in told[0].error.message


def test_an_interrupt_of_its_own_ends_nothing_else_in_a_thread_which_no_signal_reaches():
    model = pipeline({"a": Step(run=same), "log": Step(run=interrupted, detached=True)})
    told = told_by(model)
    with model.blocking() as open_model:
        open_model.infer(X)
        assert open_model.infer(X)["a"].tolist() == [1, 2]
    assert ends(told) == [("log", WrongAnswer)] * 2


async def test_an_interrupt_that_may_be_ctrl_c_passes():
    with pytest.RaisesGroup(KeyboardInterrupt):
        async with pipeline({"a": Step(run=same), "log": Step(run=interrupted, detached=True)}) as model:
            await model.infer(X)
            await trio.sleep_forever()


def nothing(x):
    return None


async def nothing_async(x):
    return None


@pytest.mark.parametrize("step", [nothing, nothing_async, lambda x: None if x.sum() > 1 else x, lambda x: np.ones(3)])
@pytest.mark.parametrize("each", [None, "x"])
async def test_what_it_returns_is_nobodys_and_may_be_none(step, each):
    async with pipeline({"a": Step(run=same), "log": Step(run=step, inputs="request", detached=True, each=each)}) as m:
        told = told_by(m)
        await m.infer(X)
        await m.drained()
    assert ends(told) == [("log", type(None))]


async def test_what_no_step_can_return_is_told_all_the_same():
    async with pipeline({"a": Step(run=same), "log": Step(run=lambda x: object(), detached=True)}) as model:
        told = told_by(model)
        await model.infer(X)
    assert ends(told) == [("log", WrongAnswer)]


async def test_none_begins_once_the_pipeline_closes(autojump_clock):
    async def slow(x):
        await trio.sleep(10)
        return x

    started = trio.Event()

    async def late(x):
        started.set()
        await trio.sleep(1)
        return x

    async with trio.open_nursery() as nursery:
        steps = {"a": Step(run=late), "log": Step(run=slow, inputs="a", detached=True)}
        async with pipeline(steps) as model:
            told = told_by(model)
            nursery.start_soon(model.infer, X)
            await started.wait()
        assert trio.current_time() == 0
    assert ends(told) == [("log", ModelNotReady)]
    async with model:
        await model.infer(X)
    assert ends(told) == [("log", ModelNotReady), ("log", type(None))]


async def test_a_thread_that_is_left_keeps_its_place_until_it_ends():
    go_on, entered = threading.Event(), threading.Event()

    def log(x):
        entered.set()
        go_on.wait(10)
        return x

    model = pipeline({"a": Step(run=same), "log": Step(run=log, detached=True, limit=1)})
    async with trio.open_nursery() as nursery:

        async def hold():
            async with model:
                await model.infer(X)
                await trio.sleep_forever()

        nursery.start_soon(hold)
        await trio.to_thread.run_sync(entered.wait, 10)
        limit = model._opened["log"].limit
        nursery.cancel_scope.cancel()
    assert limit.taken == 1
    go_on.set()
    while limit.taken:
        await trio.lowlevel.checkpoint()


# ---- what is kept of the request


READING = {
    "what a step gave": ("a", []),
    "one of its inputs": ("request.small", ["small"]),
    "one of its inputs, under another name": ({"y": "request.small"}, ["small"]),
}


@pytest.mark.parametrize("each", [None, "y"])
@pytest.mark.parametrize(("reads", "kept"), READING.values(), ids=READING)
async def test_of_its_request_a_job_keeps_what_it_reads(reads, kept, each):
    going, seen = trio.Event(), []

    async def log(y, context: Context):
        await going.wait()
        seen.append((list(context.request.inputs), context.request.body, context.id, dict(context.headers)))
        return y

    steps = {
        "a": Step(run=lambda x, small: np.array([1.0]), inputs="request"),
        "log": Step(run=log, inputs=[reads] if isinstance(reads, str) else reads, detached=True, each=each),
    }
    gc.disable()
    try:
        async with pipeline(steps) as model:
            array = np.zeros(1000)
            there = weakref.ref(array)
            request = {"x": array, "small": np.array([1.0])}
            await model.infer(request, id="r", headers={"h": "1"})
            del array, request
            gone = there() is None
            going.set()
        assert gone
    finally:
        gc.enable()
    assert seen == [(kept, None, "r", {"h": "1"})]


async def test_a_job_that_may_look_at_the_whole_request_is_left_it():
    seen = []

    async def asks_for_it(y, request: InferRequest):
        seen.append(list(request.inputs))
        return y

    async def calls(y, f):
        return await f(y)

    steps = {
        "a": Step(run=lambda x, small: np.array([1.0]), inputs="request"),
        "log": Step(run=asks_for_it, inputs=["a"], detached=True),
        "target": Step(run=asks_for_it, inputs=["a"]),
        "why": Step(run=calls, inputs=["a"], detached=True, handles={"f": "target"}),
    }
    async with pipeline(steps, output="a") as model:
        await model.infer({"x": np.zeros(2), "small": np.array([1.0])})
    assert seen == [["x", "small"]] * 2

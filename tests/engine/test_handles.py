"""Handles: a step calls another as a function, in every pairing of async and blocking code."""

from __future__ import annotations

import contextvars
import re
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import networkx as nx
import numpy as np
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from pipeline.errors import Code, DeadlineExceeded, InferError, InvalidInput, Overloaded, WrongAnswer
from pipeline.observe import RequestDone
from pipeline_serve import Context, Pipeline, Step
from tests.raw import answer, answering, raw_server

X = {"x": np.array([1.0, 2.0])}


def doubling(x):
    return x * 2


async def doubling_async(x):
    await trio.lowlevel.checkpoint()
    return x * 2


def summing(x, f):
    return np.array([f(x + number).sum() for number in range(5)])


async def summing_async(x, f):
    return np.array([(await f(x + number)).sum() for number in range(5)])


SUMS = [6, 10, 14, 18, 22]


def made(owner, target, *, inputs="request", **top):
    """``why`` calls ``score`` through its handle ``f``; both read the request."""
    dag = nx.DiGraph()
    dag.add_node("score", step=target if isinstance(target, Step) else Step(run=target))
    if not isinstance(owner, Step):
        owner = Step(run=owner, inputs=inputs, handles={"f": "score"})
    dag.add_node("why", step=owner)
    return Pipeline("m", dag, **top)


async def asked(owner, target, request=X, **top):
    async with made(owner, target, **top) as model:
        return (await model.infer(request))["why"]


class Stateful:
    def __call__(self, x):
        return x * 2


TARGETS = {
    "a thread": doubling,
    "the loop": doubling_async,
    "a thread with a timeout": Step(run=doubling, timeout="1m"),
    "the loop with a timeout": Step(run=doubling_async, timeout="1m"),
    "a thread with one place": Stateful,
    "the loop with one place": Step(run=doubling_async, limit=1),
    "a synchronous step on the loop": Step(run=doubling, place="loop"),
}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("owner", [summing, summing_async])
async def test_async_and_blocking_steps_call_steps_of_every_kind(owner, target):
    assert (await asked(owner, target)).tolist() == SUMS


async def test_a_blocking_step_calls_another_in_its_own_thread():
    threads = []

    def target(x):
        threads.append(threading.get_ident())
        return x

    def owner(x, f):
        threads.append(threading.get_ident())
        return f(x)

    await asked(owner, target)
    assert threads[0] == threads[1]
    assert threads[0] != threading.get_ident()


async def test_the_target_and_what_only_it_needs_run_when_called_and_not_before():
    ran = []

    def step(name):
        def run(x):
            ran.append(name)
            return x

        return run

    def why(x, f):
        assert ran == []
        return f(x)

    dag = nx.DiGraph()
    dag.add_node("before", step=Step(run=step("before")))
    dag.add_node("score", step=Step(run=step("score")))
    dag.add_edge("before", "score")
    dag.add_node("why", step=Step(run=why, handles={"f": "score"}))
    async with Pipeline("m", dag) as model:
        assert (await model.infer(X))["why"].tolist() == [1, 2]
    assert ran == ["score"]


async def test_a_tensor_that_only_a_called_step_would_read_is_read_by_nobody():
    dag = nx.DiGraph()
    dag.add_node("score", step=Step(run=lambda z: z))
    dag.add_node("why", step=Step(run=lambda x, w, f: f(z=x), handles={"f": "score"}))
    async with Pipeline("m", dag) as model:
        assert (await model.infer({"x": 1, "w": 1}))["why"].tolist() == 1
        with pytest.raises(InvalidInput, match='input "z" is read by no step'):
            await model.infer({"x": 1, "w": 1, "z": 1})


async def test_a_called_step_sees_the_request_and_its_own_arguments():
    def score(body: dict, context: Context):
        return {"given": body, "id": context.id, "handles": list(context.handles)}

    target = Step(run=score, inputs={"body": "request"})
    async with made(lambda x, f: f(body={"a": 1}), target) as model:
        answer = await model.infer(X, id="7")
    assert answer["why"] == {"given": {"a": 1}, "id": "7", "handles": []}


# ---- how it is called


def one(f, x):
    return f(x)


@pytest.mark.parametrize(
    "call",
    [
        lambda f, x: f(x),
        lambda f, x: f(x=x),
        lambda f, x: f({"x": x}),
        lambda f, x: f(x.tolist()),
        lambda f, x: f(x=x.tolist()),
    ],
)
async def test_the_only_input_is_passed_by_place_by_name_or_in_a_map(call):
    assert (await asked(lambda x, f: call(f, x), doubling)).tolist() == [2, 4]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: f(), r"score\(\) missing 2 required arguments: 'a' and 'b'; it takes 'a', 'b' and 'c'"),
        (lambda f: f(a=1), r"score\(\) missing 1 required argument: 'b'; it takes 'a', 'b' and 'c'"),
        (lambda f: f(a=1, b=2, d=3), r"score\(\) got an unexpected keyword argument 'd'; it takes 'a', 'b' and 'c'"),
        (lambda f: f({"a": 1, "b": 2}, a=1), r"score\(\) got multiple values for argument 'a'"),
        (lambda f: f({"a": 1, 2: 2}), r"score\(\) takes inputs by name, and a name is text, not 2"),
        (lambda f: f(1), r"score\(\) takes its inputs by name; it takes 'a', 'b' and 'c'"),
        (lambda f: f(1, 2), r"score\(\) takes 1 positional argument but 2 were given; it takes 'a', 'b' and 'c'"),
        (lambda f: f(a=object(), b=1), r'score\(\): input "a" is a object; it is an array, a list'),
        (lambda f: f(a=np.array([1j]), b=1), r"score\(\): numpy dtype complex128 has no datatype"),
    ],
)
async def test_a_call_that_does_not_fit_is_a_type_error_in_pythons_words(call, message):
    def score(a, b, c=0):
        return a

    dag = nx.DiGraph()
    dag.add_node("score", step=Step(run=score))
    dag.add_node("why", step=Step(run=lambda a, b, c, f: call(f), handles={"f": "score"}))
    async with Pipeline("m", dag) as model:
        with pytest.raises(TypeError, match=message):
            await model.infer({"a": 1, "b": 1, "c": 1})


async def test_json_text_and_several_outputs_come_back_as_they_are():
    def score(x: list):
        return {"first": x[0], "rest": x[1:]}

    def pair(x):
        return {"low": x - 1, "high": x + 1}

    def why(x, json, both, context: Context):
        found = json([[1], [2, 3]])
        assert found == {"first": [1], "rest": [[2, 3]]}
        assert sorted(context.handles) == ["both", "json"]
        answer = context.handles["both"](x)
        assert not answer["low"].flags.writeable
        return answer["high"] - answer["low"]

    dag = nx.DiGraph()
    dag.add_node("score", step=Step(run=score))
    dag.add_node("pair", step=Step(run=pair))
    dag.add_node("why", step=Step(run=why, handles={"json": "score", "both": "pair"}))
    async with Pipeline("m", dag) as model:
        assert (await model.infer(X))["why"].tolist() == [2, 2]


async def test_a_map_is_json_for_a_step_that_takes_json():
    def score(record: dict):
        return record["age"] + 1

    assert (await asked(lambda x, f: f({"age": 3}), score)).tolist() == 4
    assert (await asked(lambda x, f: f(record={"age": 4}), score)).tolist() == 5


async def test_what_the_target_reads_of_headers_and_parameters_is_filled_in_where_it_is_not_given():
    def score(x, lang: str, k: int = 1):
        return [f"{lang}{k}"]

    inputs = {"x": "request", "lang": "headers.x-lang", "k": "parameters.k"}
    target = Step(run=score, inputs=inputs)
    async with made(lambda x, f: f(x), target) as model:
        assert (await model.infer(X, headers={"X-Lang": "de"}))["why"].tolist() == [b"de1"]
        assert (await model.infer(X, headers={"X-Lang": "de"}, parameters={"k": 2}))["why"].tolist() == [b"de2"]
        with pytest.raises(InvalidInput, match='header "x-lang" is missing; step "score" reads it'):
            await model.infer(X)
        with pytest.raises(InvalidInput, match='input "k" cannot be bound'):
            await model.infer(X, headers={"X-Lang": "de"}, parameters={"k": "many"})
    async with made(lambda x, f: f(x=x, lang="fr"), target) as model:
        assert (await model.infer(X))["why"].tolist() == [b"fr1"]


async def test_a_single_input_has_the_name_under_which_the_target_reads_it(write):
    """A model takes tensors under any name; its own name is told by what it answers to."""
    dag = nx.DiGraph()
    dag.add_node("clean", step=Step(run=lambda x: x))
    dag.add_node("score", step=Step(run=lambda **inputs: list(inputs)))
    dag.add_edge("clean", "score")
    dag.add_node("why", step=Step(run=lambda x, f: f(x), handles={"f": "score"}))
    async with Pipeline("m", dag) as model:
        assert (await model.infer(X))["why"].tolist() == [b"clean"]


# ---- whose fault it is


def wants_pairs(x: Annotated[np.ndarray, "FP64[2]"]):
    return x


async def test_what_does_not_fit_is_the_authors_fault_unless_it_began_in_the_request():
    with pytest.raises(WrongAnswer, match='step "score", called by step "why": its input "x" does not fit'):
        await asked(lambda x, f: f(np.ones(3)), wants_pairs)
    # The very tensor of the request, in another shape: still what the owner made of it.
    with pytest.raises(WrongAnswer):
        await asked(lambda x, f: f(x.reshape(1, 2)), wants_pairs)
    with pytest.raises(InvalidInput, match='input "x" does not suit step "score"'):
        await asked(lambda x, f: f(x), wants_pairs, {"x": np.empty(0)})


class Boom(Exception):
    pass


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_exception_of_the_target_passes_through_the_owners_code_as_it_was_raised(is_async):
    boom = Boom("no")

    def score(x):
        raise boom

    async def score_async(x):
        raise boom

    def why(x, f):
        with pytest.raises(Boom) as caught:
            f(x)
        assert caught.value is boom
        return f(x)

    async def why_async(x, f):
        with pytest.raises(Boom) as caught:
            await f(x)
        assert caught.value is boom
        return await f(x)

    for target in (score, score_async):
        boom.__notes__ = []
        with pytest.raises(Boom) as caught:
            await asked(why_async if is_async else why, target)
        assert caught.value is boom
        assert boom.__notes__ == ['in step "score"', 'in step "why"']


# ---- limits, times and nesting


async def test_a_call_waits_for_a_place_of_the_target_and_gives_it_back():
    inside, most, lock = 0, 0, threading.Lock()

    def score(x):
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        with lock:
            inside -= 1
        return x * 2

    async with made(summing, Step(run=score, limit=1)) as model:
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(model.infer, X)
        assert (model._opened["score"].limit.taken, most) == (0, 1)


async def test_a_target_whose_queue_is_full_is_overloaded():
    go_on = threading.Event()

    def score(x):
        go_on.wait(10)
        return x

    def why(x, f):
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(f, x)
            while model._opened["score"].limit.taken == 0:
                pass
            try:
                return f(x)
            finally:
                go_on.set()
                first.result()

    async with made(why, Step(run=score, limit=1, queue=0)) as model:
        with pytest.raises(Overloaded, match="Step score of model m is at its limit"):
            await model.infer(X)


async def test_the_targets_timeout_holds_for_each_call(autojump_clock):
    async def score(x):
        await trio.sleep(float(x[0]))
        return x

    async def why(x, f):
        return [(await f(x))[0] for _ in range(5)]

    target = Step(run=score, timeout="2s")
    assert (await asked(why, target)).tolist() == [1] * 5
    with pytest.raises(DeadlineExceeded, match='step "score" took longer than its timeout of 2 s'):
        await asked(why, target, {"x": np.array([3.0])})


async def test_handles_nest():
    dag = nx.DiGraph()
    dag.add_node("one", step=Step(run=doubling))
    dag.add_node("two", step=Step(run=lambda x, f: f(x) + 1, inputs="request", handles={"f": "one"}))
    dag.add_node("three", step=Step(run=lambda x, f: f(x) * 10, inputs="request", handles={"f": "two"}))
    told = []
    async with Pipeline("m", dag) as model:
        model.observers.append(told.append)
        assert (await model.infer(X))["three"].tolist() == [30, 50]
    (done,) = [event for event in told if isinstance(event, RequestDone)]
    assert [(call.step, call.called, call.count) for call in done.calls] == [("two", "one", 1), ("three", "two", 1)]


@pytest.mark.parametrize("asks", ["in a step", "in the queue"])
async def test_a_request_that_outlives_its_pipeline_is_told_so(asks):
    inside, go_on = trio.Event(), trio.Event()

    async def waits(x):
        inside.set()
        await go_on.wait()
        return x

    async def why(x, f):
        raise AssertionError("it was called")

    dag = nx.DiGraph()
    dag.add_node("waits", step=Step(run=waits))
    dag.add_node("score", step=Step(run=doubling_async))
    dag.add_node("why", step=Step(run=why, handles={"f": "score"}))
    dag.add_edge("waits", "why")
    failed = []

    async def ask():
        with pytest.raises(InferError) as caught:
            await model.infer(X)
        failed.append((caught.value.code, caught.value.message))

    async with trio.open_nursery() as nursery:
        async with Pipeline("m", dag, limit=1, queue=1) as model:
            nursery.start_soon(ask)
            await inside.wait()
            if asks == "in the queue":
                nursery.start_soon(ask)
                await wait_all_tasks_blocked()
        go_on.set()
    calls = 'step "why" calls step "score", which was closed while the request ran'
    queued = "Model with name m is not ready. It was closed while the request waited."
    expected = [calls, queued] if asks == "in the queue" else [calls]
    assert failed == [(Code.UNAVAILABLE, message) for message in expected]


@pytest.mark.parametrize(("owner", "target"), [(summing, doubling), (summing_async, doubling_async)])
async def test_calls_are_counted_beside_the_spans_of_the_request(owner, target):
    told = []
    async with made(owner, target) as model:
        model.observers.append(told.append)
        await model.infer(X)
    (done,) = [event for event in told if isinstance(event, RequestDone)]
    assert [span.step for span in done.spans] == ["why"]
    (calls,) = done.calls
    assert (calls.step, calls.called, calls.count) == ("why", "score", 5)
    assert 0 < calls.seconds <= done.seconds


# ---- threads of the user's own


async def test_threads_of_the_users_own_may_call_and_have_the_requests_variables():
    name = contextvars.ContextVar("name", default="nobody")
    seen = []

    def score(x):
        seen.append(name.get())
        return x * 2

    async def score_async(x):
        seen.append(name.get())
        return x * 2

    def why(x, f):
        with ThreadPoolExecutor(3) as pool:
            return np.array([array.sum() for array in pool.map(f, [x + number for number in range(5)])])

    for target in (score, score_async):
        name.set("request")
        assert (await asked(why, target)).tolist() == SUMS
    assert seen == ["request"] * 10


async def test_a_handle_that_is_kept_is_of_no_use_when_its_step_has_ended():
    kept = []

    def why(x, f):
        kept.append(f)
        return x

    async def why_async(x, f):
        kept.append(f)
        return x

    words = 'step "why" has ended'
    await asked(why, doubling)
    with pytest.raises(InferError, match=words) as caught:
        await trio.to_thread.run_sync(kept[0], 1)
    assert caught.value.code is Code.CANCELLED
    with ThreadPoolExecutor(1) as pool, pytest.raises(InferError, match=words):
        pool.submit(kept[0], 1).result()
    await asked(why_async, doubling)
    with pytest.raises(InferError, match=words):
        await kept[1](1)
    assert repr(kept[1]) == '<handle of step "why" to step "score">'


# ---- cancellation: real threads, and no clock


async def left_by_its_caller(model, entered: threading.Event):
    """Asks, and leaves as soon as the handle has been called."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(model.infer, X)
        await trio.to_thread.run_sync(entered.wait, 10)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("target", ["thread", "loop"])
async def test_when_the_caller_leaves_a_blocking_loop_ends_at_its_next_call(target):
    calls, entered, left, ended = [], threading.Event(), threading.Event(), threading.Event()

    def score(x):
        calls.append(1)
        entered.set()
        left.wait(10)
        return x

    async def score_async(x):
        calls.append(1)
        entered.set()
        await trio.sleep_forever()

    def why(x, f):
        try:
            for _ in range(1000):
                try:
                    f(x)
                except Exception:  # noqa: BLE001  # what explainers do
                    continue
        finally:
            ended.set()
        return x

    async with made(why, score if target == "thread" else score_async) as model:
        await left_by_its_caller(model, entered)
        left.set()
        assert await trio.to_thread.run_sync(ended.wait, 10)
        assert len(calls) == 1
        limit = model._opened["score"].limit
        assert limit is None or limit.taken == 0


async def test_when_the_caller_leaves_threads_of_the_users_own_are_refused():
    errors, entered, left, ended = [], threading.Event(), threading.Event(), threading.Event()

    def score(x):
        entered.set()
        left.wait(10)
        return x

    def loop(f, x):
        try:
            while True:
                f(x)
        except InferError as error:
            errors.append(error.code)

    def why(x, f):
        thread = threading.Thread(target=loop, args=(f, x))
        thread.start()
        thread.join(10)
        ended.set()
        return x

    async with made(why, score) as model:
        await left_by_its_caller(model, entered)
        left.set()
        assert await trio.to_thread.run_sync(ended.wait, 10)
    assert errors == [Code.CANCELLED]


async def test_when_the_caller_leaves_a_loop_in_a_thread_of_the_users_own_begins_no_other_item():
    items, errors, entered, left, ended = [], [], threading.Event(), threading.Event(), threading.Event()

    def score(x):
        items.append(float(x))
        entered.set()
        left.wait(10)
        return x

    def call(f):
        try:
            f(np.arange(100.0))
        except InferError as error:
            errors.append(error.code)
        finally:
            ended.set()

    def why(x, f):
        thread = threading.Thread(target=call, args=(f,))
        thread.start()
        thread.join(10)
        return x

    async with made(why, Step(run=score, each="x")) as model:
        await left_by_its_caller(model, entered)
        left.set()
        assert await trio.to_thread.run_sync(ended.wait, 10)
    assert (items, errors) == ([0], [Code.CANCELLED])


async def test_what_a_handle_still_runs_is_cancelled_when_its_step_ends():
    cancelled, entered = trio.Event(), threading.Event()
    errors = []

    async def score(x):
        entered.set()
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    def keep(f, x):
        try:
            f(x)
        except InferError as error:
            errors.append(error.code)

    threads = []

    def why(x, f):
        threads.append(threading.Thread(target=keep, args=(f, x)))
        threads[0].start()
        entered.wait(10)
        return x

    assert (await asked(why, score)).tolist() == [1, 2]
    await cancelled.wait()
    await trio.to_thread.run_sync(threads[0].join)
    assert errors == [Code.CANCELLED]


async def test_an_async_loop_over_a_target_that_never_yields_can_be_cancelled_and_lets_others_run():
    ran = []

    async def score(x):
        return x

    async def why(x, f):
        while True:
            await f(x)

    async with made(why, score) as model:
        with trio.CancelScope() as scope:

            async def other():
                ran.append("other")
                scope.cancel()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(model.infer, X)
                nursery.start_soon(other)
    assert ran == ["other"]
    assert scope.cancelled_caught


async def test_a_handle_may_be_called_from_tasks_of_the_step(autojump_clock):
    async def score(x):
        await trio.sleep(1)
        return x * 2

    async def why(x, f):
        found = {}

        async def one(number):
            found[number] = (await f(x + number)).sum()

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(one, number)
        return np.array([found[number] for number in range(5)])

    assert (await asked(why, score)).tolist() == SUMS
    assert trio.current_time() == 1


async def test_the_request_that_is_out_of_time_ends_a_call_that_waits_in_a_thread():
    stopped = trio.Event()

    async def score(x):
        try:
            await trio.sleep_forever()
        finally:
            stopped.set()

    async with made(lambda x, f: f(x), score) as model:
        with pytest.raises(DeadlineExceeded):
            await model.infer(X, timeout=0.05)
        await stopped.wait()


async def test_a_detached_step_may_have_handles():
    done = trio.Event()
    token = trio.lowlevel.current_trio_token()
    found = []

    def later(x, f):
        found.append(f(x).tolist())
        token.run_sync_soon(done.set)
        return x

    dag = nx.DiGraph()
    dag.add_node("score", step=Step(run=doubling))
    dag.add_node("answer", step=Step(run=lambda x: x))
    dag.add_node("later", step=Step(run=later, detached=True, handles={"f": "score"}))
    async with Pipeline("m", dag) as model:
        await model.infer(X)
        await done.wait()
    assert found == [[2, 4]]


def summing_rest(**others):
    return summing(others.pop("x"), others.pop("f"))


def summing_all(context: Context, **tensors):
    (x,) = tensors.values()
    return summing(x, context.handles["f"])


@pytest.mark.parametrize("owner", [summing_rest, summing_all])
async def test_keywords_take_the_handles_too_but_where_the_context_has_them(owner):
    assert (await asked(owner, doubling)).tolist() == SUMS


# ---- an explainer with a nursery of its own


async def beside_each_other(x, f):
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(f, x + number)
    return x


async def held(x):
    await trio.sleep_forever()


async def refused(x):
    raise InvalidInput("no such flower")


async def odd(x):
    return object()


async def broken(x):
    raise ValueError("secret")


@pytest.mark.parametrize(
    ("target", "error"),
    [
        (Step(run=held, limit=1, queue=0), Overloaded),
        (Step(run=held, timeout="1s"), DeadlineExceeded),
        (Step(run=refused), InvalidInput),
        (Step(run=odd), WrongAnswer),
    ],
    ids=["overloaded", "too slow", "refused", "wrong"],
)
async def test_what_tasks_of_an_explainer_are_refused_is_told_as_it_is_and_in_no_group(target, error, autojump_clock):
    told = []
    model = made(beside_each_other, target)
    model.observers.append(lambda event: told.append(event.code) if isinstance(event, RequestDone) else None)
    async with model:
        with pytest.raises(error) as caught:
            await model.infer(X)
    assert told == [caught.value.code]
    assert 'in step "why"' in caught.value.__notes__
    # The log shows where in the explainer it was.
    assert "in beside_each_other\n" in "".join(traceback.format_exception(caught.value))


async def test_what_failed_in_tasks_of_an_explainer_stays_a_group():
    with pytest.RaisesGroup(ValueError, allow_unwrapped=False):
        await asked(beside_each_other, Step(run=broken, limit=1))


# ---- with another server behind them


def why(x, f):
    return f(x)


async def why_async(x, f):
    return await f(x)


ANSWER = answer(
    b'{"model_name":"m","outputs":[{"name":"y","shape":[1],"datatype":"FP32","data":[1.5]}]}',
    head="content-type: application/json\r\n",
)


@pytest.fixture
def _no_proxy(monkeypatch):
    """A call goes by the proxies of the environment, and what is called here is on this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.mark.usefixtures("_no_proxy")
@pytest.mark.parametrize("owner", [why, why_async])
async def test_the_timeout_of_the_step_that_calls_travels_with_its_calls(owner):
    seen = []
    with raw_server(answering(ANSWER, seen=seen)) as server:
        step = Step(run=owner, inputs="request", handles={"f": "score"}, timeout="1m")
        target = Step(call=f"{server.url}/v2/models/m/infer", inputs="request")
        assert (await asked(step, target, deadline="1h")).tolist() == [1.5]
    (left,) = re.findall(rb"(?i)x-request-timeout: *([0-9.]+)", seen[0])
    assert 0 < float(left) <= 60


@pytest.mark.usefixtures("_no_proxy")
@pytest.mark.parametrize("status", ["400 Bad Request", "422 Unprocessable"])
@pytest.mark.parametrize("sent", [1.0, np.nan])
async def test_what_another_server_refuses_of_a_step_is_its_authors_fault_unless_it_began_in_the_request(status, sent):
    with raw_server(answering(answer(b'{"error": "odd"}', status=status))) as server:
        target = Step(call=f"{server.url}/v2/models/m/infer", inputs="request")
        with pytest.raises(InferError) as caught:
            await asked(Step(run=why, inputs="request", handles={"f": "score"}), target, {"x": np.array([sent])})
    if sent == 1.0:
        assert type(caught.value) is WrongAnswer
        assert caught.value.message.endswith('and its inputs were made by step "why"')
    else:
        assert type(caught.value) is InvalidInput
    assert "odd" in caught.value.internals

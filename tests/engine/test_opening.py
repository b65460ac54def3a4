"""Steps as the engine opens them: ``place: asyncio`` with all that a step may have beside it.

Where the rest of a step's places is tested: test_place.py, test_each.py, test_handles.py, test_detached.py.
"""

from __future__ import annotations

import asyncio
import threading

import httpx
import networkx as nx
import numpy as np
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from pipeline.engine.asyncio_task import CLEANUP_SECONDS
from pipeline.errors import Code, DeadlineExceeded, InferError, Overloaded, WrongAnswer
from pipeline.observe import DetachedDone
from pipeline_serve import Context, Model, Pipeline, Step
from tests.engine.flag import Flag
from tests.raw import answer, answering, raw_server

X = {"x": np.array([1.0, 2.0])}


def made(top=None, **steps):
    """A graph of these steps, each of which reads the request."""
    dag = nx.DiGraph()
    for name, step in steps.items():
        keys = step.keys if isinstance(step, Step) else {"run": step}
        dag.add_node(name, step=Step(**{"inputs": "request", "place": "asyncio", **keys}))
    return Pipeline("m", dag, **top or {})


def on_trio(run, **keys):
    return Step(run=run, place="thread" if not asyncio.iscoroutinefunction(run) else "loop", **keys)


async def asked(inputs=X, top=None, **steps):
    async with made(top, **steps) as model:
        return (await model.infer(inputs))[[*steps][-1]]


async def doubled(x):
    await asyncio.sleep(0)
    return x * 2


# ---- functions and classes


async def test_a_function_runs_on_asyncio():
    assert (await asked(a=doubled)).tolist() == [2, 4]


@pytest.mark.parametrize("code", ["a function", "a class"])
async def test_ten_requests_wait_side_by_side(code):
    barrier = asyncio.Barrier(10)

    async def meet(x):
        await barrier.wait()
        return x

    class Meeting:
        async def __call__(self, x):
            return await meet(x)

    async with made(a=meet if code == "a function" else Meeting) as model, trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(model.infer, X)


async def test_a_class_lives_where_it_runs_and_what_is_synchronous_in_a_thread():
    lived = []

    def here(what):
        lived.append((what, threading.current_thread().name == "asyncio"))

    class Client:
        def __init__(self, factor):
            here("__init__")
            self.factor = factor

        async def load(self):
            here("load")
            self.session = asyncio.get_running_loop().create_future()

        async def __call__(self, x):
            here("__call__")
            return x * self.factor

        async def close(self):
            here("close")
            self.session.cancel()

    assert (await asked(a=Step(run=Client, params={"factor": 3}))).tolist() == [3, 6]
    assert lived == [("__init__", False), ("load", True), ("__call__", True), ("close", True)]


class Ready(Model):
    def load(self):
        self.ready = True


async def test_the_async_hooks_of_a_model_run_there_and_the_others_in_threads():
    class Mixed(Ready):
        def preprocess(self, payload, headers):
            return [threading.current_thread().name == "asyncio"]

        async def predict(self, payload, headers):
            await asyncio.sleep(0)
            return {"there": [*payload, threading.current_thread().name == "asyncio"]}

    assert await asked(a=Mixed) == {"there": [False, True]}


async def test_a_synchronous_load_does_not_hold_up_the_loop():
    class Large:
        def load(self):
            assert threading.current_thread().name != "asyncio"

        async def __call__(self, x):
            return x

        close = load

    await asked(a=Large)


async def test_the_loop_lives_as_long_as_who_uses_it():
    async def thread(x, context: Context):
        threads.add(threading.current_thread())
        return x

    threads = set()
    async with made(a=thread) as one, made(a=thread) as two:
        await one.infer(X)
        await two.infer(X)
        (own,) = threads
        assert own.is_alive()
    assert not own.is_alive()


def test_asyncio_libraries_work_under_a_blocking_face():
    """Whose context variables say that everything in it is trio's."""

    async def fetched(x):
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(server.url)).text

    with raw_server(answering(answer(b"hello"))) as server, made(a=fetched).blocking() as model:
        assert model.infer(X)["a"].tolist() == b"hello"


# ---- failures


async def test_an_error_is_the_steps_and_says_so():
    async def fail(x):
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine") as raised:
        await asked(a=fail)
    assert raised.value.__notes__ == ['in step "a"']


@pytest.mark.parametrize("kind", [asyncio.CancelledError, SystemExit, KeyboardInterrupt])
async def test_what_would_end_a_loop_fails_the_request(kind):
    async def fail(x):
        raise kind

    async with made({"output": ["a", "b"]}, a=fail, b=doubled) as model:
        with pytest.raises(WrongAnswer, match=f'step "a" raised {kind.__name__}; code that fails raises an Exc'):
            await model.infer(X, outputs="a")
        assert (await model.infer(X, outputs="b"))["b"].tolist() == [2, 4]


async def test_code_for_asyncio_on_trios_loop_is_told_of_the_place_where_it_works():
    async def lost(x):
        await asyncio.sleep(1)

    with pytest.raises(RuntimeError, match="no running event loop") as raised:
        await asked(a=Step(run=lost, place="loop"))
    assert raised.value.__notes__ == ["code for asyncio runs in a step with place: asyncio", 'in step "a"']


# ---- cancellation


@pytest.mark.parametrize("why", ["its timeout", "the deadline", "a sibling"])
async def test_whatever_cancels_it_its_clean_up_runs_to_its_end(why, mock_clock):
    begun, seen = Flag(), []

    async def slow(x):
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            seen.append("cleaned up")
            raise

    async def sibling(x):
        await begun.on_trio()
        if why == "a sibling":
            raise ValueError("the sibling")
        mock_clock.jump(1)
        return x

    kind = ValueError if why == "a sibling" else DeadlineExceeded
    top = {"deadline": "500ms" if why == "the deadline" else "60s", "output": ["a", "b"]}
    step = Step(run=slow, timeout="1s") if why == "its timeout" else slow
    with pytest.raises(kind):
        await asked(a=step, b=on_trio(sibling), top=top)
    assert seen == ["cleaned up"]


@pytest.mark.parametrize("code", ["a function", "a Model"])
async def test_a_limit_counts_what_was_left_to_end_by_itself(mock_clock, caplog, code):
    begun, cancelled, release, left = Flag(), Flag(), Flag(), []

    async def stubborn(x):
        if left:
            return x
        left.append(asyncio.current_task())
        begun.set()
        while True:
            try:
                await release.on_asyncio()
            except asyncio.CancelledError:
                cancelled.set()
            else:
                return x

    class Stubborn(Ready):
        async def predict(self, payload, headers):
            return {"given": await stubborn(1)}

    async def ask(model):
        with pytest.raises(DeadlineExceeded):
            await model.infer(X)

    run = stubborn if code == "a function" else Stubborn
    async with made(a=Step(run=run, timeout="1s", limit=1, queue=0)) as model:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, model)
            await begun.on_trio()
            mock_clock.jump(1)
            await cancelled.on_trio()
            await wait_all_tasks_blocked()
            mock_clock.jump(CLEANUP_SECONDS)
        assert caplog.messages == ['step "a" runs on: it has not ended within 3 s of its cancellation']
        with pytest.raises(Overloaded):
            await model.infer(X)
        release.set()
        while not left[0].done():
            await wait_all_tasks_blocked()
        # Its place is given back by the thread of asyncio, in its own time.
        while model._opened["a"].limit.taken:
            await wait_all_tasks_blocked()
        assert "a" in (await model.infer(X)).outputs


# ---- each, detached


async def test_each_item_is_a_task_and_the_results_are_in_order():
    barrier = asyncio.Barrier(4)

    async def one(row):
        await barrier.wait()
        return row.sum()

    rows = {"row": np.arange(8.0).reshape(4, 2)}
    assert (await asked(rows, a=Step(run=one, each="row"))).tolist() == [1, 5, 9, 13]


async def test_an_item_that_fails_is_told_and_the_others_are_cancelled():
    others = asyncio.Event()
    seen = []

    async def one(row):
        if row.sum() == 5:
            await others.wait()
            raise ValueError("mine")
        try:
            others.set()
            await asyncio.Event().wait()
        finally:
            seen.append(row.sum())

    rows = {"row": np.arange(4.0).reshape(2, 2)}
    with pytest.raises(ValueError, match="mine") as raised:
        await asked(rows, a=Step(run=one, each="row"))
    assert 'in item 1 of "row"' in raised.value.__notes__
    assert seen == [1]


@pytest.mark.parametrize("limit", [1, 3])
async def test_items_keep_the_limit(limit):
    inside, most, barrier = 0, 0, asyncio.Barrier(limit)

    async def one(row):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await barrier.wait()
        inside -= 1
        return row

    rows = {"row": np.arange(12.0)}
    assert len(await asked(rows, a=Step(run=one, each="row", limit=limit, queue=0))) == 12
    assert most == limit


async def test_a_detached_step_goes_on_when_its_request_is_answered():
    release, done = Flag(), []

    async def audit(x):
        await release.on_asyncio()
        assert threading.current_thread().name == "asyncio"

    async with made(a=doubled, audit=Step(run=audit, detached=True)) as model:
        model.observers.append(done.append)
        await model.infer(X)
        release.set()
    (told,) = [event for event in done if isinstance(event, DetachedDone)]
    assert (told.step, told.error) == ("audit", None)


# ---- handles


async def doubled_on_trio(x):
    await trio.lowlevel.checkpoint()
    return x * 2


def doubled_in_a_thread(x):
    return x * 2


TARGETS = {
    "asyncio": Step(run=doubled),
    "the loop": on_trio(doubled_on_trio),
    "a thread": on_trio(doubled_in_a_thread),
    "asyncio with a limit": Step(run=doubled, limit=1),
}


async def why(x, f):
    return np.array([(await f(x + number)).sum() for number in range(3)])


def why_in_a_thread(x, f):
    return np.array([f(x + number).sum() for number in range(3)])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("owner", ["asyncio", "the loop", "a thread"])
async def test_a_step_calls_another_wherever_either_runs(owner, target):
    handles = {"f": "score"}
    step = {
        "asyncio": Step(run=why, handles=handles),
        "the loop": Step(run=why, handles=handles, place="loop"),
        "a thread": on_trio(why_in_a_thread, handles=handles),
    }[owner]
    assert (await asked(score=TARGETS[target], why=step)).tolist() == [6, 10, 14]


async def test_several_calls_wait_side_by_side_and_in_tasks_of_the_users_own():
    barrier = asyncio.Barrier(5)

    async def meet(x):
        await barrier.wait()
        return x

    async def gathered(x, f):
        return sum(await asyncio.gather(*(f(x) for _ in range(5))))

    assert (await asked(score=meet, why=Step(run=gathered, handles={"f": "score"}))).tolist() == [5, 10]


async def test_a_cancelled_owner_has_its_calls_cancelled_and_both_have_ended(mock_clock):
    begun, seen = trio.Event(), []

    async def slow(x):
        try:
            begun.set()
            await trio.sleep_forever()
        finally:
            seen.append("target")

    async def owner(x, f):
        try:
            return await f(x)
        finally:
            await asyncio.sleep(0)
            seen.append("owner")

    async def ask():
        with pytest.raises(DeadlineExceeded):
            await asked(score=on_trio(slow), why=Step(run=owner, handles={"f": "score"}, timeout="1s"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await begun.wait()
        mock_clock.jump(1)
    assert seen == ["target", "owner"]


async def test_a_call_that_asyncio_gives_up_is_cancelled_and_the_owner_goes_on():
    seen = []

    async def slow(x):
        try:
            await trio.sleep_forever()
        finally:
            seen.append("target")

    async def owner(x, f):
        try:
            async with asyncio.timeout(0.001):
                await f(x)
        except TimeoutError:
            return x
        raise AssertionError("it ended")

    assert (await asked(score=on_trio(slow), why=Step(run=owner, handles={"f": "score"}))).tolist() == [1, 2]
    assert seen == ["target"]


async def test_what_a_handle_raises_is_raised_in_the_owners_code():
    async def fail(x):
        raise InferError(Code.UNAVAILABLE, "not today")

    async def owner(x, f):
        with pytest.raises(InferError, match="not today"):
            await f(x)
        with pytest.raises(TypeError, match="nothing"):
            await f(x, nothing=1)
        return x

    await asked(score=on_trio(fail), why=Step(run=owner, handles={"f": "score"}))


async def test_a_handle_ends_with_its_owner():
    kept, failed = [], Flag()

    async def owner(x, f):
        async def later():
            await release.on_asyncio()
            try:
                await f(x)
            except InferError as error:
                kept.append(error)
                failed.set()

        kept.append(asyncio.create_task(later()))
        return x

    release = Flag()
    async with made(score=on_trio(doubled_on_trio), why=Step(run=owner, handles={"f": "score"})) as model:
        await model.infer(X)
        release.set()
        await failed.on_trio()
    assert (kept[1].code, str(kept[1])[:24]) == (Code.CANCELLED, 'step "why" has ended, an')

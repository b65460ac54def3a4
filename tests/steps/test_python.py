"""Functions and classes as steps: what they return, where they run, how classes live, and what is refused."""

import functools
import re
import threading
from typing import ClassVar

import networkx as nx
import numpy as np
import pytest
import trio

from pipeline.errors import WrongAnswer
from pipeline.observe import LimitReached
from pipeline.pipeline import State
from pipeline.steps.catalog import CLOSE_SECONDS
from pipeline.steps.python import cores
from pipeline_serve import Datatype, GraphFaults, InferResponse, Json, Overloaded, Pipeline, Step, Tensor


def chain(*steps, **top):
    dag = nx.DiGraph()
    for number, step in enumerate(steps):
        dag.add_node(f"s{number}", step=step if isinstance(step, Step) else Step(run=step))
        if number:
            dag.add_edge(f"s{number - 1}", f"s{number}")
    return Pipeline("m", dag, **top)


async def answer_of(*steps, **top):
    async with chain(*steps, **top) as model:
        return await model.infer({"x": [1, 2]})


def named(value):
    """A case's name, the same in every process: without addresses."""
    return re.sub(r" at 0x\w+", "", str(value))[:50]


RETURNED = [
    (np.array([[1.5]], dtype=np.float32), {"s0": ("FP32[1,1]", [[1.5]])}),
    (np.float16(2), {"s0": ("FP16[]", 2.0)}),
    (np.array(["ä", "b"]), {"s0": ("BYTES[2]", ["ä".encode(), b"b"])}),
    (np.array(["ä", b"\xff"], dtype=object), {"s0": ("BYTES[2]", ["ä".encode(), b"\xff"])}),
    (np.array([[1, 2], [3, 4]]).T, {"s0": ("INT64[2,2]", [[1, 3], [2, 4]])}),
    (np.array([1, 2], dtype=">i4"), {"s0": ("INT32[2]", [1, 2])}),
    (3, {"s0": ("INT64[]", 3)}),
    (2.5, {"s0": ("FP64[]", 2.5)}),
    (True, {"s0": ("BOOL[]", True)}),
    ("ä", {"s0": ("BYTES[]", "ä".encode())}),
    (b"\xff", {"s0": ("BYTES[]", b"\xff")}),
    ([[1, 2], [3, 4]], {"s0": ("INT64[2,2]", [[1, 2], [3, 4]])}),
    ((1.0, 2), {"s0": ("FP64[2]", [1.0, 2.0])}),
    (["a", "b"], {"s0": ("BYTES[2]", [b"a", b"b"])}),
    ([np.array([1, 2]), np.array([3, 4])], {"s0": ("INT64[2,2]", [[1, 2], [3, 4]])}),
    ([], {"s0": ("FP64[0]", [])}),
    ({"a": np.array([1]), "b": np.array([2.5])}, {"a": ("INT64[1]", [1]), "b": ("FP64[1]", [2.5])}),
    (
        InferResponse(model="x", outputs={"z": Tensor(Datatype.INT8, np.array([1], dtype=np.int8))}),
        {"z": ("INT8[1]", [1])},
    ),
    ([[1], [2, 3]], {"s0": [[1], [2, 3]]}),
    ([1, "a", None], {"s0": [1, "a", None]}),
    ({"a": np.array([1]), "b": 2}, None),
    ({}, {"s0": {}}),
    ({"label": "x", "scores": [1, 2]}, {"s0": {"label": "x", "scores": [1, 2]}}),
    ({"predictions": [[1], [2, 3]]}, {"s0": {"predictions": [[1], [2, 3]]}}),
]


@pytest.mark.parametrize(("returned", "expected"), RETURNED, ids=named)
async def test_what_a_function_returns_becomes_tensors_or_json(returned, expected):
    answer = await answer_of(lambda x: returned)
    if expected is None:
        assert isinstance(answer.outputs["s0"], Json)
        return
    found = {
        name: value.value if isinstance(value, Json) else (value.describe(), value.array.tolist())
        for name, value in answer.outputs.items()
    }
    assert found == expected
    assert all(not value.array.flags.writeable for value in answer.outputs.values() if isinstance(value, Tensor))


async def test_a_dataframe_is_tensors_by_column():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2], "city": ["Köln", "Bonn"]})
    answer = await answer_of(lambda x: frame)
    assert answer["a"].tolist() == [1, 2]
    assert answer["city"].tolist() == ["Köln".encode(), b"Bonn"]


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        (None, 'step "s0" returned None; a step returns its result'),
        (object(), 'step "s0" returned a object, which is neither tensor nor JSON'),
        ({1, 2}, 'step "s0" returned a set'),
        (np.array([1j]), 'step "s0" returned an array that is no tensor: numpy dtype complex128'),
        (np.array([object()], dtype=object), 'step "s0" returned an array that is no tensor: an object array'),
        ({1: np.array([1])}, 'step "s0" names a tensor 1'),
        (1 << 70, 'step "s0" returned a value that is no tensor'),
        ("\ud800", 'step "s0" returned a value that is no tensor'),
    ],
    ids=named,
)
async def test_what_no_edge_can_carry_is_its_authors_fault(returned, says):
    with pytest.raises(WrongAnswer, match=says):
        await answer_of(lambda x: returned)


async def test_json_passes_to_the_next_step_as_it_is():
    same = {"a": [1, [2]], "b": None}
    seen = []
    await answer_of(lambda x: same, lambda anything: seen.append(anything) or 0)
    assert seen == [same]
    assert seen[0] is same


async def test_an_only_tensor_is_named_as_the_schema_says():
    answer = await answer_of(lambda x: x, schema={"outputs": {"label": "INT64[n]"}})
    assert answer["label"].tolist() == [1, 2]


def _sync(x):
    return x


async def _async(x):
    return x


def _decorate_sync(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def _decorate_async(function):
    @functools.wraps(function)
    async def wrapper(*args, **kwargs):
        answer = function(*args, **kwargs)
        return await answer if hasattr(answer, "__await__") else answer

    return wrapper


class Sync:
    def __call__(self, x):
        return x

    async def method(self, x):
        return x

    @staticmethod
    def static(x):
        return x

    @classmethod
    def of_class(cls, x):
        return x


class Async:
    async def __call__(self, x):
        return x


class Heir(Sync):
    """Its ``__call__`` is its parent's."""


CORES = cores()
KINDS = [
    (_sync, "thread", CORES),
    (_async, "loop", None),
    (lambda x: x, "thread", CORES),
    (functools.partial(_sync), "thread", CORES),
    (functools.partial(functools.partial(_async)), "loop", None),
    (functools.partial(Async()), "loop", None),
    (_decorate_sync(_sync), "thread", CORES),
    (_decorate_sync(_async), "loop", None),
    (_decorate_async(_sync), "loop", None),
    (_decorate_async(_async), "loop", None),
    (np.negative, "thread", CORES),
    (Sync, "thread", 1),
    (Heir, "thread", 1),
    (Sync(), "thread", 1),
    (Async, "loop", None),
    (Async(), "loop", None),
    (Sync().method, "loop", None),
    (Sync.static, "thread", CORES),
    (Sync.of_class, "thread", CORES),
]


@pytest.mark.parametrize(("run", "where", "limit"), KINDS, ids=named)
async def test_kinds_of_callables_run_where_they_belong_under_their_default_limit(run, where, limit):
    model = chain(run)
    interface = model.blueprint.interfaces["s0"]
    assert (interface.blocking, interface.limit) == (where == "thread", limit)
    async with model:
        answer = await model.infer({"x": [1, 2]})
        assert np.abs(answer["s0"]).tolist() == [1, 2]


async def test_a_sync_function_runs_in_a_thread_unless_it_is_placed_on_the_loop():
    here = threading.get_ident()
    for place, same in ((None, False), ("thread", False), ("loop", True)):
        answer = await answer_of(Step(run=lambda x: threading.get_ident(), place=place))
        assert (answer["s0"].item() == here) is same


class Scorer:
    log: ClassVar[list[str]] = []

    def __init__(self, scale, offset=0, fail="", kind="sync"):
        self.scale, self.offset, self.fail = scale, offset, fail
        self._do("init")

    def _do(self, what):
        self.log.append(what)
        match self.fail.partition(" ")[::2]:
            case (step, "exit") if step == what:
                raise SystemExit(9)
            case (step, _) if step == what:
                raise ConnectionError(f"no {what}")

    def load(self):
        self._do("load")

    def close(self):
        self._do("close")

    def __call__(self, x):
        return x * self.scale + self.offset


class AsyncScorer(Scorer):
    async def load(self):
        await trio.lowlevel.checkpoint()
        self._do("load")

    async def close(self):
        await trio.lowlevel.checkpoint()
        self._do("close")

    async def __call__(self, x):
        return x * self.scale + self.offset


both = pytest.mark.parametrize("kind", [Scorer, AsyncScorer])


@pytest.fixture(autouse=True)
def log():
    Scorer.log.clear()
    return Scorer.log


@both
async def test_a_class_is_made_from_params_loaded_called_and_closed_once(kind, log):
    model = chain(Step(run=kind, params={"scale": 2, "offset": 1}))
    for _ in range(2):
        async with model:
            assert log == ["init", "load"]
            assert (await model.infer({"x": [1, 2]}))["s0"].tolist() == [3, 5]
        assert log == ["init", "load", "close"]
        assert model.state is State.CLOSED
        log.clear()


@both
@pytest.mark.parametrize(
    ("fail", "error", "trail"),
    [
        ("init", "ConnectionError: no init", ["init", "load", "init", "close"]),
        ("load", "ConnectionError: no load", ["init", "load", "init", "load", "close", "close"]),
        ("init exit", r'RuntimeError: __init__ of step "s1" raised SystemExit: 9', ["init", "load", "init", "close"]),
        (
            "load exit",
            r'RuntimeError: load of step "s1" raised SystemExit: 9',
            ["init", "load", "init", "load", "close", "close"],
        ),
    ],
)
async def test_a_class_that_fails_to_load_fails_its_model_and_the_others_are_closed(kind, log, fail, error, trail):
    events = []
    model = chain(Step(run=kind, params={"scale": 1}), Step(run=kind, params={"scale": 1, "fail": fail}))
    model.observers.append(events.append)
    with pytest.raises((ConnectionError, RuntimeError)) as caught:
        await model.__aenter__()
    assert model.state is State.FAILED
    assert re.fullmatch(error, model.failure or "")
    assert 'while opening step "s1" of model "m"' in caught.value.__notes__
    assert [event.error for event in events] == [caught.value]
    assert log == trail


@both
async def test_a_close_that_fails_does_not_keep_the_others_from_being_closed(kind, log):
    good, bad = {"scale": 1}, {"scale": 1, "fail": "close"}
    with pytest.raises(ConnectionError, match="no close"):
        async with chain(Step(run=kind, params=good), Step(run=kind, params=bad)):
            log.clear()
    assert log == ["close", "close"]


async def test_a_load_that_is_cancelled_closes_what_was_opened(log):
    class Slow(Scorer):
        async def load(self):
            scope.cancel()
            await trio.sleep_forever()

    model = chain(Step(run=Scorer, params={"scale": 1}), Step(run=Slow, params={"scale": 1}))
    with trio.CancelScope() as scope:
        await model.__aenter__()
    assert scope.cancelled_caught
    assert log == ["init", "load", "init", "close", "close"]
    assert model.state is State.CLOSED


async def test_a_load_that_is_cancelled_in_its_own_nursery_is_no_failure():
    class Parallel(Scorer):
        async def load(self):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                nursery.start_soon(trio.sleep_forever)
                scope.cancel()

    model = chain(Step(run=Parallel, params={"scale": 1}))
    with trio.CancelScope() as scope:
        await model.__aenter__()
    assert scope.cancelled_caught
    assert (model.state, model.failure) == (State.CLOSED, None)


async def test_a_close_is_finished_although_the_process_is_going_and_only_for_so_long(log, autojump_clock):
    class Slow(Scorer):
        async def close(self):
            await trio.sleep(2)
            self._do("close")
            await trio.sleep_forever()

    with trio.CancelScope() as scope:
        async with chain(Step(run=Slow, params={"scale": 1})):
            closing = trio.current_time()
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert log == ["init", "load", "close"]
    assert trio.current_time() - closing == pytest.approx(CLOSE_SECONDS)


async def test_params_of_a_function_are_keyword_arguments_and_no_tensors():
    def scaled(x, scale, offset=0):
        return x * scale + offset

    async with chain(Step(run=scaled, params={"scale": 3})) as model:
        assert (await model.infer({"x": [1, 2]}))["s0"].tolist() == [3, 6]
        assert (await model.infer({"x": [1, 2], "offset": [1, 1]}))["s0"].tolist() == [4, 7]


def _generates(x):
    yield x


async def _async_generates(x):
    yield x


class NotCallable: ...


class Streams:
    def __call__(self, x):
        yield x


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (Step(run=_generates), "is a generator; a step that streams is known but not built yet"),
        (Step(run=_async_generates), "is a generator; a step that streams is known but not built yet"),
        (Step(run=Streams), "is a generator"),
        (Step(run=NotCallable), "is a class without __call__; that is what a request runs"),
        (Step(run=lambda *x: x), r"cannot be bound: its parameter \*x has no name"),
        (Step(run=Scorer), '__init__ of its class needs "scale"; give it under params'),
        (
            Step(run=Scorer, params={"scale": 1, "ofset": 2}),
            '__init__ of its class has no parameter "ofset"; did you mean "offset"',
        ),
        (Step(run=_sync, params={"y": 1}), 'its function has no parameter "y"'),
        (Step(run=lambda x, y, /: x, params={"y": 1}), 'its function has no parameter "y"'),
        (Step(run=_async, place="thread"), "is async and runs on the loop; place: thread is for synchronous code"),
        (Step(run="numpy:pi"), "numpy:pi is a float; a step is a function or a class"),
        (Step(run="gone.py:x"), 'there is no file "gone.py" beside the graph'),
    ],
    ids=named,
)
def test_what_is_no_step_is_a_fault_that_names_the_node(step, says):
    with pytest.raises(GraphFaults, match=rf'(?s)node "s0".*{says}'):
        chain(step)


async def test_requests_that_wait_for_a_sync_class_are_told_of_once():
    gate = threading.Event()

    class Slow:
        def __call__(self, x):
            gate.wait(30)
            return x

    events = []
    async with chain(Slow) as model:
        model.observers.append(lambda event: events.append(event) if isinstance(event, LimitReached) else None)
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(model.infer, {"x": 1})
            await trio.testing.wait_all_tasks_blocked()
            assert events == [LimitReached("m", "s0", 1)]
            gate.set()
    assert len(events) == 1


@pytest.mark.parametrize("limit", [{"limit": 1}, {"limit": 2}])
async def test_a_limit_that_the_user_chose_is_no_news_and_past_the_queue_it_is_overloaded(limit, autojump_clock):
    leave = trio.Event()

    async def slow(x):
        await leave.wait()
        return x

    events = []
    async with chain(Step(run=slow, queue=1, **limit)) as model:
        model.observers.append(lambda event: events.append(event) if isinstance(event, LimitReached) else None)
        async with trio.open_nursery() as nursery:
            for _ in range(limit["limit"] + 1):
                nursery.start_soon(model.infer, {"x": 1})
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(Overloaded, match="Step s0 of model m is at its limit") as caught:
                await model.infer({"x": 1})
            assert caught.value.headers == {"retry-after": "1"}
            leave.set()
    assert events == []


async def test_an_exception_carries_the_users_file_and_line_and_the_steps_name(write):
    folder = write(
        "app.py", "def clean(x):\n    return x\n\ndef score(x):\n    table = {}\n    return table['weight']\n"
    )
    dag = nx.DiGraph()
    dag.add_node("clean", step=Step(run="app.py:clean"))
    dag.add_node("score", step=Step(run="app.py:score"))
    dag.add_edge("clean", "score")
    async with Pipeline("m", dag, folder=folder) as model:
        with pytest.raises(KeyError) as caught:
            await model.infer({"x": 1})
    last = caught.traceback[-1]
    assert (str(last.path), last.lineno + 1, last.name) == (str(folder / "app.py"), 6, "score")
    assert caught.value.__notes__ == ['in step "score"']


@pytest.mark.parametrize("error", [SystemExit(1), StopIteration()])
async def test_a_step_that_would_end_the_process_fails_its_request_only(error):
    def leaves(x):
        raise error

    async with chain(leaves) as model:
        with pytest.raises(WrongAnswer, match=f'step "s0" raised {type(error).__name__}'):
            await model.infer({"x": 1})
        assert model.state is State.READY

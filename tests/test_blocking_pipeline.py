"""A pipeline asked from code that blocks: answers, errors, Ctrl-C, threads, other loops, forks and scripts that end."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import networkx as nx
import pytest
import trio

from pipeline.errors import Code, DeadlineExceeded, InferError, InvalidInput, Overloaded, WrongAnswer
from pipeline.pipeline import State
from pipeline_serve import BlockingPipeline, Datatype, InferResponse, Pipeline, Step
from tests.raw import open_files, wait_for_files
from tests.serving import PATIENCE
from tests.test_blocking import interrupt, script


def one(run, name="m", **top):
    dag = nx.DiGraph()
    dag.add_node("s", step=run if isinstance(run, Step) else Step(run=run))
    return Pipeline(name, dag, **top)


def same(x):
    return x


class Holds:
    """Steps that hold until their request is cancelled, or until they are told to go on."""

    def __init__(self):
        self.began, self.go, self.cancelled = threading.Event(), threading.Event(), threading.Event()

    async def on_the_loop(self, x):
        self.began.set()
        try:
            await trio.sleep_forever()
        finally:
            self.cancelled.set()

    def in_a_thread(self, x):
        self.began.set()
        assert self.go.wait(PATIENCE)
        try:
            trio.from_thread.check_cancelled()
        except trio.Cancelled:
            self.cancelled.set()
            raise
        return x


@pytest.fixture
def holds():
    holds = Holds()
    yield holds
    holds.go.set()


# ---- as Pipeline


def test_a_graph_file_is_asked_in_a_with_block(write):
    write("app.py", "def total(rows): return rows.sum(axis=1)\nasync def twice(sums): return 2 * sums\n")
    path = write(
        "graph.yaml",
        "name: flowers\nversion: 3\ndeadline: 9s\nschema: {inputs: {rows: 'FP64[n,2]'}}\n"
        "steps: {total: app.py:total, twice: app.py:twice}\n",
    )
    with Pipeline.from_file(path / "graph.yaml").blocking() as model:
        answer = model.infer({"rows": [[1, 2]]}, id=7, headers={"x-a": "b"}, parameters={"k": 1}, timeout="30s")
        assert isinstance(answer, InferResponse)
        assert (answer["twice"].tolist(), answer.id, answer.model, answer.version) == ([6.0], "7", "flowers", "3")
        assert (model.name, model.version, model.state) == ("flowers", "3", State.READY)
        assert list(model.dag) == ["total", "twice"]
        assert model.signature.inputs["rows"].datatype is Datatype.FP64
        assert model.deadlines["predict"] == 9
        assert repr(model) == "<Pipeline flowers version 3, ready>, blocking"
    assert model.state is State.CLOSED


def test_infer_has_the_signature_and_the_words_of_the_async_one():
    assert inspect.signature(BlockingPipeline.infer) == inspect.signature(Pipeline.infer)
    assert BlockingPipeline.infer.__doc__ == Pipeline.infer.__doc__
    assert not inspect.iscoroutinefunction(BlockingPipeline.infer)
    names = {name for name, _ in inspect.getmembers(Pipeline, inspect.iscoroutinefunction) if not name.startswith("_")}
    assert names == {"infer", "answer", "drained", "look_ready"}, (
        "a public coroutine has a blocking twin, but for the server's own"
    )


def test_it_is_opened_and_closed_between_the_cells_of_a_notebook():
    threads, files = set(threading.enumerate()), open_files()
    model = one(same).blocking().open()
    with pytest.raises(RuntimeError, match='model "m" is open already; close it first'):
        model.open()
    assert model.infer({"x": [1]})["s"].tolist() == [1]
    model.close()
    model.close()
    with pytest.raises(RuntimeError, match='model "m" is not open; use it in a with block, or open'):
        model.infer({"x": [1]})
    with model:
        assert model.infer({"x": [2]})["s"].tolist() == [2]
    assert [thread for thread in set(threading.enumerate()) - threads if "portal" in thread.name] == []
    wait_for_files(files)


def test_a_with_block_without_blocking_names_both_ways_out():
    with pytest.raises(TypeError) as caught, one(same):
        pass
    assert 'is async: "async with" opens it, or "with Pipeline(…).blocking() as model"' in str(caught.value)


def test_one_pipeline_is_open_once():
    pipeline = one(same)
    with pipeline.blocking(), pytest.raises(RuntimeError, match='model "m" is ready already'):
        pipeline.blocking().open()


# ---- errors


class Theirs(Exception):
    pass


def refuses(x):
    raise InvalidInput("the author's words")


def fails(x):
    raise ValueError("their own")


async def fails_on_the_loop(x):
    raise Theirs("their own")


async def groups(x):
    raise ExceptionGroup("their own", [ValueError()])


def nothing(x):
    return None


@pytest.mark.parametrize(
    ("run", "error", "says"),
    [
        (refuses, InvalidInput, "the author's words"),
        (fails, ValueError, "their own"),
        (fails_on_the_loop, Theirs, "their own"),
        (groups, ExceptionGroup, "their own"),
        (nothing, WrongAnswer, 'step "s" returned None'),
    ],
)
def test_an_error_of_a_step_is_raised_bare(run, error, says):
    with one(run).blocking() as model:
        for _ in range(2):
            with pytest.raises(error, match=says) as caught:
                model.infer({"x": 1})
            assert type(caught.value) is error


def test_an_error_of_a_branch_is_raised_bare():
    dag = nx.DiGraph()
    dag.add_node("bad", step=Step(run=fails_on_the_loop, inputs="request"))
    dag.add_node("slow", step=Step(run=Holds().on_the_loop, inputs="request"))
    with Pipeline("m", dag, output=["bad", "slow"]).blocking() as model, pytest.raises(Theirs):
        model.infer({"x": 1})


@pytest.mark.parametrize("kind", ["on_the_loop", "in_a_thread"])
def test_time_that_is_up_is_told_and_cancels_the_step(holds, kind):
    with one(getattr(holds, kind)).blocking() as model:
        with pytest.raises(DeadlineExceeded, match="its deadline of 30 ms"):
            model.infer({"x": 1}, timeout="30ms")
        holds.go.set()
        # A thread that had not begun when time was up never does.
        assert not holds.began.is_set() or holds.cancelled.wait(PATIENCE)


def test_what_the_caller_gave_wrongly_is_told_as_to_the_async_one():
    with one(same).blocking() as model:
        with pytest.raises(InvalidInput, match='input "y"'):
            model.infer({"x": 1, "y": object()})
        with pytest.raises(TypeError, match="tiemout"):
            model.infer({"x": 1}, tiemout=1)
        with pytest.raises(InferError) as caught:
            model.infer({"x": 1}, verb="explain")
        assert caught.value.code is Code.UNIMPLEMENTED


def test_what_cannot_be_opened_is_raised_bare_and_can_be_opened_later():
    class Weights:
        there = False

        def load(self):
            if not Weights.there:
                raise OSError("the weights are missing")

        def __call__(self, x):
            return x

    threads = set(threading.enumerate())
    model = one(Weights).blocking()
    for _ in range(2):
        with pytest.raises(OSError, match="the weights are missing") as caught:
            model.open()
        assert caught.value.__notes__ == ['while opening step "s" of model "m"']
        assert model.state is State.FAILED
    assert [thread for thread in set(threading.enumerate()) - threads if "portal" in thread.name] == []
    Weights.there = True
    with model:
        assert model.infer({"x": [1]})["s"].tolist() == [1]


# ---- threads and loops


def test_many_threads_share_it_within_the_graphs_limit(holds):
    async def double(x):
        await trio.lowlevel.checkpoint()
        return 2 * x

    with one(double).blocking() as model, ThreadPoolExecutor(8) as pool:
        asked = pool.map(lambda number: model.infer({"x": [number]})["s"].tolist(), range(100))
        assert list(asked) == [[2 * number] for number in range(100)]
    with one(holds.in_a_thread, limit=1, queue=0).blocking() as model, ThreadPoolExecutor(1) as pool:
        first = pool.submit(model.infer, {"x": 1})
        assert holds.began.wait(PATIENCE)
        with pytest.raises(Overloaded):
            model.infer({"x": 2})
        holds.go.set()
        assert first.result(PATIENCE)["s"].tolist() == 1


def test_closing_it_cancels_the_requests_of_other_threads(holds):
    with ThreadPoolExecutor(1) as pool:
        model = one(holds.on_the_loop).blocking().open()
        request = pool.submit(model.infer, {"x": 1})
        assert holds.began.wait(PATIENCE)
        model.close()
        with pytest.raises(InferError, match='model "m" was closed while the call ran') as caught:
            request.result(PATIENCE)
    assert caught.value.code is Code.CANCELLED
    assert holds.cancelled.is_set()


def watching(step, **keys):
    """A pipeline that answers at once, and whose detached step goes on."""
    dag = nx.DiGraph()
    dag.add_node("s", step=Step(run=same))
    dag.add_node("audit", step=Step(run=step, inputs="request", detached=True, **keys))
    return Pipeline("m", dag, output="s")


def test_closing_it_waits_for_detached_steps_and_ctrl_c_ends_the_wait():
    notes = []

    async def audit(x):
        notes.append("began")
        while model.state is not State.CLOSED:
            await trio.lowlevel.checkpoint()
        if x.item() == 2:
            interrupt()
            try:
                await trio.sleep_forever()
            finally:
                notes.append("cancelled")
        await trio.lowlevel.checkpoint()
        notes.append("done")

    model = watching(audit, timeout="1h").blocking()
    with model:
        model.infer({"x": 1})
    assert notes == ["began", "done"]
    model.open()
    model.infer({"x": 2})
    with pytest.raises(KeyboardInterrupt):
        model.close()
    assert notes[2:] == ["began", "cancelled"]
    assert model.state is State.CLOSED


def test_a_block_that_ctrl_c_ends_waits_for_no_detached_step(holds):
    def ask():
        with watching(holds.on_the_loop, timeout="1h").blocking() as model:
            model.infer({"x": 1})
            assert holds.began.wait(PATIENCE)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask()
    assert holds.cancelled.is_set()


def test_a_notebook_runs_its_cells_in_a_thread_with_a_running_loop_of_asyncio(holds):
    """As ipykernel does: a loop runs, and a handler of it executes the cells, one after the other.

    An interrupt is a KeyboardInterrupt wherever the thread is: a kernel has no handler as that of ``asyncio.run``.
    """

    async def hold(x):
        if x.item() == 1:
            interrupt()
            await holds.on_the_loop(x)
        return x

    cells = [
        "model = one(hold).blocking().open()",
        "model.infer({'x': 1})",
        "answer = model.infer({'x': [2]})",
        "model.close()",
    ]
    names, interrupted = {"one": one, "hold": hold}, []

    async def kernel():
        for cell in cells:
            await asyncio.sleep(0)
            try:
                exec(cell, names)
            except KeyboardInterrupt:
                interrupted.append(cell)

    loop = asyncio.new_event_loop()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        loop.run_until_complete(kernel())
    finally:
        signal.signal(signal.SIGINT, before)
        loop.close()
    assert interrupted == cells[1:2]
    assert holds.cancelled.is_set()
    assert names["answer"]["s"].tolist() == [2]
    assert names["model"].state is State.CLOSED


def test_a_program_of_asyncio_asks_in_a_thread_and_goes_on_meanwhile(holds):
    async def program(model):
        request = asyncio.create_task(asyncio.to_thread(model.infer, {"x": [1]}))
        await asyncio.to_thread(holds.began.wait, PATIENCE)
        holds.go.set()  # its own loop is free
        return (await request)["s"].tolist()

    with one(holds.in_a_thread).blocking() as model:
        assert asyncio.run(program(model)) == [1]


def test_a_task_of_asyncio_that_is_cancelled_while_it_is_blocked_cancels_the_request(holds):
    async def program(model):
        task, loop = asyncio.current_task(), threading.get_ident()
        before = signal.signal(signal.SIGUSR1, lambda *_: task.cancel())
        waker = threading.Thread(
            target=lambda: holds.began.wait(PATIENCE) and signal.pthread_kill(loop, signal.SIGUSR1)
        )
        waker.start()
        try:
            model.infer({"x": 1})
        finally:
            waker.join()
            signal.signal(signal.SIGUSR1, before)

    with one(holds.on_the_loop).blocking() as model:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(program(model))
        assert holds.cancelled.wait(PATIENCE)


def test_a_running_loop_of_trio_is_not_blocked():
    model = one(same).blocking()

    async def ask():
        for act in (model.open, partial(model.infer, {"x": 1}), model.close):
            with pytest.raises(RuntimeError, match="use the async one, or a thread"):
                act()
        await trio.to_thread.run_sync(model.open)
        answer = await trio.to_thread.run_sync(model.infer, {"x": [1]})
        await trio.to_thread.run_sync(model.close)
        return answer["s"].tolist()

    assert trio.run(ask) == [1]


def test_a_step_may_ask_another_pipeline_and_one_on_the_loop_is_told_to_await():
    with one(lambda x: 2 * x, "inner").blocking() as inner:

        def outer(x):
            return inner.infer({"x": x})["s"] + 1

        async def on_the_loop(x):
            return inner.infer({"x": x})["s"]

        with one(outer, "outer").blocking() as model:
            assert model.infer({"x": [1]})["s"].tolist() == [3]
        with one(on_the_loop).blocking() as model, pytest.raises(RuntimeError, match="would block the trio loop"):
            model.infer({"x": [1]})


def test_steps_see_the_context_variables_of_who_asks():
    tenant = contextvars.ContextVar("tenant", default="nobody")

    async def on_the_loop(x):
        return [tenant.get()]

    tenant.set("somebody")
    for run in (on_the_loop, lambda x: [tenant.get()]):
        with one(run).blocking() as model:
            assert model.infer({"x": 1})["s"].tolist() == [b"somebody"]


# ---- a script of its own

APP = """
import threading
import time
import trio

def mark(text):
    print(text, flush=True)

async def on_the_loop(x):
    mark("began")
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        mark("cancelled")
        raise

def in_a_thread(x):
    mark("began")
    while True:
        time.sleep(0.002)
        try:
            trio.from_thread.check_cancelled()
        except trio.Cancelled:
            mark("cancelled")
            raise

def for_ever(x):
    mark("began")
    threading.Event().wait()

def same(x):
    return x
"""
SCRIPT = """
import sys
from pipeline_serve import Pipeline

held, catches = sys.argv[1:3]
with Pipeline.from_file("held.yaml").blocking() as model, Pipeline.from_file("same.yaml").blocking() as other:
    try:
        model.infer({"x": 1})
    except KeyboardInterrupt:
        if catches == "no":
            raise
        print("next", other.infer({"x": 5})["s"].item(), model.state.value, flush=True)
"""
ASYNCIO = """
import asyncio
from pipeline_serve import Pipeline

async def main():
    with Pipeline.from_file("held.yaml").blocking() as model:
        model.infer({"x": 1})

asyncio.run(main())
"""
LEFT_OPEN = """
from pipeline_serve import Pipeline

model = Pipeline.from_file("same.yaml").blocking().open()
print(model.infer({"x": 5})["s"].item())
"""
FORKED = """
import os
from pipeline_serve import Pipeline

model = Pipeline.from_file("same.yaml").blocking().open()
if (child := os.fork()) == 0:
    try:
        model.infer({"x": 5})
    except RuntimeError as error:
        print(str(error).replace(str(os.getppid()), "1"), flush=True)
    with Pipeline.from_file("same.yaml").blocking() as own:
        print(own.infer({"x": 6})["s"].item(), flush=True)
    raise SystemExit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), model.infer({"x": 7})["s"].item())
"""


@pytest.fixture
def started(tmp_path):
    """``started(text, step, …)`` runs a script in a folder with a graph of that step, and returns the process."""
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "same.yaml").write_text("steps: {s: app.py:same}\n")

    def started(text, step="same", *arguments):
        (tmp_path / "held.yaml").write_text(f"steps: {{s: 'app.py:{step}'}}\n")
        return script(f"import os; os.chdir({str(tmp_path)!r})\n{text}", step, *arguments)

    return started


@pytest.mark.parametrize("catches", ["no", "yes"])
@pytest.mark.parametrize("step", ["on_the_loop", "in_a_thread"])
def test_ctrl_c_in_a_script_cancels_the_step(started, step, catches):
    with started(SCRIPT, step, catches) as process:
        assert process.stdout.readline() == "began\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    if catches == "no":
        # A thread that nobody waits for may not get to its look before the process is gone.
        assert out == "cancelled\n" or (step == "in_a_thread" and out == "")
        assert process.returncode == -signal.SIGINT
        assert err.rstrip().endswith("KeyboardInterrupt")
        assert "Group" not in err
    else:
        assert (process.returncode, err) == (0, "")
        assert sorted(out.splitlines()) == ["cancelled", "next 5 ready"]


@pytest.mark.parametrize("text", [SCRIPT, ASYNCIO], ids=["plain", "asyncio"])
def test_ctrl_c_ends_a_script_whose_step_cannot_be_stopped(started, text):
    with started(text, "for_ever", "no") as process:
        assert process.stdout.readline() == "began\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (-signal.SIGINT, "")
    assert err.rstrip().endswith("KeyboardInterrupt")


def test_ctrl_c_under_asyncio_run_cancels_the_step(started):
    with started(ASYNCIO, "on_the_loop") as process:
        assert process.stdout.readline() == "began\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (-signal.SIGINT, "cancelled\n")
    assert err.rstrip().endswith("KeyboardInterrupt")


def test_a_script_that_never_closes_it_ends(started):
    with started(LEFT_OPEN) as process:
        assert (*process.communicate(timeout=PATIENCE), process.returncode) == ("5\n", "", 0)


def test_a_process_that_is_forked_is_told_to_open_its_own(started):
    with started(FORKED) as process:
        out, err = process.communicate(timeout=PATIENCE)
    told = 'model "same" was opened in process 1, and a fork takes no threads along; make and open one in each process'
    assert (out.splitlines(), err, process.returncode) == ([told, "6", "3 7"], "", 0)

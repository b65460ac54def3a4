"""Async code from threads that block: answers, errors, Ctrl-C, threads, other loops; and the client's blocking face."""

from __future__ import annotations

import asyncio
import gc
import inspect
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
import trio

from pipeline.blocking import LoopThread, blocking, entered, left
from pipeline.client import BlockingClient, Client
from pipeline.errors import Code, DeadlineExceeded, InferError, InvalidInput, ModelNotFound
from tests.conformance.zoo import FILES, GRAPHS
from tests.raw import answer, answering, open_files, raw_server, read_request, wait_for_files
from tests.serving import PATIENCE, environment, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("zoo"), FILES, graphs=GRAPHS) as server:
        yield server


@pytest.fixture
def client(server):
    with Client(server.url, trust_env=False).blocking() as client:
        yield client


def interrupt():
    """Ctrl-C, as the terminal sends it: a signal, which the main thread hears."""
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


class Resource:
    """Notes what happens to it, and how what runs in it ends."""

    def __init__(self, opening=None, closing=None):
        self.notes = []
        self.opening = opening
        self.closing = closing
        self.told = None
        self.holds = threading.Event()

    async def __aenter__(self):
        if self.opening is not None:
            await self.noting(self.opening)
        self.notes.append("opened")
        return self

    async def __aexit__(self, *exc_info):
        self.told = exc_info
        if self.closing is not None:
            await self.noting(self.closing)
        self.notes.append("closed")

    async def noting(self, function):
        try:
            return await function()
        except trio.Cancelled:
            self.notes.append("cancelled")
            raise

    async def hold(self):
        self.holds.set()
        await self.noting(trio.sleep_forever)

    async def interrupted(self):
        interrupt()
        await self.noting(trio.sleep_forever)

    async def add(self, one, *, other=1):
        """The sum."""
        return one + other

    async def fail(self, error):
        raise error


class Blocked:
    def __init__(self, resource):
        self.loop = LoopThread(resource, "the resource")

    __enter__ = entered
    __exit__ = left
    add = blocking(Resource.add)
    fail = blocking(Resource.fail)
    hold = blocking(Resource.hold)
    interrupted = blocking(Resource.interrupted)


@pytest.fixture
def blocked():
    blocked = Blocked(Resource())
    blocked.loop.open()
    yield blocked
    blocked.loop.close()
    assert blocked.loop.subject.notes[0] == "opened"
    assert blocked.loop.subject.notes[-1] == "closed"


# ---- the idiom


def test_a_method_is_called_in_the_loop_and_keeps_its_signature_and_words(blocked):
    assert (blocked.add(1), blocked.add(1, other=2)) == (2, 3)
    assert Blocked.add.__doc__ == "The sum."
    assert str(inspect.signature(blocked.add)) == "(one, *, other=1)"
    assert not inspect.iscoroutinefunction(Blocked.add)


@pytest.mark.parametrize("error", [ValueError("its own"), InvalidInput("ours"), ExceptionGroup("its", [ValueError()])])
def test_what_it_raises_is_raised_as_it_is(blocked, error):
    with pytest.raises(type(error)) as caught:
        blocked.fail(error)
    assert caught.value is error


def test_ctrl_c_cancels_the_call_that_runs_and_the_next_goes_well(blocked):
    for _ in range(20):  # while it is being started, or while it runs
        with pytest.raises(KeyboardInterrupt):
            blocked.interrupted()
        assert blocked.add(1) == 2
    blocked.loop.close()
    assert blocked.loop.subject.notes == ["opened", *["cancelled"] * 20, "closed"]


async def interrupts():
    interrupt()
    await trio.sleep_forever()


def plainly(function):
    return function()


def in_asyncio(function):
    """In a task of ``asyncio.run``, whose own handler of the first Ctrl-C cancels the task and raises nothing."""

    async def main():
        return function()

    return asyncio.run(main())


@pytest.mark.parametrize("under", [plainly, in_asyncio])
def test_ctrl_c_cancels_the_opening_and_ends_the_thread(under):
    threads = set(threading.enumerate())
    loop = LoopThread(Resource(opening=interrupts), "the resource")
    with pytest.raises(KeyboardInterrupt):
        under(loop.open)
    assert loop.subject.notes == ["cancelled"]
    assert set(threading.enumerate()) <= threads


def test_ctrl_c_while_the_thread_is_being_started_ends_it(monkeypatch):
    threads, start = set(threading.enumerate()), threading.Thread.start

    def interrupted(thread):
        start(thread)
        raise KeyboardInterrupt

    loop = LoopThread(Resource(), "the resource")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            loop.open()
    ended(threads)
    loop.open()
    loop.close()
    assert loop.subject.notes == ["opened", "closed"]


@pytest.mark.parametrize("under", [plainly, in_asyncio])
def test_ctrl_c_cancels_the_closing_and_ends_the_thread(under):
    threads = set(threading.enumerate())
    loop = LoopThread(Resource(closing=interrupts), "the resource")
    loop.open()
    with pytest.raises(KeyboardInterrupt):
        under(loop.close)
    assert loop.subject.notes == ["opened", "cancelled"]
    assert set(threading.enumerate()) <= threads
    loop.close()


@pytest.mark.parametrize("under", [plainly, in_asyncio])
def test_what_closing_raises_is_raised_as_it_is_and_the_thread_ends(under):
    async def closing():
        raise OSError("not today")

    threads = set(threading.enumerate())
    loop = LoopThread(Resource(closing=closing), "the resource")
    loop.open()
    with pytest.raises(OSError, match="not today"):
        under(loop.close)
    assert set(threading.enumerate()) <= threads


def test_what_is_open_is_told_how_its_block_was_left():
    resource = Resource()
    for error in (KeyboardInterrupt(), ValueError()):
        with pytest.raises(type(error)), Blocked(resource) as blocked:
            raise error
        assert resource.told[:2] == (type(error), error)
    with Blocked(resource) as blocked:
        assert blocked.add(1) == 2
    assert resource.told == (None, None, None)


def test_what_cannot_be_opened_raises_as_it_is_and_can_be_tried_again():
    async def opening():
        raise OSError("not today")

    threads = set(threading.enumerate())
    loop = LoopThread(Resource(opening), "the resource")
    for _ in range(2):
        with pytest.raises(OSError, match="not today"):
            loop.open()
    assert set(threading.enumerate()) <= threads
    loop.subject.opening = None
    loop.open()
    loop.close()
    assert loop.subject.notes == ["opened", "closed"]


def test_it_is_opened_once_and_used_while_it_is_open(blocked):
    with pytest.raises(RuntimeError, match="the resource is open already"):
        blocked.loop.open()
    blocked.loop.close()
    blocked.loop.close()
    with pytest.raises(RuntimeError, match="the resource is not open"):
        blocked.add(1)
    blocked.loop.open()
    assert blocked.add(1) == 2


def test_closing_it_ends_the_calls_of_other_threads(blocked):
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(blocked.hold)
        assert blocked.loop.subject.holds.wait(PATIENCE)
        blocked.loop.close()
        with pytest.raises(InferError, match="the resource was closed while the call ran") as caught:
            call.result(PATIENCE)
    assert caught.value.code is Code.CANCELLED
    assert blocked.loop.subject.notes == ["opened", "cancelled", "closed"]


# ---- the client


def test_every_method_of_the_client_has_a_blocking_twin():
    names = {name for name, _ in inspect.getmembers(Client, inspect.iscoroutinefunction) if not name.startswith("_")}
    assert names == {"infer", "explain", "live", "ready", "metadata", "models", "index", "load", "unload"}
    for name in names:
        assert inspect.signature(getattr(BlockingClient, name)) == inspect.signature(getattr(Client, name))


def test_it_answers_what_the_async_one_answers(server, client):
    assert (client.live(), client.ready(), client.ready("echo")) == (True,) * 3
    assert client.models()[0] == "block"
    assert client.metadata().name == "pipeline-serve"
    assert client.metadata("versions", 2).versions == ("1", "2")
    rows = np.arange(4, dtype=np.float32).reshape(2, 2)
    assert client.infer("echo", {"rows": rows}, timeout=PATIENCE)["rows"].tolist() == rows.tolist()
    assert server.url in repr(client)


def test_its_errors_are_the_servers_own(client):
    with pytest.raises(ModelNotFound, match="Model with name nope does not exist"):
        client.infer("nope", {"x": 1})
    with pytest.raises(InferError, match="Could not find explainer_host"):
        client.explain("echo", {"rows": [[1, 2]]})
    with pytest.raises(DeadlineExceeded):
        client.infer("wait", {"name": "blocking-late"}, timeout="50ms")


def test_it_works_under_a_running_loop_of_asyncio(server):
    async def ask():
        with Client(server.url, trust_env=False).blocking() as client:
            return client.ready()

    assert asyncio.run(ask())


def test_a_running_loop_of_trio_is_not_blocked(client):
    async def ask():
        for act in (client.open, client.ready, client.close):
            with pytest.raises(RuntimeError, match="use the async one, or a thread"):
                act()
        return await trio.to_thread.run_sync(client.ready)

    assert trio.run(ask)


def test_many_threads_share_it(client):
    def ask(number):
        return client.infer("echo", {"rows": np.full((1, 2), number, "f4")})["rows"].tolist()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(100))) == [[[number, number]] for number in range(100)]


def test_a_thread_that_closes_it_ends_the_calls_of_the_others():
    def silent(connection):
        read_request(connection)

    with raw_server(silent) as there, ThreadPoolExecutor(1) as pool:
        client = Client(there.url, trust_env=False).blocking().open()
        call = pool.submit(client.infer, "m", {"x": 1})
        there.wait_until_came()
        client.close()
        with pytest.raises(InferError, match="was closed while the call ran") as caught:
            call.result(PATIENCE)
        there.wait_until_left()
    assert caught.value.code is Code.CANCELLED


def test_it_leaves_no_thread_and_no_file():
    with raw_server(answering(answer())) as there:
        files = open_files()
        for _ in range(5):
            with Client(there.url, trust_env=False).blocking() as client:
                assert client.live()
        wait_for_files(files)
        assert [thread for thread in threading.enumerate() if "portal" in thread.name] == []


def ended(threads):
    """Waits for those that are not among them to end."""
    for thread in set(threading.enumerate()) - threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_one_that_nobody_holds_any_more_closes_by_itself():
    threads = set(threading.enumerate())
    with raw_server(answering(answer())) as there:
        held = set(threading.enumerate())
        client = Client(there.url, trust_env=False).blocking().open()
        assert client.live()
        # As a cell of a notebook that is run again.
        client = Client(there.url, trust_env=False).blocking().open()
        there.wait_until_left()
        with suppress(InferError):
            client.infer("m", {"x": 1})
        del client
        gc.collect()  # an error that was raised holds, in its traceback, what raised it
        there.wait_until_left()
        ended(held | {thread for thread in threading.enumerate() if "portal" not in thread.name})
    ended(threads)


def test_one_that_is_collected_in_its_own_loop_holds_nothing_up(blocked):
    threads = set(threading.enumerate())
    own = Blocked(Resource())
    own.loop.open()
    resource, ring = own.loop.subject, [own]
    ring.append(ring)

    async def collect():
        gc.collect()

    own.loop.call(collect)
    there = own.loop._portal  # to run something in a loop that is nobody's any more
    del own, ring
    there.call(collect)
    del there
    ended(threads)
    assert resource.notes == ["opened", "closed"]


def test_an_unusable_certificate_is_told_at_opening():
    client = Client("https://127.0.0.1:1", verify="/no/such.pem").blocking()
    with pytest.raises(ValueError, match=r"verify: /no/such\.pem cannot be used"):
        client.open()


# ---- a script of its own

INTERRUPTED = """
import sys
from pipeline_serve import Client

url, name, catches = sys.argv[1:]
with Client(url, trust_env=False).blocking() as client:
    try:
        client.infer("wait", {"name": name}, timeout=None)
    except KeyboardInterrupt:
        if catches == "no":
            raise
        print("interrupted, and ready is", client.ready())
"""

LEFT_OPEN = """
import sys
from pipeline_serve import Client

client = Client(sys.argv[1], trust_env=False).blocking().open()
print(client.ready())
"""


FORKED = """
import os, sys
from pipeline_serve import Client

client = Client(sys.argv[1], trust_env=False).blocking().open()
print(client.ready(), flush=True)
child = os.fork()
if child == 0:
    for call in (client.ready, client.open):
        try:
            call()
        except RuntimeError as error:
            print(str(error).replace(str(os.getppid()), "1"), flush=True)
    client.close()
    with Client(sys.argv[1], trust_env=False).blocking() as own:
        print(own.ready(), flush=True)
    if sys.argv[2] == "drops":
        del client
    sys.exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), client.ready())
"""


def script(text, *arguments):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", text, *arguments],
        env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("catches", ["no", "yes"])
def test_ctrl_c_in_a_script_cancels_the_step_on_the_server(server, catches):
    name = f"interrupted-{catches}"
    with script(INTERRUPTED, server.url, name, catches) as process:
        server.wait_until("the step began", (server.folder / f"{name}.began").exists)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    server.wait_until("the step is cancelled", (server.folder / f"{name}.cancelled").exists)
    if catches == "no":
        assert (process.returncode, out) == (-signal.SIGINT, "")
        assert err.rstrip().endswith("KeyboardInterrupt")
        assert "Group" not in err
    else:
        assert (process.returncode, out, err) == (0, "interrupted, and ready is True\n", "")


def test_a_script_that_never_closes_it_ends(server):
    with script(LEFT_OPEN, server.url) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "True\n", "")


@pytest.mark.parametrize("child", ["drops", "keeps"])
def test_a_process_that_is_forked_is_told_to_open_its_own_and_ends(server, child):
    with script(FORKED, server.url, child) as process:
        out, err = process.communicate(timeout=PATIENCE)
    told = f"<Client of {server.url}> was opened in process 1, and a fork takes no threads along; "
    told += "make and open one in each process"
    assert (process.returncode, err) == (0, "")
    assert out.splitlines() == ["True", told, told, "True", "3 True"]

"""A server's controls: a stop from wherever and whenever, and calls into its loop."""

from __future__ import annotations

import asyncio
import threading

import pytest
import trio

from server.controls import Controls


@pytest.mark.parametrize("thread", [False, True], ids=["in the loop", "in a thread"])
async def test_a_stop_is_heard_from_wherever_it_is_asked(thread):
    controls = Controls()
    async with controls.taken() as asked:
        assert not asked.is_set()
        if thread:
            await trio.to_thread.run_sync(controls.stop)
        else:
            controls.stop()
            controls.stop()
        with trio.fail_after(10):
            await asked.wait()


async def test_a_stop_before_the_server_serves_ends_it_at_once():
    controls = Controls()
    controls.stop()
    async with controls.taken() as asked:
        assert asked.is_set()


def test_a_stop_where_no_server_runs_any_more_is_no_error():
    controls = Controls()

    async def main():
        async with controls.taken():
            pass

    trio.run(main)
    controls.stop()


async def test_a_call_before_the_server_serves_comes_as_soon_as_it_does():
    controls, happened = Controls(), trio.Event()

    async def early(event):
        event.set()

    controls.call(early, happened)
    async with controls.taken():
        with trio.fail_after(10):
            await happened.wait()


async def test_a_call_from_a_thread_is_waited_for_and_raises_what_it_raises():
    controls, seen = Controls(), []

    async def note(what):
        await trio.lowlevel.checkpoint()
        seen.append(what)

    async def fail():
        raise ValueError("no")

    async with controls.taken():
        await trio.to_thread.run_sync(controls.call, note, "it")
        assert seen == ["it"]
        with pytest.raises(ValueError, match="no"):
            await trio.to_thread.run_sync(controls.call, fail)


@pytest.mark.parametrize("where", ["trio", "asyncio", "a callback of asyncio"])
async def test_a_call_from_a_loop_comes_later_and_its_failure_is_for_the_log(where, caplog):
    controls, happened = Controls(), trio.Event()

    async def fail():
        happened.set()
        raise ValueError("no")

    async def on_asyncio():
        if where == "asyncio":
            controls.call(fail)
        else:
            asyncio.get_running_loop().call_soon(controls.call, fail)
            await asyncio.sleep(0)

    async with controls.taken():
        if where == "trio":
            controls.call(fail)
        else:
            await trio.to_thread.run_sync(asyncio.run, on_asyncio())
        with trio.fail_after(10):
            await happened.wait()
    assert "ValueError: no" in caplog.text


async def test_what_still_runs_at_the_end_is_cancelled():
    controls, ended = Controls(), trio.Event()

    async def lasts():
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async with controls.taken():
        controls.call(lasts)
        await trio.testing.wait_all_tasks_blocked()
    assert ended.is_set()


async def test_a_call_that_a_thread_waits_for_is_cancelled_at_the_end_too():
    controls, begun, over = Controls(), trio.Event(), []

    async def lasts():
        try:
            begun.set()
            await trio.sleep_forever()
        finally:
            over.append("the call")

    def ask():
        with pytest.raises(RuntimeError, match="the server has stopped"):
            controls.call(lasts)
        over.append("the thread")

    async with trio.open_nursery() as threads:
        async with controls.taken():
            threads.start_soon(trio.to_thread.run_sync, ask)
            await begun.wait()
        assert over[0] == "the call"
    assert over == ["the call", "the thread"]


async def test_a_call_after_the_end_is_refused_and_waits_for_no_other_server():
    controls = Controls()

    async def work():
        raise AssertionError("nobody is there to run it")

    async with controls.taken():
        pass
    with pytest.raises(RuntimeError, match="the server has stopped"):
        controls.call(work)
    with pytest.raises(RuntimeError, match="the server has stopped"):
        await trio.to_thread.run_sync(controls.call, work)


def test_threads_that_stop_it_over_and_over_while_it_ends_get_no_error():
    failures, done = [], threading.Event()
    latest = [Controls()]

    def press():
        try:
            while not done.is_set():
                latest[0].stop()
        except BaseException as error:
            failures.append(error)
            raise

    async def serve(controls):
        async with controls.taken() as asked:
            await asked.wait()

    presses = [threading.Thread(target=press) for _ in range(2)]
    for thread in presses:
        thread.start()
    for _ in range(20):
        trio.run(serve, latest[0])
        latest[0] = Controls()
    done.set()
    for thread in presses:
        thread.join(10)
    assert not failures


async def test_a_stop_can_be_heard_by_somebody_else_in_the_loop():
    controls, heard = Controls(), trio.Event()
    async with controls.taken(heard.set) as asked:
        controls.stop()
        with trio.fail_after(10):
            await heard.wait()
        assert not asked.is_set()


def test_where_the_server_runs_in_other_processes_a_stop_is_passed_on_and_nothing_else_can_be_asked():
    controls, heard = Controls(), []
    controls.stop()
    with controls.elsewhere(lambda: heard.append("stop")):
        assert heard == ["stop"], "asked before"
        controls.stop()
        assert len(heard) == 2
        with pytest.raises(RuntimeError, match="only starts the workers"):
            controls.call(trio.sleep, 0)
    controls.stop()
    assert len(heard) == 2

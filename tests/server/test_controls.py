"""A server's controls: a stop from wherever and whenever, and calls into its loop."""

from __future__ import annotations

import asyncio

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


async def test_a_stop_before_the_server_serves_ends_it_at_once_and_once():
    controls = Controls()
    controls.stop()
    async with controls.taken() as asked:
        assert asked.is_set()
    async with controls.taken() as asked:
        assert not asked.is_set()


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


@pytest.mark.parametrize("where", ["trio", "asyncio"])
async def test_a_call_from_a_loop_comes_later_and_its_failure_is_for_the_log(where, caplog):
    controls, happened = Controls(), trio.Event()

    async def fail():
        happened.set()
        raise ValueError("no")

    async def on_asyncio():
        controls.call(fail)

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

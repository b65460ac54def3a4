"""Asking a server to stop: from the loop, from a thread, before it serves; and what it does first."""

from __future__ import annotations

import threading

import pytest
import trio

from pipeline.repository import Repository
from server.handle import Service
from server.stopping import Stop, signals_heard, watch


def service():
    return Service(Repository([]), ready="all", name="s", version="1")


@pytest.mark.parametrize("thread", [False, True], ids=["in the loop", "in a thread"])
async def test_a_stop_is_heard_from_wherever_it_is_asked(thread):
    stop = Stop()
    with stop.heard() as asked:
        assert not asked.is_set()
        if thread:
            await trio.to_thread.run_sync(stop.ask)
        else:
            stop.ask()
            stop.ask()
        with trio.fail_after(10):
            await asked.wait()


async def test_a_stop_before_the_server_serves_ends_it_at_once_and_once():
    stop = Stop()
    stop.ask()
    with stop.heard() as asked:
        assert asked.is_set()
    with stop.heard() as asked:
        assert not asked.is_set()


def test_a_stop_after_the_loop_is_over_is_no_error():
    stop = Stop()

    async def main():
        with stop.heard():
            pass
        return stop

    trio.run(main).ask()


async def test_not_ready_first_and_no_more_connections_after_the_delay(autojump_clock):
    own, stopping, stop = service(), trio.Event(), Stop()
    with stop.heard() as asked:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, None, asked, own, stopping, 7.0)
            await trio.testing.wait_all_tasks_blocked()
            assert not own.draining
            stop.ask()
            began = trio.current_time()
            await stopping.wait()
            assert own.draining
            assert trio.current_time() - began == 7.0
            nursery.cancel_scope.cancel()


def test_a_thread_that_is_not_the_main_one_hears_no_signals_and_says_so(caplog):
    heard = []

    async def main():
        with signals_heard() as signals:
            heard.append(signals)

    caplog.set_level("INFO")
    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    thread.join()
    assert heard == [None]
    assert "signals are not heard" in caplog.text

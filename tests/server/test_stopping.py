"""Being asked to stop: who hears signals, and what comes first."""

from __future__ import annotations

import threading

import trio

from pipeline.repository import Repository
from server.service import Service
from server.stopping import signals_heard, watch


def service():
    return Service(Repository([]), ready="all", name="s", version="1")


async def test_not_ready_first_and_no_more_connections_after_the_delay(autojump_clock):
    own, stopping, asked = service(), trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, None, asked, own, stopping, 7.0)
        await trio.testing.wait_all_tasks_blocked()
        assert not own.draining
        asked.set()
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

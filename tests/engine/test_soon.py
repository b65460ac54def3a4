"""Calls in a loop's thread: made where it runs, and dropped where it has ended."""

from __future__ import annotations

import asyncio
import threading

import trio

from pipeline.engine.soon import in_asyncio, in_trio


def test_trio_is_called_in_its_thread_until_it_ends():
    called = []

    def call(event):
        called.append(threading.get_ident())
        event.set()

    async def main():
        token, event = trio.lowlevel.current_trio_token(), trio.Event()
        thread = threading.Thread(target=in_trio, args=(token, call, event))
        thread.start()
        await event.wait()
        thread.join()
        return token

    token = trio.run(main)
    assert called == [threading.get_ident()]
    in_trio(token, called.append, None)
    assert called == [threading.get_ident()]


def test_asyncio_is_called_in_its_thread_until_it_ends():
    called = []

    async def main():
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def call():
            called.append(threading.get_ident())
            event.set()

        thread = threading.Thread(target=in_asyncio, args=(loop, call))
        thread.start()
        await event.wait()
        thread.join()
        return loop

    loop = asyncio.run(main())
    assert called == [threading.get_ident()]
    in_asyncio(loop, lambda: called.append(None))
    assert called == [threading.get_ident()]

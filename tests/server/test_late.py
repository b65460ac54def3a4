"""What is made late is made once, whoever asks for it meanwhile and whoever leaves."""

from __future__ import annotations

import threading

import pytest
import trio

from server.late import Late


async def test_it_is_made_once_for_all_who_ask_and_not_before():
    made = []

    def make():
        made.append(object())
        return made[-1]

    late, got = Late(make), []

    async def asks():
        got.append(await late.get())

    assert (late.made, made) == (None, [])
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(asks)
    assert got == made * 5
    assert late.made is made[0]


async def test_who_leaves_while_it_is_made_leaves_it_to_the_next():
    began, go, times = trio.Event(), threading.Event(), []

    def make():
        times.append(1)
        trio.from_thread.run_sync(began.set)
        assert go.wait(20)
        return "made"

    late = Late(make)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(late.get)
        await began.wait()
        nursery.cancel_scope.cancel()
        go.set()
    assert await late.get() == "made"
    assert len(times) == 1


async def test_where_it_cannot_be_made_the_next_tries_again():
    outcomes = [None, "made"]

    def make():
        outcome = outcomes.pop(0)
        if outcome is None:
            raise ImportError("not yet")
        return outcome

    late = Late(make)
    with pytest.raises(ImportError):
        await late.get()
    assert late.made is None
    assert await late.get() == "made"

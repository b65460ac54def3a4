"""The clock of requests over HTTP/2, in virtual time: slow bodies get a 408, slow readers the end."""

from __future__ import annotations

import pytest
import trio

from server.connected import Connected
from server.pace import paced
from server.reaper import patience, reap

START = {"type": "http.response.start", "status": 200, "headers": [], "trailers": False}


async def echo(scope, receive, send):
    """Reads it all beside its reply, as Quart-Trio does."""
    body = b""
    while (event := await receive()).get("more_body"):
        body += event["body"]
    await trio.sleep(1000)
    await send(START)
    await send({"type": "http.response.body", "body": body + event.get("body", b""), "more_body": False})


async def run(app, receive, send) -> float:
    """The seconds that it took, beside who watches the clock."""
    start, requests = trio.current_time(), set[Connected]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reap, requests, patience(65))
        await paced(app, requests)({"type": "http"}, receive, send)
        nursery.cancel_scope.cancel()
    assert not requests
    return trio.current_time() - start


def pieces(size: int, count: int, every: float):
    left = count

    async def receive():
        nonlocal left
        await trio.sleep(every)
        left -= 1
        return {"type": "http.request", "body": b"x" * size, "more_body": left > 0}

    return receive


@pytest.mark.parametrize(
    ("size", "every", "seconds", "status"),
    [(1, 1, 30, 408), (0, 1e9, 30, 408), (2000, 2, 1080, 200), (2000, 0, 1000, 200)],
    ids=["a byte a second", "nothing", "steadily", "at once"],
)
async def test_a_body_has_to_come_and_what_is_made_of_it_takes_its_time(autojump_clock, size, every, seconds, status):
    sent = []

    async def send(event):
        sent.append(event)

    assert seconds <= await run(echo, pieces(size, 40, every), send) <= seconds + 1
    assert sent[0]["status"] == status
    assert sent[-1]["more_body"] is False


@pytest.mark.parametrize("shield", [False, True])
@pytest.mark.parametrize(("every", "whole"), [(30, True), (1e9, False)], ids=["500 bytes a second", "nothing"])
async def test_a_reply_has_to_be_taken(autojump_clock, shield, every, whole):
    body, taken = b"abcdefgh" * 20_000, []

    async def large(scope, receive, send):
        with trio.CancelScope(shield=shield):
            await send(START)
            await send({"type": "http.response.body", "body": body, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def send(event):
        if event["type"] == "http.response.body":
            if event["body"]:
                await trio.sleep(every)
            taken.append(event)

    seconds = await run(large, pieces(0, 1, 0), send)
    assert (b"".join(event["body"] for event in taken) == body) == whole
    assert bool(taken and not taken[-1]["more_body"]) == whole
    assert whole or 60 <= seconds <= 61

"""The end of a reply, in virtual time: it waits for a body that is coming, and not for ever."""

from __future__ import annotations

import pytest
import trio

from server.finish import finishing

WHOLE = {"type": "http.request", "body": b"", "more_body": False}


async def early(scope, receive, send):
    """Replies at once, while beside it the request is read, as Quart-Trio does it."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await send({"type": "http.response.start", "status": 404, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"no", "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        nursery.cancel_scope.cancel()


async def unread(scope, receive, send):
    """Replies without having read a thing, as a middleware does that lets nobody in."""
    await send({"type": "http.response.start", "status": 401, "headers": []})
    await send({"type": "http.response.body", "body": b"no", "more_body": False})


async def test_who_sends_on_and_on_to_a_stream_that_is_gone_gives_others_a_turn():
    sent = 0

    async def endless(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    async def send(event):
        nonlocal sent
        sent += 1
        assert sent < 1000, "nobody else had a turn"
        if sent == 10:
            scope.cancel()

    with trio.CancelScope() as scope:
        await finishing(endless)({"type": "http"}, trio.sleep_forever, send)
    assert sent == 10


async def run(arrives, app=early):
    """[(time, event)] of what was sent, for a request whose body is whole after ``arrives`` seconds."""
    sent, start = [], trio.current_time()

    async def receive():
        await trio.sleep(arrives)
        return WHOLE

    async def send(event):
        sent.append((trio.current_time() - start, event))

    await finishing(app)({"type": "http"}, receive, send)
    return sent


@pytest.mark.parametrize(("arrives", "ends"), [(0, 0), (1, 1), (4.9, 4.9), (1e9, 5)])
async def test_the_reply_is_sent_at_once_and_its_end_waits_for_the_body_up_to_a_bound(autojump_clock, arrives, ends):
    sent = await run(arrives)
    assert [time for time, _ in sent] == pytest.approx([0, 0, ends])
    assert b"".join(event.get("body", b"") for _, event in sent) == b"no"


@pytest.mark.parametrize(("arrives", "ends"), [(0, 0), (1, 1), (1e9, 5)])
async def test_a_body_that_nobody_reads_is_read_at_the_end(autojump_clock, arrives, ends):
    sent = await run(arrives, app=unread)
    assert [time for time, _ in sent] == pytest.approx([0, ends])


@pytest.mark.parametrize(
    ("length", "seconds", "sent"),
    [
        (True, 0.5, ["start", "body"]),
        (True, 1.5, ["start", "body"]),
        (False, 0.5, ["start"]),
        (False, 1.5, ["start"]),
        (False, 2.5, ["start", "body", "body"]),
    ],
)
async def test_a_reply_that_is_whole_is_sent_and_of_one_that_is_being_made_no_part_outlasts_its_time(
    autojump_clock, length, seconds, sent
):
    told = []

    async def send(event):
        await trio.sleep(1)
        told.append(event["type"].rpartition(".")[2])

    async def receive():
        return WHOLE

    async def app(scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")] * length})
        await send({"type": "http.response.body", "body": b"no", "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    with trio.move_on_after(seconds):
        await finishing(app)({"type": "http", "http_version": "1.1", "headers": []}, receive, send)
    assert told == sent


async def test_what_comes_of_a_body_after_the_reply_is_not_kept(autojump_clock):
    seen = []

    async def reads_on(scope, receive, send):
        seen.append(await receive())
        await send({"type": "http.response.start", "status": 404, "headers": []})
        seen.extend([await receive(), await receive()])

    events = iter([{**WHOLE, "body": bytes([n]) * 9, "more_body": n < 2} for n in range(3)])

    async def receive():
        return next(events)

    async def send(event):
        await trio.lowlevel.checkpoint()

    await finishing(reads_on)({"type": "http", "http_version": "1.1", "headers": []}, receive, send)
    assert [event["body"] for event in seen] == [b"\0" * 9, b"", b"\2" * 9]

"""HTTP/1.1 over a connection in memory, in virtual time: requests in, replies out, and when it ends."""

from __future__ import annotations

import json
import re

import pytest
import trio

from pipeline.errors import InferError
from pipeline.wire.codec import Reply
from pipeline.wire.statuses import error_reply
from server.company import Company
from server.connected import Connected, Phase
from server.http1 import Handover, Http1
from server.reaper import patience, reap
from tests.server.memory import Memory

GET = b"GET /x HTTP/1.1\r\nhost: h\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def post(body: bytes = b"", *lines: bytes, length: int | None = None, version: bytes = b"1.1") -> bytes:
    sized = [] if length == -1 else [b"content-length: %d" % (len(body) if length is None else length)]
    return b"\r\n".join([b"POST /x HTTP/" + version, b"host: h", *sized, *lines, b"", body])


async def echo(head, body, outgoing):
    """What came, as its reply; what is wrong with it is one too, as in ``handle``."""
    try:
        data = await body.whole()
    except InferError as error:
        return error_reply(error)
    return Reply(200, {"x-path": head.path}, (b"got ", data))


async def pieces(body):
    while piece := await body.piece():
        yield piece


async def early(head, body, outgoing):
    return Reply(404, {}, (b"no",))


class Talk:
    """A conversation: ``said`` by the server, until it ended with ``result``."""

    def __init__(self, *pieces: bytes, answer=echo, most=1000, ends=True) -> None:
        self.memory = Memory(*pieces, ends=ends)
        self.state = Connected()
        self.state.moving = self.memory
        self.refused: list[tuple[int, str, str]] = []
        self.http1 = Http1(self.memory, self.state, answer, self.refuse, lambda: "date: now\r\n", most, Company())
        self.result = None
        self.seconds = 0.0

    def refuse(self, refused, method, path):
        self.refused.append((refused.status, method, path))
        return error_reply(refused)

    async def run(self, *, may_upgrade: bool = True) -> list[tuple[int, dict[str, str], bytes]]:
        """The final replies."""
        await self.run_quietly(may_upgrade=may_upgrade)
        return replies(self.memory.text)

    async def run_quietly(self, *, may_upgrade: bool = True) -> None:
        """For what is sent that is no reply with a length."""
        start = trio.current_time()
        with self.state.scope:
            self.result = await self.http1.converse(may_upgrade=may_upgrade)
        self.seconds = trio.current_time() - start

    async def run_by_the_clock(self, *clients) -> list[tuple[int, dict[str, str], bytes]]:
        """As ``run``, with somebody who watches the clock, and what else the client does meanwhile."""
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(client)
            nursery.start_soon(reap, {self.state}, patience(65))
            found = await self.run()
            nursery.cancel_scope.cancel()
        return found


async def quietly(talk: Talk) -> None:
    await talk.run_quietly()


def replies(text: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    found = []
    while text:
        head, _, text = text.partition(b"\r\n\r\n")
        line, *fields = head.decode().split("\r\n")
        status = int(re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", line)[1])
        headers = dict(field.split(": ", 1) for field in fields)
        if status >= 200:
            size = int(headers["content-length"])
            found.append((status, headers, text[:size]))
            text = text[size:]
    return found


async def test_a_reply_has_a_date_and_a_length_and_the_connection_goes_on():
    first, second = await Talk(GET, post(b"abc")).run()
    assert first == (200, {"x-path": "/x", "content-length": "4", "date": "now"}, b"got ")
    assert second[2] == b"got abc"


@pytest.mark.parametrize("cut", [1, 2, 3, 7])
async def test_requests_are_answered_in_their_order_however_they_come(cut):
    sent = (
        GET
        + post(b"one")
        + b"\r\n"
        + post(b"two")
        + post(b"3\r\nabc\r\n0\r\n\r\n", b"transfer-encoding: chunked", length=-1)
        + GET
    )
    for pieces in ([sent], [sent[at : at + cut] for at in range(0, len(sent), cut)]):
        assert [body for _, _, body in await Talk(*pieces).run()] == [
            b"got ",
            b"got one",
            b"got two",
            b"got abc",
            b"got ",
        ]


async def test_a_client_in_the_middle_of_a_head_gets_nothing():
    assert await Talk(GET, GET[:-3]).run() == await Talk(GET).run()


async def test_head_is_answered_without_the_body_and_with_its_length():
    talk = Talk(GET.replace(b"GET", b"HEAD"), GET, answer=early)
    await quietly(talk)
    first, second = talk.memory.text.split(b"HTTP/1.1 404 Not Found\r\n")[1:]
    assert (first, second) == (b"content-length: 2\r\ndate: now\r\n\r\n", b"content-length: 2\r\ndate: now\r\n\r\nno")


@pytest.mark.parametrize(
    ("request_", "connection"),
    [
        (GET, None), (GET.replace(b"host", b"connection: close\r\nhost"), "close"),
        (b"GET / HTTP/1.0\r\n\r\n", "close"), (b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", "keep-alive"),
    ],
)  # fmt: skip
async def test_the_connection_lives_as_long_as_the_client_wants(request_, connection):
    found = await Talk(request_ * 2).run()
    assert [headers.get("connection") for _, headers, _ in found] == [connection] * (1 if connection == "close" else 2)


async def test_once_the_server_stops_a_reply_is_the_last():
    talk = Talk(GET * 2)
    talk.state.last = True
    (only,) = await talk.run()
    assert only[1]["connection"] == "close"


async def told_to_stop(head, body, outgoing):
    """The server stops while the reply is on its way, whose head says that the connection goes on."""
    await outgoing.begin(200, {})
    await outgoing.send(b"one")
    body._state.last = True
    await outgoing.end()


@pytest.mark.parametrize(("ends", "at_least", "at_most"), [(True, 0, 0), (False, 1, 1)], ids=["at once", "stays"])
async def test_once_the_server_stops_none_waits_for_another_request(autojump_clock, ends, at_least, at_most):
    talk = Talk(GET, answer=told_to_stop, ends=ends)
    await talk.run_quietly()
    assert talk.memory.text.endswith(b"0\r\n\r\n")
    assert at_least <= talk.seconds <= at_most


@pytest.mark.parametrize("pieces", [[GET + GET], [GET, GET], [GET]], ids=["came with it", "came since", "comes"])
async def test_what_was_asked_by_then_or_is_at_once_is_answered_and_is_the_last(autojump_clock, pieces):
    asked = 0

    async def answer(head, body, outgoing):
        nonlocal asked
        asked += 1
        return await (told_to_stop if asked == 1 else early)(head, body, outgoing)

    talk = Talk(*pieces, answer=answer, ends=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk.run_quietly)
        await trio.sleep(0.9)
        if pieces == [GET]:
            talk.memory.comes(GET)
    assert asked == 2
    assert b"connection: close\r\n" in talk.memory.text.partition(b"0\r\n\r\n")[2]


# ---- what is refused


@pytest.mark.parametrize(
    ("sent", "status", "asked"),
    [
        (b"nonsense\r\n\r\n", 400, "- -"), (b"\x16\x03\x01", 400, "- -"), (b"GET / HTTP/1.1\r\n\r\n", 400, "GET /"),
        (b"GET / HTTP/9.9\r\n\r\n", 505, "GET /"), (b"GET /" + b"a" * 9000, 414, "GET -"),
        (GET[:-2] + b"x: " + b"a" * 70_000, 431, "GET /x"), (post(b"", b"expect: tea"), 417, "POST /x"),
        (post(b"abc", b"transfer-encoding: chunked"), 400, "POST /x"),
        (b"CONNECT h:1 HTTP/1.1\r\nhost: h\r\n\r\n", 501, "CONNECT /h:1"),
    ],
)  # fmt: skip
async def test_what_is_no_request_is_told_and_an_error_in_json_and_the_end(autojump_clock, sent, status, asked):
    talk = Talk(GET + sent, GET, GET)
    _, refused = await talk.run()
    assert (refused[0], refused[1]["connection"], refused[1]["content-type"]) == (status, "close", "application/json")
    assert list(json.loads(refused[2])) == ["error"]
    assert talk.refused == [(status, *asked.split())]
    assert talk.memory.ended, "the client is told that nothing follows, and what it still sends does not reset it"


async def test_a_refusal_to_a_client_that_is_gone_is_the_end_and_no_more():
    def broken(parts):
        raise ConnectionResetError

    talk = Talk(b"GET\r\n\r\n")
    talk.memory.send_now = broken
    assert await talk.run() == []


async def test_a_refusal_has_no_body_for_head(autojump_clock):
    talk = Talk(b"HEAD / HTTP/1.1\r\n\r\n")
    await talk.run()
    assert talk.memory.text.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"5\r\nhelloworld", b"5\nhello"])
async def test_a_wrong_chunk_is_a_400_and_the_end(autojump_clock, chunk):
    (only,) = await Talk(post(chunk, b"transfer-encoding: chunked", length=-1), GET).run()
    assert (only[0], only[1]["connection"]) == (400, "close")


# ---- bodies


async def test_a_client_that_waits_for_a_word_gets_it_once_its_body_is_wanted():
    talk = Talk(post(b"", b"expect: 100-continue", length=3), ends=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk.run)
        await trio.testing.wait_all_tasks_blocked()
        assert talk.memory.text == CONTINUE
        talk.memory.comes(b"abc")
        talk.memory.client_ends()
    assert [body for _, _, body in replies(talk.memory.text)] == [b"got abc"]


async def test_a_client_that_does_not_wait_for_the_word_gets_none():
    talk = Talk(post(b"abc", b"expect: 100-continue"))
    await talk.run()
    assert CONTINUE not in talk.memory.text


async def test_a_client_that_waits_for_a_word_that_does_not_come_cannot_use_the_connection_again(autojump_clock):
    (only,) = await Talk(post(b"", b"expect: 100-continue", length=3), GET, answer=early).run()
    assert (only[0], only[1]["connection"]) == (404, "close")


@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1001, 413), (2_000_000, 413)])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_is_as_large_as_the_limit_and_not_a_byte_more(autojump_clock, size, status, chunked):
    body = b"x" * size
    sent = (
        post(b"%x\r\n%b\r\n0\r\n\r\n" % (size, body), b"transfer-encoding: chunked", length=-1)
        if chunked
        else post(body)
    )
    found = await Talk(sent[:100], sent[100:5000], sent[5000:], GET).run()
    assert found[0][0] == status
    # What is left of a small body is dropped, and what is left of a large one ends the connection.
    lives = size < 2**20
    assert (len(found), found[0][1].get("connection")) == ((2, None) if lives else (1, "close"))


async def test_a_reply_before_the_body_leaves_the_connection_usable():
    found = await Talk(post(b"", length=20), b"x" * 20 + GET, answer=early).run()
    assert [(status, headers.get("connection")) for status, headers, _ in found] == [(404, None)] * 2


async def test_a_body_that_does_not_come_after_its_reply_is_waited_for_5_seconds(autojump_clock):
    talk = Talk(post(b"", length=20), answer=early, ends=False)
    await talk.run()
    assert 5 <= talk.seconds <= 11


@pytest.mark.parametrize("sent", [post(b"ab", length=3), post(b"3\r\nab", b"transfer-encoding: chunked", length=-1)])
async def test_a_body_that_ends_too_early_is_a_400(sent):
    (only,) = await Talk(sent).run()
    assert (only[0], only[1]["connection"]) == (400, "close")
    assert b"ends too early" in only[2]


# ---- replies in parts


async def streamed(head, body, outgoing):
    await outgoing.begin(200, {"a": "b"})
    for part in (b"one", b"", b"x" * 17):
        await outgoing.send(part)
    await outgoing.end()
    return Reply(200)


async def test_a_reply_in_parts_is_chunked_and_its_head_goes_with_the_first():
    talk = Talk(GET + GET, answer=streamed)
    await quietly(talk)
    head = b"HTTP/1.1 200 OK\r\na: b\r\ntransfer-encoding: chunked\r\ndate: now\r\n\r\n"
    assert talk.memory.text == (head + b"3\r\none\r\n" + b"11\r\n" + b"x" * 17 + b"\r\n0\r\n\r\n") * 2
    assert b"".join(talk.memory.out[0]).endswith(b"\r\n\r\n3\r\none\r\n")


async def test_one_that_breaks_off_ends_the_connection_without_its_last_chunk():
    async def breaks(head, body, outgoing):
        await outgoing.begin(200, {})
        await outgoing.send(b"one")
        return Reply(500)

    talk = Talk(GET + GET, answer=breaks)
    await quietly(talk)
    assert talk.memory.text.endswith(b"\r\n\r\n3\r\none\r\n")


# ---- clients that leave


async def test_a_client_that_is_done_sending_is_asked_whether_it_is_there_and_answered():
    go = trio.Event()

    async def slow(head, body, outgoing):
        await go.wait()
        return await echo(head, body, outgoing)

    talk = Talk(GET, answer=slow)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk.run)
        await trio.testing.wait_all_tasks_blocked()
        talk.state.told(gone=False)
        assert talk.memory.hints == [CONTINUE]
        go.set()
    assert [status for status, _, _ in replies(talk.memory.text)] == [200]


async def test_a_client_that_was_done_before_its_request_was_read_is_asked_too():
    talk = Talk(GET, post(b"abc", version=b"1.0"))
    talk.state.told(gone=False)
    assert [status for status, _, _ in await talk.run()] == [200, 200]
    # HTTP/1.0 has no word for it: such a client is answered, whether it is there or not.
    assert talk.memory.hints == [CONTINUE]


async def test_in_the_middle_of_chunks_it_is_asked_with_a_zero_of_the_next_size():
    go = trio.Event()

    async def slow(head, body, outgoing):
        await outgoing.begin(200, {})
        await outgoing.send(b"one")
        await go.wait()
        await outgoing.send(b"two")
        await outgoing.end()

    talk = Talk(GET, answer=slow, ends=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(quietly, talk)
        await trio.testing.wait_all_tasks_blocked()
        talk.state.told(gone=False)
        assert talk.memory.hints == [b"0"]
        talk.memory.client_ends()
        go.set()


@pytest.mark.parametrize(("last", "hints"), [(False, [b"0"]), (True, [])])
async def test_one_that_is_done_while_a_part_is_on_its_way_is_asked_behind_it_unless_it_is_the_last(last, hints):
    async def told(head, body, outgoing):
        await outgoing.begin(200, {})
        if last:
            await outgoing.send(b"one")
        talk.memory.shut = trio.Event()
        await (outgoing.end() if last else outgoing.send(b"one"))
        await trio.sleep_forever()

    talk = Talk(GET, answer=told, ends=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(quietly, talk)
        await trio.testing.wait_all_tasks_blocked()
        talk.state.told(gone=False)
        assert talk.memory.hints == []
        talk.memory.shut.set()
        await trio.testing.wait_all_tasks_blocked()
        assert talk.memory.hints == hints
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("hint", [OSError, None])
async def test_a_client_that_has_left_cancels_its_request_behind_pipelined_ones_too(hint):
    cancelled = []

    async def waits(head, body, outgoing):
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(head.path)

    talk = Talk(GET * 50, answer=waits)
    if hint:

        def hint(data):
            raise BrokenPipeError

        talk.memory.hint = hint
    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk.run)
        await trio.testing.wait_all_tasks_blocked()
        talk.state.told(gone=hint is None)
    assert (cancelled, talk.memory.out) == (["/x"], [])


@pytest.mark.parametrize("pieces", [(post(b"one") + b"\r\n",), (post(b"one"), b"\r\n", b"\r\n")])
async def test_a_connection_with_an_empty_line_behind_its_request_is_idle(pieces):
    talk = Talk(*pieces, ends=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk.run)
        await trio.testing.wait_all_tasks_blocked()
        assert talk.state.phase is Phase.IDLE
        talk.memory.comes(GET)
        await trio.testing.wait_all_tasks_blocked()
        assert [body for _, _, body in replies(talk.memory.text)] == [b"got one", b"got "]
        talk.memory.client_ends()


async def test_what_is_owed_of_a_part_that_is_not_taken_counts_until_it_is():
    async def parts(head, body, outgoing):
        await outgoing.begin(200, {})
        await outgoing.send(b"x" * 1000)
        await outgoing.end()

    talk = Talk(GET, answer=parts)
    talk.memory.shut = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(quietly, talk)
        await trio.testing.wait_all_tasks_blocked()
        assert talk.state.owed >= 1000
        talk.memory.shut.set()
    assert talk.state.owed == 0


async def test_a_client_that_is_gone_in_the_middle_of_a_reply_cancels_what_makes_it():
    ended = []

    async def endless(head, body, outgoing):
        await outgoing.begin(200, {})
        try:
            while True:
                await outgoing.send(b"part")
        except trio.Cancelled:
            ended.append("cancelled")
            raise

    talk = Talk(GET, answer=endless)

    async def broken(parts, gone=0):
        raise BrokenPipeError

    talk.memory.send = broken
    assert await talk.run() == []
    assert ended == ["cancelled"]


# ---- the clock


@pytest.mark.parametrize(
    ("pieces", "phase", "seconds", "status"),
    [
        ([], Phase.IDLE, 65, None),
        ([GET], Phase.IDLE, 65, 200),
        ([GET[:9]], Phase.HEAD, 30, 408),
        ([post(b"", length=9)], Phase.IDLE, 30, 408),
        ([post(b"zz", length=9)], Phase.IDLE, 30, 408),
        ([post(b"3\r\na", b"transfer-encoding: chunked", length=-1)], Phase.IDLE, 30, 408),
    ],
)
async def test_what_does_not_come_ends_the_connection(autojump_clock, pieces, phase, seconds, status):
    talk = Talk(*pieces, ends=False)
    found = await talk.run_by_the_clock()
    assert [own[0] for own in found] == ([status] if status else [])
    # A reply that could not wait for its body lingers after it.
    assert seconds <= talk.seconds <= seconds + 1 + (5 if status == 408 else 0)
    assert talk.state.overdue == (status != 408)


@pytest.mark.parametrize("what", [GET, post(b"z" * 900)])
async def test_a_byte_a_second_is_too_slow_for_a_head_and_for_a_body(autojump_clock, what):
    start = b"" if what is GET else what[:-900]
    rest = (b"GET /" + b"a" * 900) if what is GET else what[-900:]
    talk = Talk(start, ends=False) if start else Talk(ends=False)

    async def drip():
        for byte in rest:
            talk.memory.comes(bytes([byte]))
            await trio.sleep(1)

    await talk.run_by_the_clock(drip)
    # What a client goes on sending after its reply is dropped for half a minute more.
    assert 59 <= talk.seconds <= 62
    assert [own[0] for own in replies(talk.memory.text)] == [408]


async def test_a_body_that_is_large_and_comes_steadily_may_take_its_time(autojump_clock):
    talk = Talk(post(b"", length=200_000), most=1_000_000, ends=False)

    async def steadily():
        for _ in range(100):
            talk.memory.comes(b"x" * 2000)
            await trio.sleep(2)
        talk.memory.client_ends()

    (only,) = await talk.run_by_the_clock(steadily)
    assert only[0] == 200


async def test_one_that_is_as_fast_as_it_has_to_be_is_so_however_long_its_parts_are_worked_on(autojump_clock):
    async def by_parts(head, body, outgoing):
        try:
            async for _ in pieces(body):
                await trio.sleep(25)
        except InferError as error:
            return error_reply(error)
        return Reply(200, {}, (b"all",))

    talk = Talk(post(b"", length=60_000), answer=by_parts, ends=False)

    async def comes():
        for _ in range(3):
            await trio.sleep(26)
            talk.memory.comes(b"x" * 20_000)
        talk.memory.client_ends()

    (only,) = await talk.run_by_the_clock(comes)
    assert only[0] == 200


async def test_a_client_that_does_not_take_its_408_is_cut_too(autojump_clock):
    talk = Talk(post(b"z", length=9), ends=False)
    talk.memory.shut = trio.Event()
    await talk.run_by_the_clock()
    assert 90 <= talk.seconds <= 92
    assert talk.state.overdue


async def test_a_client_that_takes_nothing_of_its_reply_is_cut(autojump_clock):
    talk = Talk(GET, ends=False)
    talk.memory.shut = trio.Event()
    await talk.run_by_the_clock()
    assert 60 <= talk.seconds <= 61


# ---- HTTP/2

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
UPGRADE = GET[:-2] + b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n\r\n"


@pytest.mark.parametrize("pieces", [[PREFACE + b"abc"], [PREFACE[:5], PREFACE[5:20], PREFACE[20:] + b"abc"]])
async def test_a_client_that_begins_with_http2_goes_on_in_it(pieces):
    talk = Talk(*pieces, ends=False)
    assert await talk.run() == []
    assert isinstance(talk.result, Handover)
    assert (PREFACE + b"abc").startswith(talk.result.data)
    assert talk.result.data.startswith(b"PRI * HTTP/2.0\r\n\r\n")


async def test_an_upgrade_is_answered_and_handed_over_with_its_request():
    talk = Talk(UPGRADE + b"abc")
    await quietly(talk)
    assert talk.memory.text.startswith(b"HTTP/1.1 101 ")
    assert (talk.result.data, talk.result.head.path) == (b"abc", "/x")


async def test_over_tls_neither_is(autojump_clock):
    ((status, _, _),) = await Talk(UPGRADE).run(may_upgrade=False)
    assert status == 200
    ((status, _, _),) = await Talk(PREFACE).run(may_upgrade=False)
    assert status == 505

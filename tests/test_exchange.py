"""Calls over HTTP against servers that misbehave on raw sockets, on trio and on asyncio. Knows no protocol."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from functools import partial

import anyio
import pytest
import trio

from pipeline.errors import Code, InferError, InvalidInput
from pipeline.exchange import NotConnected, Peer, connecting
from pipeline.wire.codec import Call
from tests.raw import (
    answer,
    answering,
    answering_and_closing,
    open_files,
    raw_server,
    read_request,
    resetting,
    wait_for_files,
)
from tests.tls import over_tls, self_signed

GET = Call("GET", "/live")
GOOD = b'{"live":true}'


@pytest.fixture(params=["trio", "asyncio"])
def run(request):
    """Runs an async function on each of the loops that the client supports."""
    return partial(anyio.run, backend=request.param)


def peer(url, **how):
    return Peer(url, trust_env=False, **how)


def failure(run, url, call=GET, **how):
    """The one InferError that the call raises."""

    async def ask():
        async with peer(url, **how) as server:
            with pytest.raises(InferError) as caught:
                await server.exchange(call)
        return caught.value

    return run(ask)


def body_of(reply):
    (body,) = reply.body
    return bytes(body)


# ---- what goes there and comes back


def test_a_call_is_sent_as_it_is_and_its_reply_is_one_read_only_buffer(run):
    seen = []
    with raw_server(answering(answer(b"abc", head="X-A: b\r\n"), seen=seen)) as server:

        async def ask():
            async with peer(server.url) as there:
                return await there.exchange(Call("POST", "/models/a b%?#:x", {"x-c": "d"}, b"body"))

        reply = run(ask)
    assert (reply.status, reply.headers["x-a"]) == (200, "b")
    assert (bytes(reply.body[0]), reply.body[0].readonly) == (b"abc", True)
    lines = seen[0].split(b"\r\n")
    assert lines[0] == b"POST /models/a%20b%25%3F%23:x HTTP/1.1"
    assert {line.lower() for line in lines} >= {b"x-c: d", b"content-length: 4", b"accept-encoding: identity"}
    assert seen[0].endswith(b"\r\n\r\nbody")
    assert b"x-request-timeout" not in seen[0].lower()


@pytest.mark.parametrize("user", ["", "anna:secret@"])
def test_a_cookie_of_one_caller_goes_with_no_other_call_and_one_that_is_given_goes_as_it_is(run, user):
    seen = []
    with raw_server(answering(answer(head="set-cookie: session=anna; Path=/\r\n"), seen=seen)) as server:

        async def ask():
            async with peer(server.url.replace("//", f"//{user}")) as there:
                for headers in ({}, {}, {"cookie": "session=ben"}, {}):
                    await there.exchange(Call("GET", "/live", headers))

        run(ask)
    cookies = [[line for line in request.lower().split(b"\r\n") if line.startswith(b"cookie:")] for request in seen]
    assert cookies == [[], [], [b"cookie: session=ben"], []]


def test_a_base_path_stands_before_every_path(run):
    seen = []
    with raw_server(answering(answer(), seen=seen)) as server:

        async def ask():
            for url in (f"{server.url}/serving", f"{server.url}/serving/"):
                async with peer(url) as there:
                    await there.exchange(GET)

        run(ask)
    assert [request.split(b" ")[1] for request in seen] == [b"/serving/live"] * 2


def test_a_unix_socket_is_a_server_too(run, tmp_path):
    path = str(tmp_path / "s")
    with raw_server(answering(answer()), listener=socket.create_server(path, family=socket.AF_UNIX)):

        async def ask():
            async with peer(f"unix:{path}") as there:
                return await there.exchange(GET)

        assert body_of(run(ask)) == GOOD


@pytest.mark.parametrize("scopes", [(5.0,), (50.0, 5.0), (5.0, 50.0)])
def test_the_time_that_is_left_goes_along(run, scopes):
    seen = []
    with raw_server(answering(answer(), seen=seen)) as server:

        async def ask():
            outer, inner = (*scopes, 99.0)[:2]
            async with peer(server.url) as there:
                with anyio.fail_after(outer), anyio.fail_after(inner):
                    await there.exchange(GET)

        run(ask)
    (sent,) = (line for line in seen[0].decode().split("\r\n") if line.lower().startswith("x-request-timeout"))
    assert 0 < float(sent.partition(":")[2]) <= 5


@pytest.mark.parametrize(("status", "connections"), [("500 Oh", 2), ("400 Oh", 1), ("503 Oh", 1)])
def test_a_connection_on_which_a_server_failed_is_not_kept(run, status, connections):
    """uvicorn closes it after an exception that nobody handled, and does not say so."""
    with raw_server(answering(answer(status=status), answer())) as server:

        async def ask():
            async with peer(server.url) as there:
                return [(await there.exchange(GET)).status for _ in range(2)]

        first, second = run(ask)
        assert (first, server.connections) == (int(status[:3]), connections)
        assert second == (first if connections == 2 else 200)


def test_connections_are_kept_and_one_that_the_server_closed_is_replaced(run):
    closed = threading.Event()

    def close(connection):
        answering_and_closing(answer())(connection)
        closed.set()

    with raw_server(close, answering(answer())) as server:

        async def ask():
            async with peer(server.url) as there:
                assert body_of(await there.exchange(GET)) == GOOD
                await anyio.to_thread.run_sync(closed.wait)
                for _ in range(3):
                    assert body_of(await there.exchange(GET)) == GOOD

        run(ask)
        assert server.connections == 2


@pytest.mark.parametrize("status", [204, 400, 413, 500, 503, 599])
def test_every_status_but_a_redirect_is_a_reply(run, status):
    with raw_server(answering(answer(b"" if status == 204 else b"x", status=f"{status} Whatever"))) as server:

        async def ask():
            async with peer(server.url) as there:
                return await there.exchange(GET)

        assert run(ask).status == status


def test_a_refusal_that_comes_before_the_request_is_read_is_the_reply(run):
    def refuse(connection):
        connection.recv(1000)
        connection.sendall(answer(b"no", status="413 Too Large", head="connection: close\r\n"))
        connection.shutdown(socket.SHUT_WR)

    with raw_server(refuse) as server:

        async def ask():
            async with peer(server.url) as there:
                return await there.exchange(Call("POST", "/", {}, bytes(4_000_000)))

        reply = run(ask)
    assert (reply.status, body_of(reply)) == (413, b"no")


# ---- what does not arrive


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1", "Connection refused"),
        ("http://localhost:1", "Connection refused"),
        ("http://user:secret@127.0.0.1:1", "Connection refused"),
        ("http://no-such-host.invalid", ""),
        (f"http://{'a' * 64}.example", ""),
        ("unix:/no/such/socket", "No such file or directory"),
    ],
)
def test_a_server_that_cannot_be_reached_is_named_with_the_reason_and_a_way_out(run, url, reason):
    error = failure(run, url)
    assert type(error) is NotConnected
    assert error.code is Code.BAD_UPSTREAM
    assert error.message.startswith(f"cannot connect to {url.replace('user:secret@', '')}: {reason}")
    assert error.message.endswith("; is a server running there?")
    assert "secret" not in error.message
    assert error.__suppress_context__


def test_what_the_caller_was_handling_is_not_the_reason(run):
    async def ask():
        async with peer("http://127.0.0.1:1") as there:
            try:
                raise KeyError("the caller's own")
            except KeyError:
                with pytest.raises(InferError, match="Connection refused"):
                    await there.exchange(GET)

    run(ask)


def closing_at_once(connection):
    connection.shutdown(socket.SHUT_RDWR)


RUINED = {
    "closes before it reads": closing_at_once,
    "closes without a word": answering_and_closing(b""),
    "resets": resetting,
    "is no HTTP": answering_and_closing(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "is noise": answering_and_closing(bytes(range(256)) * 300),
    "ends within its head": answering_and_closing(b"HTTP/1.1 200 OK\r\ncontent-le"),
    "has a head without end": answering_and_closing(b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 30_000),
    "has no number for its length": answering_and_closing(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\nx"),
    "has two lengths": answering_and_closing(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx"),
    "ends within its body": answering_and_closing(answer(GOOD)[:-1]),
    "ends within a chunk": answering_and_closing(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\nabc"),
    "has no chunk": answering_and_closing(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nabc\r\n"),
    "switches protocols": answering_and_closing(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n"),
}


@pytest.mark.parametrize("behave", RUINED.values(), ids=RUINED)
def test_a_reply_that_is_not_whole_is_the_servers_fault_and_the_next_call_goes_well(run, behave):
    with raw_server(behave, answering(answer())) as server:

        async def ask():
            async with peer(server.url) as there:
                with pytest.raises(InferError) as caught:
                    await there.exchange(Call("POST", "/live", {}, b"x" * 10))
                assert body_of(await there.exchange(GET)) == GOOD
            return caught.value

        before = open_files()
        error = run(ask)
        wait_for_files(before)
    assert (type(error), error.code) == (InferError, Code.BAD_UPSTREAM)
    assert error.message.startswith(f"POST {server.url}/live got no whole reply: ")
    assert len(error.message) < 400


@pytest.mark.parametrize(
    ("head", "way_out"),
    [
        ("HTTP/1.1 307 Temporary Redirect\r\nlocation: http://other/there\r\n", "use http://other/there"),
        ("HTTP/1.1 302 Found\r\nlocation: /login\r\n", "use /login"),
        ("HTTP/1.1 302 Found\r\nlocation: http://bob:hunter2@there/a?token=t#f\r\n", "use http://there/a"),
        ("HTTP/1.1 302 Found\r\nlocation: //bob:p@ss@there/a@b\r\n", "use //there/a@b"),
        ("HTTP/1.1 302 Found\r\nlocation: ?token=t\r\n", "is it an inference server?"),
        ("HTTP/1.1 304 Not Modified\r\n", "is it an inference server?"),
        ("HTTP/1.1 999 Odd\r\n", "is it an inference server?"),
    ],
)
def test_a_redirect_is_not_followed(run, head, way_out):
    with raw_server(answering_and_closing(f"{head}content-length: 0\r\n\r\n".encode())) as server:
        error = failure(run, server.url)
    status = head.split(" ")[1]
    assert error.code is Code.BAD_UPSTREAM
    assert error.message.startswith(f"GET {server.url}/live was answered with HTTP status {status}; ")
    assert error.message.endswith(way_out)


def test_a_reply_in_an_encoding_that_was_not_asked_for_is_refused(run):
    with raw_server(answering(answer(b"abc", head="content-encoding: gzip\r\n"))) as server:
        error = failure(run, server.url)
    assert (error.code, "was answered in content-encoding gzip" in error.message) == (Code.BAD_UPSTREAM, True)


def test_an_encoding_that_is_no_name_is_not_repeated(run):
    with raw_server(answering(answer(b"abc", head="content-encoding: Basic Ym9iOmh1bnRlcjI=\r\n"))) as server:
        error = failure(run, server.url)
    assert "was answered in content-encoding that has no name" in error.message


def endless(connection):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")


@pytest.mark.parametrize("announced", [True, False])
def test_a_reply_past_the_limit_is_given_up(run, announced):
    long = answering_and_closing(answer(bytes(100_000))) if announced else endless
    with raw_server(long, answering(answer())) as server:

        async def ask():
            async with peer(server.url, max_reply=50_000) as there:
                with pytest.raises(InferError) as caught:
                    await there.exchange(GET)
                await anyio.to_thread.run_sync(server.wait_until_left)
                assert body_of(await there.exchange(GET)) == GOOD
            return caught.value

        error = run(ask)
    assert error.code is Code.BAD_UPSTREAM
    assert error.message == f"the reply to GET {server.url}/live is larger than 50000 bytes; max_reply=… allows more"


@pytest.mark.parametrize("size", [49_999, 50_000])
def test_a_reply_up_to_the_limit_is_whole(run, size):
    with raw_server(answering(answer(bytes(size)))) as server:

        async def ask():
            async with peer(server.url, max_reply=50_000) as there:
                return len(body_of(await there.exchange(GET)))

        assert run(ask) == size


# ---- cancellation


def never(connection):
    """Takes the connection and nothing more: the client closes it."""


def silent(connection):
    read_request(connection)


def halfway(connection):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf of it")


HANGING = {"within the head": silent, "within the body": halfway, "in an endless body": endless}


@pytest.mark.parametrize("behave", HANGING.values(), ids=HANGING)
@pytest.mark.parametrize("by", ["deadline", "caller"])
def test_a_cancelled_call_closes_its_connection_at_once_and_the_next_call_goes_well(run, behave, by):
    with raw_server(behave, answering(answer())) as server:

        async def ask():
            async with peer(server.url) as there:
                under_way, left = await cancelled(there, server, by)
                # The server's end of it closes after the client's: one less is the client's.
                assert left < under_way
                # Seen by the server while the client is still open, and does something else.
                await anyio.to_thread.run_sync(server.wait_until_left)
                assert body_of(await there.exchange(GET)) == GOOD

        before = open_files()
        run(ask)
        wait_for_files(before)


async def cancelled(there, server, by):
    """(open files while the call was under way, and when its scope was left) of one that is ended from outside."""
    counts = []

    async def end(scope):
        await anyio.to_thread.run_sync(server.wait_until_came)
        counts.append(open_files())
        if by == "deadline":
            scope.deadline = anyio.current_time()
        else:
            scope.cancel()

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            tasks.start_soon(end, scope)
            await there.exchange(GET)
        counts.append(open_files())  # with nothing awaited in between
        assert scope.cancelled_caught
    return counts


def test_a_call_cancelled_while_it_sends_closes_its_connection(run):
    with raw_server(lambda connection: connection.recv(1), answering(answer())) as server:
        # A receiver that is slow to read cannot be told from one that never does; the deadline does not care.
        server._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

        async def ask():
            async with peer(server.url) as there:
                with anyio.move_on_after(0.2) as scope:
                    await there.exchange(Call("POST", "/", {}, bytes(50_000_000)))
                await anyio.to_thread.run_sync(server.wait_until_left)
                assert body_of(await there.exchange(GET)) == GOOD
                return scope.cancelled_caught

        run(ask)


def test_a_call_cancelled_while_it_connects_leaves_no_socket(run):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))

        async def ask():
            before = open_files()
            async with peer(f"http://127.0.0.1:{port}") as there:
                with anyio.move_on_after(0.05) as scope:
                    await there.exchange(GET)
                return scope.cancelled_caught, open_files() - before

        assert run(ask) == (True, 0)
        for one in waiting:
            one.close()


def test_a_call_that_waits_for_a_connection_can_be_cancelled_and_the_others_go_on(run):
    with raw_server(silent, answering(answer())) as server:

        async def ask():
            async with peer(server.url, connections=1) as there, anyio.create_task_group() as tasks:
                first = anyio.CancelScope()

                async def hold():
                    with first:
                        await there.exchange(GET)

                tasks.start_soon(hold)
                await anyio.to_thread.run_sync(server.wait_until_came)
                with anyio.move_on_after(0.05) as second:
                    await there.exchange(GET)
                assert second.cancelled_caught
                first.cancel()
                assert body_of(await there.exchange(GET)) == GOOD

        run(ask)


def test_many_calls_cancelled_at_any_moment_leave_no_file_open(run):
    with raw_server(answering(answer(bytes(200_000)))) as server:

        async def ask():
            async with peer(server.url) as there:
                await there.exchange(GET)
                before = open_files()
                for number in range(100):
                    with anyio.move_on_after(number / 50_000):
                        await there.exchange(GET)
                assert len(body_of(await there.exchange(GET))) == 200_000
                await anyio.to_thread.run_sync(wait_for_files, before)

        run(ask)


# ---- opening and closing


def test_it_is_opened_once_and_used_while_it_is_open(run):
    async def ask():
        there = peer("http://127.0.0.1:1")
        with pytest.raises(RuntimeError, match="is not open"):
            await there.exchange(GET)
        async with there:
            with pytest.raises(RuntimeError, match="is open already"):
                await there.__aenter__()
        with pytest.raises(RuntimeError, match="is not open"):
            await there.exchange(GET)
        async with there:
            pass

    run(ask)


def test_closing_it_ends_the_calls_that_are_under_way(run):
    with raw_server(silent) as server:

        async def ask():
            told = []
            there = peer(server.url)
            await there.__aenter__()

            async def call():
                with pytest.raises(InferError) as caught:
                    await there.exchange(GET)
                told.append(caught.value)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                await anyio.to_thread.run_sync(server.wait_until_came)
                await there.__aexit__(None, None, None)
            return told[0]

        error = run(ask)
    assert (error.code, "was closed while the call ran" in error.message) == (Code.CANCELLED, True)


@pytest.mark.parametrize(
    "url",
    ["localhost:8080", "127.0.0.1", "", "http://", "ftp://host", "unix:", "http://host?x=1", "http://host:port"],
)
def test_what_is_no_url_of_a_server_is_refused_at_once(url):
    with pytest.raises(ValueError, match="URL"):
        Peer(url)


def test_a_path_that_fits_no_url_is_the_callers_fault(run):
    with raw_server(answering(answer())) as server:
        error = failure(run, server.url, Call("GET", "/" + "a" * 70_000))
    assert isinstance(error, InvalidInput)


def test_proxies_of_the_environment_are_used_where_they_are_trusted(run, monkeypatch):
    seen = []
    with raw_server(answering(answer(), seen=seen)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)

        async def ask():
            async with Peer("http://model.invalid", trust_env=True) as there:
                await there.exchange(GET)

        run(ask)
        assert seen[0].startswith(b"GET http://model.invalid/live HTTP/1.1")
        assert "cannot connect to http://model.invalid" in failure(run, "http://model.invalid").message


# ---- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return tuple(map(str, self_signed(tmp_path_factory.mktemp("tls"))))


def secure(certificate, verify_mode=ssl.CERT_OPTIONAL, status="200 OK"):
    """Answers over TLS; says in its body whether the client showed a certificate."""
    return over_tls(
        certificate, lambda shown: answering(answer(json.dumps(shown).encode(), status=status)), verify_mode
    )


@pytest.mark.parametrize("way", ["file", "context", "off"])
@pytest.mark.parametrize("shows", [True, False])
def test_tls_is_verified_as_asked_and_the_clients_certificate_is_shown(run, certificate, way, shows):
    verify = {"file": certificate[0], "context": ssl.create_default_context(cafile=certificate[0]), "off": False}[way]
    with raw_server(secure(certificate)) as server:

        async def ask():
            url = server.url.replace("http:", "https:")
            async with peer(url, verify=verify, cert=certificate if shows else None) as there:
                return json.loads(body_of(await there.exchange(GET)))

        assert run(ask) is shows


def test_a_connection_on_which_a_server_failed_is_not_kept_under_tls(run, certificate):
    with raw_server(secure(certificate, status="500 Oh"), secure(certificate)) as server:

        async def ask():
            async with peer(server.url.replace("http:", "https:"), verify=certificate[0]) as there:
                return [(await there.exchange(GET)).status for _ in range(3)]

        assert run(ask) == [500, 200, 200]
        assert server.connections == 2


def test_a_certificate_that_nobody_vouches_for_is_refused_with_the_way_out(run, certificate):
    with raw_server(secure(certificate)) as server:
        error = failure(run, server.url.replace("http:", "https:"))
    assert error.code is Code.BAD_UPSTREAM
    assert "self-signed certificate; verify=… (ca in a graph file) names the authority" in error.message


def test_a_server_that_misses_the_clients_certificate_is_an_error_of_ours_too(run, certificate):
    with raw_server(secure(certificate, ssl.CERT_REQUIRED)) as server:
        error = failure(run, server.url.replace("http:", "https:"), verify=certificate[0])
    assert (type(error), error.code) == (InferError, Code.BAD_UPSTREAM)


def test_a_password_in_the_url_is_sent_and_never_shown(run):
    seen = []
    with raw_server(answering(answer(bytes(9)), seen=seen)) as server:
        error = failure(run, server.url.replace("//", "//user:secret@"), max_reply=1)
    assert b"authorization: Basic dXNlcjpzZWNyZXQ=" in seen[0].replace(b"Authorization", b"authorization")
    assert "secret" not in error.message


@pytest.mark.parametrize(
    ("how", "says"),
    [({"verify": "/no/such.pem"}, "verify: /no/such.pem"), ({"cert": "/no/such.pem"}, "cert: /no/such.pem")],
)
def test_a_certificate_file_that_cannot_be_used_is_named(run, how, says):
    async def open_it():
        async with peer("https://127.0.0.1:1", **how):
            pass

    with pytest.raises(ValueError, match=says):
        run(open_it)


class Reluctant:
    """Fails so many times; when it was tried."""

    def __init__(self, times, error):
        self.left, self.error, self.at = times, error, []

    async def __call__(self):
        self.at.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if len(self.at) <= self.left:
            raise self.error
        return "answered"


async def test_a_connection_is_tried_again_at_once_and_then_ever_more_seldom(autojump_clock):
    attempt, start = Reluctant(4, ConnectionError()), trio.current_time()
    assert await connecting(attempt, 5, ConnectionError, TimeoutError) == "answered"
    assert [at - start for at in attempt.at] == [0, 0, 0.5, 1.5, 3.5]


@pytest.mark.parametrize(
    ("retries", "error", "tries"), [(2, ConnectionError, 3), (0, ConnectionError, 1), (2, OSError, 1)]
)
async def test_the_last_failure_and_every_other_is_the_callers(autojump_clock, retries, error, tries):
    attempt = Reluctant(9, error())
    with pytest.raises(error):
        await connecting(attempt, retries, ConnectionError)
    assert len(attempt.at) == tries

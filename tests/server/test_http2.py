"""What a client does to its own connection, HTTP/2 above all: other streams, other connections and a stop go on."""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest

from tests.conformance.zoo import APP, FILES
from tests.server.http2 import Http2
from tests.serving import Server, serving
from tests.tls import secured


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    files = {"app.py": APP, "echo.yaml": FILES["echo.yaml"], "wait.yaml": FILES["wait.yaml"]}
    with serving(tmp_path_factory.mktemp("connection"), files, graphs=["echo.yaml", "wait.yaml"]) as server:
        yield server
        assert server.stop() == 0
        assert "Traceback" not in server.stderr


@pytest.mark.parametrize(
    ("method", "path"),
    [(b"GET", "/v2/models/größe".encode()), (b"GET", b"\xff"), (b"G\xc3\x96", b"/v2")],
    ids=["non-ascii path", "path that is no UTF-8", "non-ascii method"],
)
def test_an_http2_request_that_cannot_be_read_fails_its_own_stream(server, method, path):
    with Http2(server.port) as client:
        client.ask(1, path, method)
        client.until(1, h2.events.StreamReset)
        client.ask(3, b"/v2/health/live")
        assert client.body(3) == b'{"live":true}'


def test_there_is_no_connect(server):
    with Http2(server.port) as client:
        client.headers(1, [(b":method", b"CONNECT"), (b":authority", b"h:80")], end=False)
        assert client.status(1) == b"501"
        client.ask(3, b"/v2/health/live")
        assert client.body(3) == b'{"live":true}'


def test_a_body_that_comes_after_its_reply_leaves_the_other_streams(server):
    with Http2(server.port) as client:
        client.headers(1, [(b":method", b"CONNECT"), (b":authority", b"h:80")], end=False)
        assert client.status(1) == b"501"
        client.h2.send_data(1, b"late", end_stream=True)
        client.ask(3, b"/v2/health/live")
        assert client.body(3) == b'{"live":true}'


def test_a_client_that_leaves_cancels_its_streams(server):
    with Http2(server.port) as client:
        for stream, name in ((1, b"one"), (3, b"three")):
            client.ask(stream, b"/v1/models/wait:predict", b"POST", end=False)
            client.h2.send_data(stream, b'{"instances": ["h2-%b"]}' % name, end_stream=True)
        client.wire.sendall(client.h2.data_to_send())
        for name in ("one", "three"):
            server.wait_until("the step began", (server.folder / f"h2-{name}.began").exists)
    for name in ("one", "three"):
        server.wait_until("the step is cancelled", (server.folder / f"h2-{name}.cancelled").exists)


def test_a_client_that_leaves_with_its_window_shut_takes_its_connection_along(server):
    with Http2(server.port, window=0) as client:
        client.ask(1, b"/v2/health/live")
        assert client.status(1) == b"200"
        client.wire.shutdown(socket.SHUT_WR)
        while client.wire.recv(65536):
            pass


def test_what_breaks_a_connection_is_one_line_without_a_traceback(tmp_path):
    push = b"http2-settings: AAIAAAAC\r\n"  # a 2, which is neither of its values
    with serving(tmp_path, {"app.py": APP, "echo.yaml": FILES["echo.yaml"]}, graphs=["echo.yaml"]) as server:
        upgrade = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\n" + push
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as wire:
            wire.sendall(b"GET / HTTP/1.1\r\nhost: h\r\n" + upgrade + b"\r\n")
            while wire.recv(65536):
                pass
        server.wait_for_log("a connection broke")
        (line,) = (line for line in server.stderr.splitlines() if "broke" in line)
        assert line.split("pipeline_serve: ")[1] == (
            "a connection broke: its client sent what HTTP does not know (InvalidSettingsValueError)"
        )
        assert " WARNING " in line
        assert "Traceback" not in server.stderr


def test_a_websocket_that_is_asked_for_is_a_request_like_any_other(server):
    head = (
        b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as wire:
        for _ in range(2):
            wire.sendall(head)
            answer = b""
            while not answer.endswith(b'{"live":true}'):
                answer += wire.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_reply_that_nobody_takes_does_not_outlive_the_grace_period(tmp_path):
    """Neither in HTTP/2, whose window is shut, nor in HTTP/1.1, where the reply is larger than what is on its way."""
    body = b'{"inputs":{"rows":[%s]}}' % b",".join([b"[1.5,2.5]"] * 1_000_000)
    head = b"POST /v1/models/echo:predict HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n" % len(body)
    files = {"app.py": APP, "echo.yaml": FILES["echo.yaml"]}
    with serving(tmp_path, files, "--grace", "50ms", graphs=["echo.yaml"]) as server:
        with Http2(server.port, window=0) as shut, socket.socket() as deaf:
            shut.ask(1, b"/v2/health/live")
            assert shut.status(1) == b"200"
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.settimeout(30)
            deaf.connect(("127.0.0.1", server.port))
            deaf.sendall(head + body)
            server.wait_for_log("POST /v1/models/echo:predict 200")
            assert server.stop() == 0
        assert "grace period is over" in server.stderr
        assert "Traceback" not in server.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="counts the descriptors in /proc")
def test_a_client_that_is_gone_when_its_reply_comes_leaves_no_descriptor_though_it_has_asked_for_more(tmp_path):
    files = {"app.py": APP, "wait.yaml": FILES["wait.yaml"]}
    ask = b'POST /v1/models/wait:predict HTTP/1.1\r\nhost: h\r\ncontent-length: 20\r\n\r\n{"instances": ["%d"]}'
    with serving(tmp_path, files, graphs=["wait.yaml"]) as server:

        def opened() -> int:
            return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))

        wires = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(3)]
        for n, wire in enumerate(wires):
            wire.sendall(ask % n + b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
            server.wait_until("the step began", (tmp_path / f"{n}.began").exists)
        before = opened()
        for wire in wires:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.close()
        for n in range(len(wires)):
            (tmp_path / f"{n}.go").touch()
        server.wait_until("the connections are closed", lambda: opened() <= before - len(wires))


# ---- idle connections


def silent(client: Http2) -> None:
    client.wire.sendall(client.h2.data_to_send())
    client.settled()


def answered(client: Http2) -> None:
    client.ask(3, b"/v2/health/live")
    assert client.body(3) == b'{"live":true}'


def refused(client: Http2) -> None:
    client.headers(1, [(b":method", b"CONNECT"), (b":authority", b"h:80")])
    assert client.status(1) == b"501"


def taken_back(client: Http2) -> None:
    client.ask(1, b"/v1/models/echo:predict", b"POST", end=False)
    client.h2.reset_stream(1)
    client.settled()


def upgraded(client: Http2) -> None:
    assert client.body(1) == b'{"live":true}'


IDLE = pytest.mark.parametrize(
    ("how", "what"),
    [
        ({}, silent), ({}, answered), ({}, refused), ({}, taken_back),
        ({"upgrade": True}, upgraded), ({"upgrade": True}, answered),
        ({"secure": True}, silent), ({"secure": True}, answered), ({"secure": True}, taken_back),
    ],
    ids=lambda own: own.__name__ if callable(own) else next(iter(own), "prior knowledge"),
)  # fmt: skip


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Sequence[str]:
    return secured(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def flags(how: dict[str, bool], request: pytest.FixtureRequest) -> Sequence[str]:
    return request.getfixturevalue("certificate") if "secure" in how else ()


@IDLE
def test_an_idle_http2_connection_does_not_hold_up_a_stop(
    tmp_path, how: dict[str, bool], what: Callable[[Http2], None], flags
):
    files = {"app.py": APP, "echo.yaml": FILES["echo.yaml"]}
    with serving(tmp_path, files, "--grace", "30s", *flags, graphs=["echo.yaml"]) as server:
        with Http2(server.port, **how) as client:
            what(client)
            server.send()
            assert client.farewell()
            assert server.wait() == 0
        assert "grace period is over" not in server.stderr
        assert "Traceback" not in server.stderr


@IDLE
def test_an_idle_http2_connection_is_closed_after_the_keep_alive_time(
    tmp_path, how: dict[str, bool], what: Callable[[Http2], None], flags
):
    files = {"app.py": APP, "echo.yaml": FILES["echo.yaml"]}
    with serving(tmp_path, files, "--keep-alive", "1s", *flags, graphs=["echo.yaml"]) as server:
        with Http2(server.port, **how) as client:
            what(client)
            assert client.farewell()
        assert server.stop() == 0
        assert "Traceback" not in server.stderr


def test_pings_do_not_prolong_the_keep_alive_time(tmp_path):
    ping = bytes([0, 0, 8, 6, 0, 0, 0, 0, 0]) + b"12345678"
    with (
        serving(
            tmp_path, {"app.py": APP, "echo.yaml": FILES["echo.yaml"]}, "--keep-alive", "200ms", graphs=["echo.yaml"]
        ) as server,
        Http2(server.port) as client,
    ):
        silent(client)
        with suppress(ConnectionResetError, BrokenPipeError):
            for _ in range(100_000):
                client.wire.sendall(ping)
                data = client.wire.recv(65536)
                if not data:
                    return
                client.events += client.h2.receive_data(data)
            pytest.fail("it is still open")


def refuses(server: Server) -> bool:
    with socket.socket() as wire:
        return wire.connect_ex(("127.0.0.1", server.port)) == errno.ECONNREFUSED


@pytest.mark.parametrize("upgrade", [False, True], ids=["prior knowledge", "upgrade"])
def test_a_stream_under_way_outlives_the_keep_alive_time_and_ends_whole_though_the_server_stops(tmp_path, upgrade):
    files = {"app.py": APP, "wait.yaml": FILES["wait.yaml"]}
    with serving(tmp_path, files, "--keep-alive", "1s", graphs=["wait.yaml"]) as server:
        with Http2(server.port, upgrade=upgrade) as client:
            client.ask(3, b"/v1/models/wait:predict", b"POST", end=False)
            client.h2.send_data(3, b'{"instances": ["x"]}', end_stream=True)
            client.wire.sendall(client.h2.data_to_send())
            server.wait_until("the step began", (tmp_path / "x.began").exists)
            with Http2(server.port) as later:
                silent(later)
                assert later.farewell()
            server.send()
            server.wait_until("the port is closed", lambda: refuses(server))
            client.settled()
            client.ask(5, b"/v2/health/live")
            assert client.until(5, h2.events.StreamReset).error_code == h2.errors.ErrorCodes.REFUSED_STREAM
            (tmp_path / "x.go").touch()
            assert client.body(3) == b'{"predictions":"x"}'
            assert client.farewell()
            assert server.wait() == 0
        assert "grace period is over" not in server.stderr


def test_the_first_of_all_that_comes_beside_a_stop_is_answered_and_does_not_hold_it_up(tmp_path):
    """While what HTTP/2 needs is imported for it."""
    files = {"app.py": APP, "echo.yaml": FILES["echo.yaml"]}
    with serving(tmp_path, files, "--grace", "30s", graphs=["echo.yaml"]) as server:
        with Http2(server.port) as client:
            client.ask(1, b"/v2/health/live")
            server.send()
            assert client.body(1) == b'{"live":true}'
            assert client.farewell()
            assert server.wait() == 0
        assert "grace period is over" not in server.stderr


@pytest.mark.parametrize(
    "fields",
    [
        b"upgrade: h2c\r\n",
        b"upgrade: h2c\r\nconnection: upgrade\r\n",
        b"upgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
        b"upgrade: h2c\r\nconnection: upgrade\r\nhttp2-settings: AAMAAABk\r\nhttp2-settings: AAMAAABk\r\n",
        b"upgrade: h2c\r\nconnection: upgrade\r\nhttp2-settings: A\r\n",
    ],
    ids=["bare", "no settings", "not named in connection", "settings twice", "settings that are none"],
)
def test_an_upgrade_to_h2c_that_is_none_is_a_request_like_any_other(server, fields):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as wire:
        for _ in range(2):
            wire.sendall(b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\n" + fields + b"\r\n")
            answer = b""
            while not answer.endswith(b'{"live":true}'):
                data = wire.recv(65536)
                assert data, answer
                answer += data
            assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("said", [b"", b"\x16\x03"])
def test_a_client_that_never_shakes_hands_does_not_hold_up_a_stop(tmp_path, certificate, said):
    files = {"app.py": APP, "echo.yaml": FILES["echo.yaml"]}
    with serving(tmp_path, files, "--grace", "30s", *certificate, graphs=["echo.yaml"]) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as silent:
            silent.sendall(said)
            # The server has accepted it once it answers another that came later.
            with server.client(verify=False) as other:
                assert other.get("/v2/health/live").status_code == 200
            assert server.stop() == 0
        assert "grace period is over" not in server.stderr

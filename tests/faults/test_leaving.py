"""Clients that leave at every point of a request, in every protocol, quietly and with a reset: nothing of it stays."""

from __future__ import annotations

import itertools
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from tests.faults.models import FILES, GRAPHS, asked, queued
from tests.fuzz.http1 import Wire
from tests.fuzz.target import descriptors, unharmed
from tests.server.http2 import Http2
from tests.serving import Server
from tests.tls import secured, trusting

pytestmark = pytest.mark.slow
_NUMBERS = itertools.count()
_BEHIND = b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\n\r\n"


@pytest.fixture(scope="module", params=["plain", "TLS"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("leaving")
    flags = secured(folder) if request.param == "TLS" else ()
    with unharmed(folder, FILES, *flags, graphs=GRAPHS) as running:
        # Loads what HTTP/2 needs, and whatever stays open once it is loaded.
        with Http2(running.port, secure=bool(flags)) as client:
            client.ask(1, b"/v2/health/live")
            assert client.body(1) == b'{"live":true}'
        yield running
    # That is said of what is no HTTP; to leave is nothing that a log tells.
    assert "a connection broke" not in running.stderr


@dataclass(frozen=True, slots=True)
class Point:
    """Where in a request its client leaves. ``sent`` by it; ``reached``: the file that says so, or a reply's begin."""

    sent: Callable[[str], bytes]
    began: str = ""
    hears: bool = False
    after: str = ""
    """The file that says that nobody works on it any more."""
    goes: bool = False
    """What runs in a thread ends only when it is told to."""


def _text(model: str) -> Callable[[str], bytes]:
    return lambda name: asked(model, f'"{name}"')


POINTS = {
    "before a byte": Point(lambda _: b""),
    "in the head": Point(lambda _: asked("echo", "[1, 2]")[:40]),
    "with what is no head": Point(lambda _: b"GET /v2/health/live HTTP/1.1\r\nx\r\n\r\n"),
    "in the body": Point(lambda _: asked("single", "[1, 2]", length=100)),
    "while a step waits": Point(_text("wait"), began="began", after="cancelled"),
    "while a step computes": Point(_text("block"), began="began", goes=True),
    "while a large reply is sent": Point(lambda _: asked("large", "40000000"), hears=True),
    "before a stream goes on": Point(_text("told"), hears=True, after="over"),
    "in a stream that floods it": Point(_text("flood"), hears=True, after="over"),
}
WAYS = ["closes", "resets", "closes, asked more", "resets, asked more"]


def leave(wire: socket.socket, *, resets: bool) -> None:
    if resets:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.close()


def is_secure(server: Server) -> bool:
    return server.url.startswith("https")


def still_serves(server: Server, files: int) -> None:
    """Everybody else, and nothing is left of who was there."""
    ask = partial(server.post, "/v1/models/single:predict", {"instances": [[1, 2]]})
    server.wait_until("its place is free", lambda: ask().json() == {"predictions": [[1, 2]]})
    if sys.platform == "linux":
        server.wait_until("the connection is closed", lambda: descriptors(server) <= files)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("point", POINTS)
def test_a_client_that_leaves_takes_its_request_along(server, point, way):
    name, where = f"x{next(_NUMBERS)}", POINTS[point]
    files = descriptors(server) if sys.platform == "linux" else 0
    with Wire(server.port, tls=is_secure(server)) as wire:
        wire.send(where.sent(name) + (_BEHIND * 50 if "more" in way else b""))
        if where.began:
            server.wait_until("the step began", (server.folder / f"{name}.{where.began}").exists)
        if where.hears:
            wire.hear()
        if "resets" in way:
            wire.reset()
    if where.after:
        server.wait_until("the step ended", (server.folder / f"{name}.{where.after}").exists)
    if where.goes:
        (server.folder / f"{name}.go").touch()
    still_serves(server, files)


@pytest.mark.parametrize("resets", [False, True], ids=["closes", "resets"])
@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
def test_one_that_leaves_with_the_last_of_its_body_does_too(server, chunked, resets):
    """What it sent last and its end may be seen in either order."""
    files = descriptors(server) if sys.platform == "linux" else 0
    for _ in range(5):
        name = f"x{next(_NUMBERS)}"
        request = asked("wait", f'"{name}"')
        if chunked:
            head, _, body = request.partition(b"\r\n\r\n")
            coding = b"transfer-encoding: chunked\r\n"
            request = head[: head.index(b"content-length")] + coding + b"\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        with Wire(server.port, tls=is_secure(server)) as wire:
            wire.send(request[:-9])
            assert server.get("/v2/health/live").status_code == 200, "the server has seen the first of it"
            wire.send(request[-9:])
            if resets:
                server.wait_until("the step began", (server.folder / f"{name}.began").exists)
                wire.reset()
        began, cancelled = server.folder / f"{name}.began", server.folder / f"{name}.cancelled"
        server.wait_until("it ended", lambda began=began, over=cancelled: over.exists() or not began.exists())
    still_serves(server, files)


HTTP2 = {
    name: where
    for name, where in POINTS.items()
    if name not in ("before a byte", "in the head", "with what is no head")
}


@pytest.mark.parametrize("way", ["closes", "resets", "takes it back"])
@pytest.mark.parametrize("point", HTTP2)
def test_one_that_speaks_http2_does_too(server, point, way):
    name, where = f"x{next(_NUMBERS)}", HTTP2[point]
    files = descriptors(server) if sys.platform == "linux" else 0
    head, _, body = where.sent(name).partition(b"\r\n\r\n")
    with Http2(server.port, secure=is_secure(server)) as client:
        client.ask(1, head.split()[1], b"POST", end=False)
        client.h2.send_data(1, body, end_stream=point != "in the body")
        client.wire.sendall(client.h2.data_to_send())
        client.settled()
        if where.began:
            server.wait_until("the step began", (server.folder / f"{name}.{where.began}").exists)
        if where.hears:
            client.status(1)
        if way == "takes it back":
            client.h2.reset_stream(1)
            client.wire.sendall(client.h2.data_to_send())
            client.events.clear()
            client.settled()
            client.ask(3, b"/v2/health/live")
            # Its body may have no room any more in the window of the connection, which the flood has filled.
            assert client.status(3) == b"200"
        else:
            leave(client.wire, resets=way == "resets")
        if where.after:
            server.wait_until("the step ended", (server.folder / f"{name}.{where.after}").exists)
        if where.goes:
            (server.folder / f"{name}.go").touch()
    still_serves(server, files)


@pytest.mark.parametrize("speaks", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("resets", [False, True], ids=["closes", "resets"])
def test_one_that_leaves_the_queue_makes_room_in_it(server, speaks, resets):
    """One is inside and one may wait: whoever is a third is refused, until the second leaves."""
    inside, waits = f"x{next(_NUMBERS)}", f"x{next(_NUMBERS)}"
    secure = is_secure(server)
    with Wire(server.port, tls=secure) as first:
        first.send(asked("narrow", f'"{inside}"'))
        server.wait_until("the first is inside", (server.folder / f"{inside}.began").exists)
        for _ in range(3):
            if speaks == "HTTP/1.1":
                second = Wire(server.port, tls=secure)
                second.send(asked("narrow", f'"{waits}"') + _BEHIND)
            else:
                second = Http2(server.port, secure=secure)
                head, _, body = asked("narrow", f'"{waits}"').partition(b"\r\n\r\n")
                second.ask(1, head.split()[1], b"POST", end=False)
                second.h2.send_data(1, body, end_stream=True)
                second.wire.sendall(second.h2.data_to_send())
            server.wait_until("the queue is full", lambda: queued(server, 1))
            assert server.post("/v1/models/narrow:predict", {"instances": [waits]}).status_code == 503
            with second:
                if resets:
                    second.reset() if isinstance(second, Wire) else leave(second.wire, resets=True)
            server.wait_until("it has room again", lambda: queued(server, 0))
        (server.folder / f"{inside}.go").touch()
        assert first.answer("POST").body == b'{"predictions":"%s"}' % inside.encode()
    assert not (server.folder / f"{waits}.began").exists()


@pytest.mark.parametrize("model", ["wait", "told"])
def test_one_that_is_done_sending_and_waits_is_answered_but_for_tls(server, model):
    """There half a connection is closed by nobody who waits."""
    name = f"x{next(_NUMBERS)}"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain:
        wire = trusting().wrap_socket(plain) if is_secure(server) else plain
        with wire:
            wire.sendall(asked(model, f'"{name}"'))
            if model == "wait":
                server.wait_until("the step began", (server.folder / f"{name}.began").exists)
            else:
                assert wire.recv(1)
            if is_secure(server):
                socket.socket.shutdown(wire, socket.SHUT_WR)
                over = server.folder / f"{name}.{'cancelled' if model == 'wait' else 'over'}"
                server.wait_until("the step ended", over.exists)
                return
            wire.shutdown(socket.SHUT_WR)
            assert server.get("/v2/health/live").status_code == 200
            (server.folder / f"{name}.go").touch()
            answer = b""
            while data := wire.recv(65536):
                answer += data
            assert answer.endswith(b"0\r\n\r\n" if model == "told" else b'{"predictions":"%s"}' % name.encode())


def test_models_that_all_of_them_left_can_be_unloaded(server):
    """An unload waits for every request that is inside."""
    for name in ("wait", "block", "narrow", "large", "told", "flood"):
        assert server.post(f"/v2/repository/models/{name}/unload").status_code == 200, name

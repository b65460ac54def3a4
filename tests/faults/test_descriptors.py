"""No descriptor is free: nobody is lost who is here, who waits is accepted later, and the process does not run hot."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.models import FILES
from tests.serving import Server, serving

_FEW = 64
_LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); from server.cli import main; main()"
_LIVE = b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\n\r\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, FILES, graphs=["echo.yaml"], command=(sys.executable, "-c", _LIMITED)) as one:
        yield one


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


def alive(wire: socket.socket, asked: bytes = _LIVE) -> bool:
    wire.sendall(asked)
    answer = b""
    while not answer.endswith(b'{"live":true}'):
        data = wire.recv(65536)
        if not data:
            return False
        answer += data
    return True


def cpu(server: Server) -> int:
    """Ticks of the clock that the process has had a CPU for."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_who_waits_for_a_descriptor_is_served_once_others_end_and_those_who_are_here_all_the_while(server):
    """All of those who are here are in the middle of a head, so that none is idle and could go."""
    busy = [connect(server) for _ in range(_FEW)]
    for wire in busy:
        wire.sendall(_LIVE[:-2])
    server.wait_for_log("connections wait to be accepted until others end")
    before = cpu(server)
    waiting = [connect(server) for _ in range(200)]
    for wire in busy[:10]:
        assert alive(wire, _LIVE[-2:])
        wire.sendall(_LIVE[:-2])
    # It looks ten times a second whether one is free: what that costs is nothing beside a loop that never waits.
    assert cpu(server) - before < 50
    for wire in [*busy, *waiting[:-1]]:
        wire.close()
    assert alive(waiting[-1])
    waiting[-1].close()
    assert server.get("/v2/health/live").status_code == 200
    server.wait_for_log("connections are accepted again")
    assert server.stderr.count("connections wait to be accepted") == 1
    assert "Traceback" not in server.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_those_who_have_been_idle_for_longest_make_room_for_who_waits(server):
    first = connect(server)
    assert alive(first)
    idle = [connect(server) for _ in range(300)]
    # None of them is ever closed by its client, and their idle time is longer than this test.
    with connect(server) as last:
        assert alive(last)
    assert server.get("/v2/health/live").status_code == 200
    assert "Traceback" not in server.stderr
    for wire in [first, *idle]:
        wire.close()

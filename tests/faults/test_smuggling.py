"""Requests that two readers could read in two ways, over a real socket: refused; what they hide stays hidden."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.conformance.zoo import APP, FILES
from tests.faults.smuggling import BEHIND, CASES, Case
from tests.fuzz.http1 import Wire
from tests.fuzz.target import unharmed
from tests.serving import Server

_SCRIPT = """
from pipeline_serve import Pipeline
from pipeline_serve.kserve import ModelServer

class Passes:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)

if __name__ == "__main__":
    server = ModelServer()
    server.app.add_middleware(Passes)
    server.start([Pipeline.from_file("echo.yaml")])
"""
_COMMANDS = {
    "by itself": ("-m", "pipeline_serve", "echo.yaml"),
    "behind a middleware": ("script.py",),
}


@pytest.fixture(scope="module", params=_COMMANDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    files = {"app.py": APP, "echo.yaml": FILES["echo.yaml"], "script.py": _SCRIPT}
    command = (sys.executable, *_COMMANDS[request.param])
    with unharmed(tmp_path_factory.mktemp("smuggling"), files, graphs=[], command=command) as running:
        yield running


def answers(server: Server, *pieces: bytes) -> list[tuple[int, str]]:
    """(status, whose request it was) of every reply, until the server closes; it does, for the client is done."""
    found = []
    with Wire(server.port) as wire:
        for piece in pieces:
            wire.send(piece)
        wire.half_close()
        while (answer := wire.answer("GET")) is not None:
            known_as = answer.headers.get("x-request-id")
            # What is refused has an id of the server's.
            found.append((answer.status, known_as if known_as in {"hidden", "behind"} else "first"))
    return found


def expected(case: Case) -> list[tuple[int, str]]:
    first = (case.status, "first")
    return [first, *[(200, "hidden")] * case.hidden, (200, "behind")] if case.lives else [first]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_could_be_two_requests_is_none_and_what_is_behind_is_answered_once_or_never(server, case):
    assert answers(server, case.sent + BEHIND) == expected(case), case.rule


def test_it_makes_no_difference_in_which_pieces_it_comes(server):
    for case in CASES:
        if len(case.sent) < 400:
            at = len(case.sent) // 2
            pieces = case.sent[:at], case.sent[at : at + 1], case.sent[at + 1 :]
            assert answers(server, *pieces, BEHIND) == expected(case), case.name


def test_http2_begins_with_a_connection_or_not_at_all(server):
    """RFC 9113, 3.3: what follows a request in it is no preface."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    assert answers(server, BEHIND + preface) == [(200, "behind"), (505, "first")]

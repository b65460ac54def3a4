"""What the servers of these tests serve: the zoo's models that wait, and replies that are large or never end."""

from __future__ import annotations

from collections.abc import Mapping

from tests.conformance import zoo
from tests.serving import Server

_PARTS = '''
from pathlib import Path

import trio
from pipeline_serve import Raw

HERE = Path(__file__).parent


def large(size: int) -> Raw:
    return Raw(b"x" * size)


async def told(name: str) -> Raw:
    """A part at once, and the last one when it is told to go on."""
    return Raw(_told(name))


async def _told(name):
    try:
        yield b"first"
        while not (HERE / f"{name}.go").exists():
            await trio.sleep(0.002)
        yield b"last"
    finally:
        (HERE / f"{name}.over").touch()


async def flood(name: str) -> Raw:
    return Raw(_flood(name))


async def _flood(name):
    try:
        while True:
            yield b"x" * 2**20
    finally:
        (HERE / f"{name}.over").touch()
'''
FILES: Mapping[str, str] = {
    "app.py": zoo.APP,
    "parts.py": _PARTS,
    **{name: zoo.FILES[name] for name in ("echo.yaml", "wait.yaml", "block.yaml", "narrow.yaml")},
    "single.yaml": "limit: 1\nsteps: {answer: app.py:echo}",
    "large.yaml": "steps: {large: parts.py:large}",
    "told.yaml": "steps: {told: parts.py:told}",
    "flood.yaml": "steps: {flood: parts.py:flood}",
}
GRAPHS = tuple(name for name in FILES if name.endswith(".yaml"))


def queued(server: Server, count: int) -> bool:
    """Whether so many wait for a place in the model ``narrow``, of which one may."""
    return f'requests_queued{{model_name="narrow"}} {count}.0\n' in server.get("/metrics").text


def asked(model: str, instance: str, *lines: bytes, length: int | None = None) -> bytes:
    """A request to predict; ``length``: of the body, where that is not what it says."""
    body = b'{"instances": [%s]}' % instance.encode()
    size = len(body) if length is None else length
    head = b"POST /v1/models/%s:predict HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n" % (model.encode(), size)
    return head + b"".join(b"%s\r\n" % line for line in lines) + b"\r\n" + body

"""An abusive connection, and others beside it that must not notice: one idle, one half asked, one in a step."""

from __future__ import annotations

import json
import ssl
from collections import Counter

from tests.fuzz.connections import Script, script
from tests.fuzz.exchange import Finding
from tests.fuzz.http1 import Malformed, Wire
from tests.serving import Server

_BODY = b'{"instances": [[1, 2]]}'
_POST = b"POST /v1/models/%s:predict HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n"
_ASKED = _POST % (b"echo", len(_BODY)) + _BODY
_ANSWER = b'{"predictions":[[1.0,2.0]]}'


class Witnesses:
    """Plays scripts against a server, and against one of TLS where there is one, beside connections of its own.

    ``name``: of the request that is in a step all the while; nobody else's.
    """

    def __init__(self, server: Server, secure: Server | None, name: str) -> None:
        self.played: Counter[str] = Counter()
        self._server = server
        self._ports = {"plain": server.port, "tls": secure.port if secure else 0}
        self._has_tls = secure is not None
        self._idle = Wire(server.port)
        self._waiting = Wire(server.port)
        self._name = name
        body = json.dumps({"instances": [name]}).encode()
        self._waiting.send(_POST % (b"wait", len(body)) + body)
        server.wait_until(f"{name} began", (server.folder / f"{name}.began").exists)

    def run(self, seed: int) -> None:
        """Raises Finding."""
        made = script(seed, has_tls=self._has_tls)
        self.played[made.name] += 1
        try:
            with Wire(self._server.port) as half:
                half.send(_ASKED[:-5])
                self._play(made)
                half.send(_ASKED[-5:])
                self._expect(half, "the request that was in flight")
            self._idle.send(_ASKED)
            self._expect(self._idle, "the connection that was open")
        except (Finding, Malformed, OSError) as error:
            raise Finding(f"seed {seed}: {type(error).__name__}: {error}\n{_shown(made)}") from error

    def close(self) -> None:
        """The request that was in a step all the while gets its answer. Raises Finding where it does not."""
        (self._server.folder / f"{self._name}.go").touch()
        answer = self._waiting.answer("POST")
        if answer is None or answer.body != b'{"predictions":"%s"}' % self._name.encode():
            raise Finding(f"the request that was in a step all the while was answered {answer}")
        self._waiting.__exit__()
        self._idle.__exit__()

    @staticmethod
    def _expect(wire: Wire, what: str) -> None:
        answer = wire.answer("POST")
        if answer is None or (answer.status, answer.body) != (200, _ANSWER):
            raise Finding(f"{what} was answered {answer}")

    def _play(self, made: Script) -> None:
        try:
            wire = Wire(self._ports[made.port], tls=made.tls)
        except ssl.SSLError as error:
            raise Finding(f"no handshake: {error}") from error
        with wire:
            for step in made.steps:
                match step:
                    case "reset":
                        wire.reset()
                        return
                    case "half-close":
                        wire.half_close()
                    case "hear":
                        wire.hear()
                    case _:
                        wire.send(step)
            # A client that is done is not waited for: the connection ends, whatever was in it.
            wire.half_close()
            wire.rest()


def _shown(made: Script) -> str:
    steps = [
        step if not isinstance(step, bytes) or len(step) < 600 else step[:600] + b"..." for step in made.steps[:40]
    ]
    return f"the script {made.name!r} on the {made.port} port{' in TLS' if made.tls else ''}: {steps}"

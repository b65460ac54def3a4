"""One mutated request, sent and judged, and a valid one right after it."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable

from tests.fuzz.corpus import requests
from tests.fuzz.http1 import Answer, Malformed, Wire
from tests.fuzz.mutate import Sent, mutation, plain

# Names and values of the caller are cut to 40 characters each in an error; a few of them stand in one.
_LONGEST_ERROR = 1000
# What is said of what is no HTTP alone, and ends the connection; 501 is explain's too, 504 that of a time that is over.
_OF_THE_CONNECTION = {414, 417, 431, 505}
_ALLOWED = {200, 400, 404, 405, 413, 415, 501, 504}


class Finding(AssertionError):
    """The server did what it must not; the text has the seed and the request."""


class Exchanges:
    """Mutated requests, one after the other, over one connection for as long as it lives."""

    def __init__(self, port: int) -> None:
        self.statuses: Counter[str] = Counter()
        self.reused = 0
        """Valid requests that were answered on the connection of the wrong one before them."""
        self._port = port
        self._wire = Wire(port)

    def close(self) -> None:
        self._wire.__exit__()

    def run(self, seed: int) -> None:
        """Raises Finding."""
        sent = mutation(seed)
        try:
            self._mutated(sent)
            self._valid(seed, sent.marker)
        except (Finding, Malformed, TimeoutError) as error:
            raise Finding(f"seed {seed}: {type(error).__name__}: {error}\n{_shown(sent)}") from error

    def _mutated(self, sent: Sent) -> None:
        whole = self._wire.send(sent.data)
        if sent.framed:
            answer = self._wire.answer(sent.method)
            if answer is None:
                raise Finding("no reply to a whole request")
            self._judge(answer, sent)
            if not answer.closes and whole:
                return
        else:
            self._wire.half_close()
            while (answer := self._wire.answer(sent.method)) is not None:
                self._judge(answer, sent)
            self.statuses["closed"] += 1
        self._renew()

    def _renew(self) -> None:
        self._wire.half_close()
        if rest := self._wire.rest():
            raise Finding(f"{len(rest)} bytes follow a reply that closes: {rest[:200]!r}")
        self._wire.__exit__()
        self._wire = Wire(self._port)

    def _judge(self, answer: Answer, sent: Sent) -> None:
        self.statuses[str(answer.status)] += 1
        if "x-request-id" not in answer.headers:
            raise Finding(f"a reply of nobody: {answer}")
        if answer.status not in _ALLOWED and (answer.status not in _OF_THE_CONNECTION or not answer.closes):
            raise Finding(f"status {answer.status}: {answer.body[:500]!r}")
        if answer.status == 200 or sent.method == "HEAD":
            return
        if answer.headers.get("content-type") != "application/json":
            raise Finding(f"an error that is no JSON: {answer}")
        error = json.loads(answer.body)
        if list(error) != ["error"] or not isinstance(error["error"], str) or not error["error"]:
            raise Finding(f"no error in KServe's form: {answer.body[:500]!r}")
        if len(error["error"]) > _LONGEST_ERROR:
            raise Finding(f"an error of {len(error['error'])} characters: {error['error'][:500]}")
        if sent.marker in error["error"]:
            raise Finding(f"the error echoes the body: {error['error'][:500]}")

    def _valid(self, seed: int, marker: str) -> None:
        """What is asked right after is answered to the byte, on the same connection where that lives."""
        request = random.Random(seed).choice(requests(marker))
        self._wire.send(plain(request).data)
        answer = self._wire.answer(request.method)
        if answer is None:
            raise Finding(f"the connection is closed, and no reply said so; then {request.method} {request.path}")
        if (answer.status, answer.body) != (request.status, request.answer):
            raise Finding(f"then {request.method} {request.path} was answered {answer}, not {request.answer!r}")
        self.reused += 1


def run_all(port: int, seeds: range, found: Callable[[str], None]) -> Exchanges:
    """Every seed, until one is a finding; ``found`` is told it."""
    exchanges = Exchanges(port)
    for seed in seeds:
        try:
            exchanges.run(seed)
        except (Finding, OSError) as error:
            found(str(error) if isinstance(error, Finding) else f"seed {seed}: {error!r}")
            break
    exchanges.close()
    return exchanges


def _shown(sent: Sent) -> str:
    cut = f" … {len(sent.data)} bytes in all" if len(sent.data) > 4000 else ""
    return f"the request, {'framed' if sent.framed else 'not framed'}: {sent.data[:4000]!r}{cut}"

"""The head of an HTTP/1.1 reply, as bytes."""

from __future__ import annotations

import time
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""All that may come before a reply: a client may wait for it, and none minds it (RFC 9110, 15.2)."""
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_NO_CONTENT, _NOT_MODIFIED = 204, 304


class Today:
    """The ``date`` of replies (RFC 9110, 6.6.1), written anew once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._line = ""

    def line(self) -> str:
        now = int(time.time())
        if now != self._second:
            self._second, self._line = now, f"date: {formatdate(now, usegmt=True)}\r\n"
        return self._line


def reply_head(status: int, fields: Iterable[tuple[str, str]], date: str, *, framing: str) -> bytes:
    """``framing``: the lines that say how the body ends, and whether the connection does.

    A 204 has no body whose length it may tell; what a 304 tells is of what it stands for (RFC 9110, 8.6).
    """
    if status in (_NO_CONTENT, _NOT_MODIFIED):
        untold = "content-type" if status == _NOT_MODIFIED else "content-length"
        fields = [field for field in fields if field[0] != untold]
        framing = "".join(line for line in framing.splitlines(keepends=True) if not line.startswith("content-length"))
    head = f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n"
    for name, value in fields:
        head += f"{name}: {value}\r\n"
    return f"{head}{framing}{date}\r\n".encode("latin-1")

"""A connection as others see it: what it is at, since when, and how it is ended.

Who watches clients and who watches the clock look at every connection of a worker; the connection's own task does not
wait for them, and tells them what it is at by plain attributes, which cost a request nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import trio


class Phase(enum.Enum):
    """What a connection is at."""

    SHAKE = "TLS comes about"
    IDLE = "nothing was asked, or all is answered"
    HEAD = "a head is coming"
    BODY = "a body is coming"
    WORK = "an answer is being made"
    SEND = "a reply is being sent"
    LINGER = "what a client still sends is dropped"
    OTHER = "another protocol has its own clock"


class Moving(Protocol):
    """What moves bytes, and counts them."""

    received: int
    sent: int

    def has_more(self) -> bool:
        """Whether something has come that was not received yet, as far as can be told."""
        ...


class Connected:
    """One connection. ``scope`` holds all that it does, and is cancelled when its client has left."""

    __slots__ = (
        "_wait",
        "done_sending",
        "last",
        "look",
        "moved",
        "moving",
        "overdue",
        "owed",
        "phase",
        "scope",
        "since",
    )

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.phase = Phase.IDLE
        self.since: float | None = None
        """When the phase was seen first, by who watches the clock; None where it was not seen yet."""
        self.moving: Moving | None = None
        self.moved = 0
        """The bytes that had moved by then."""
        self.owed = 0
        """Bytes of the reply that is being sent, which are kept until it is."""
        self._wait: trio.CancelScope | None = None
        self.overdue = False
        """Whether it was ended because the time of its phase was over."""
        self.last = False
        """Whether it ends with its next reply: its client wants that, or the server stops."""
        self.done_sending = False
        self.look: Callable[[], None] | None = None
        """Sends what a client that has left answers with a reset. Raises OSError where it is known already."""

    @property
    def is_new(self) -> bool:
        """Whether nothing has come from the client yet."""
        return self.moving is None or not self.moving.received

    def enter(self, phase: Phase) -> None:
        self.phase, self.since = phase, None

    @contextmanager
    def waiting(self) -> Iterator[trio.CancelScope]:
        """What is in it is all that ends once the time of its phase is over, where the connection goes on to say so."""
        with trio.CancelScope() as wait:
            self._wait = wait
            try:
                yield wait
            finally:
                self._wait = None

    def expire(self) -> None:
        """The time of its phase is over: that ends what waits in it, or the connection where nothing does."""
        if self._wait is not None:
            self._wait.cancel()
            return
        self.overdue = True
        self.scope.cancel()

    def told(self, *, gone: bool) -> None:
        """Its client sends no more; ``gone``: and reads no more, or the connection is broken."""
        if gone:
            self.scope.cancel()
            return
        self.done_sending = True
        if self.phase is Phase.WORK:
            self.look_for_client()

    def look_for_client(self) -> None:
        """The client may have left, or may wait for its answer: what is asked shows it."""
        if self.look is not None:
            try:
                self.look()
            except OSError:
                self.scope.cancel()

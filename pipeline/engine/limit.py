"""How many may be inside at once, and how many may wait: for a step, and for a whole graph.

trio's CapacityLimiter has no bound on its queue and cannot be taken from a worker thread; this one has and can. A token
is given back by whoever really ends the work, a thread included, so a limit tells the truth about abandoned threads.
Tasks wait for one, and work for a thread does, which needs no task for that.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

import trio

from pipeline.engine.soon import in_trio
from pipeline.errors import Overloaded


class Waiter(Protocol):
    """What stands in a queue."""

    given: bool
    """Whether it has a token. The limit's to write."""

    def wake(self) -> None:
        """It has a token from now on. In whatever thread gave it."""
        ...


class Limit:
    """``total`` tokens (math.inf: no bound) and a first-come queue of ``queue`` waiters.

    ``acquire`` belongs to the loop; the other methods may be called from any thread.
    """

    def __init__(
        self,
        what: str,
        total: float,
        queue: float,
        *,
        on_wait: Callable[[], None] | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        """``tokens``: those of another limit of the same total, which takes them too."""
        self.what = what
        self.total = total
        self.queue = queue
        self.tokens = Tokens() if tokens is None else tokens
        self._on_wait = on_wait

    def __repr__(self) -> str:
        return f"<Limit {self.what}: {self.taken} of {self.total} taken, {self.waiting} of {self.queue} waiting>"

    @property
    def taken(self) -> int:
        return self.tokens.taken

    @property
    def waiting(self) -> int:
        return len(self.tokens.waiters)

    def try_acquire(self) -> bool:
        """A token where one is free and nobody waits for it; never blocks."""
        tokens = self.tokens
        with tokens.lock:
            # While somebody waits no token is free: release hands it on.
            if tokens.taken >= self.total:
                return False
            tokens.taken += 1
            return True

    async def acquire(self) -> None:
        """A token, in order of asking. Raises Overloaded at once where the queue is full.

        Cancelled while waiting, it leaves the queue; a token that was already on its way is passed on.
        """
        if self.try_acquire():
            return
        waiter = _Waiting(trio.lowlevel.current_trio_token())
        if self.stand(waiter):
            return
        try:
            self.tell_of_waiting()
            await waiter.event.wait()
        except BaseException:
            if not self.leave(waiter):
                self.release()
            raise

    def stand(self, waiter: Waiter) -> bool:
        """Whether there is a token for it now; else it stands in the queue, and is woken when it has one.

        Raises Overloaded where the queue is full.
        """
        tokens = self.tokens
        with tokens.lock:
            if tokens.taken < self.total:
                tokens.taken += 1
                waiter.given = True
                return True
            if len(tokens.waiters) >= self.queue:
                raise Overloaded(self.what)
            tokens.waiters.append(waiter)
            return False

    def leave(self, waiter: Waiter) -> bool:
        """Whether it stood in the queue, and has left it; else it has a token, which is its own to give back."""
        with self.tokens.lock:
            if not waiter.given:
                self.tokens.waiters.remove(waiter)
            return not waiter.given

    def tell_of_waiting(self) -> None:
        """Somebody stands in the queue. Raises what the observer does."""
        if self._on_wait is not None:
            self._on_wait()

    def keep(self) -> None:
        """The next token that is given back stays taken: for work that nobody waits for, and which gives it back."""
        with self.tokens.lock:
            self.tokens.kept += 1

    def release(self) -> None:
        """Gives a token back, to the first waiter where there is one."""
        first = self.hand_on()
        if first is not None:
            first.wake()

    def hand_on(self) -> Waiter | None:
        """As ``release``, but the waiter that has the token now is the caller's to wake."""
        tokens = self.tokens
        with tokens.lock:
            if tokens.kept:
                # Whose it was makes no difference.
                tokens.kept -= 1
                return None
            if not tokens.waiters:
                tokens.taken -= 1
                return None
            first = tokens.waiters.popleft()
            first.given = True
            return first


class Tokens:
    """How many are taken, how many of these are kept, and who waits for one."""

    __slots__ = ("kept", "lock", "taken", "waiters")

    def __init__(self) -> None:
        self.taken = 0
        self.kept = 0
        self.waiters: deque[Waiter] = deque()
        self.lock = threading.Lock()


class _Waiting:
    """A task."""

    __slots__ = ("_token", "event", "given")

    def __init__(self, token: trio.lowlevel.TrioToken) -> None:
        self.event = trio.Event()
        self.given = False
        self._token = token

    def wake(self) -> None:
        if _on_loop(self._token):
            self.event.set()
            return
        # The loop may have ended before an abandoned thread did.
        in_trio(self._token, self.event.set)


def _on_loop(token: trio.lowlevel.TrioToken) -> bool:
    try:
        return trio.lowlevel.current_trio_token() is token
    except RuntimeError:
        return False

"""How many may be inside at once, and how many may wait: for a step, and for a whole graph.

trio's CapacityLimiter has no bound on its queue and cannot be taken from a worker thread; this one has and can. A token
is given back by whoever really ends the work, a thread included, so a limit tells the truth about abandoned threads.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import trio

from pipeline.errors import Overloaded


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
        tokens = self.tokens
        with tokens.lock:
            if tokens.taken < self.total:
                tokens.taken += 1
                return
            if len(tokens.waiters) >= self.queue:
                raise Overloaded(self.what)
            waiter = _Waiter(trio.lowlevel.current_trio_token())
            tokens.waiters.append(waiter)
        try:
            if self._on_wait is not None:
                self._on_wait()
            await waiter.event.wait()
        except BaseException:
            with tokens.lock:
                given = waiter.given
                if not given:
                    tokens.waiters.remove(waiter)
            if given:
                self.release()
            raise

    def keep(self) -> None:
        """The next token that is given back stays taken: for work that nobody waits for, and which gives it back."""
        with self.tokens.lock:
            self.tokens.kept += 1

    def release(self) -> None:
        """Gives a token back, to the first waiter where there is one."""
        tokens = self.tokens
        with tokens.lock:
            if tokens.kept:
                # Whose it was makes no difference.
                tokens.kept -= 1
                return
            if not tokens.waiters:
                tokens.taken -= 1
                return
            waiter = tokens.waiters.popleft()
            waiter.given = True
        waiter.wake()


class Tokens:
    """How many are taken, how many of these are kept, and who waits for one."""

    __slots__ = ("kept", "lock", "taken", "waiters")

    def __init__(self) -> None:
        self.taken = 0
        self.kept = 0
        self.waiters: deque[_Waiter] = deque()
        self.lock = threading.Lock()


class _Waiter:
    __slots__ = ("_token", "event", "given")

    def __init__(self, token: trio.lowlevel.TrioToken) -> None:
        self.event = trio.Event()
        self.given = False
        self._token = token

    def wake(self) -> None:
        if _on_loop(self._token):
            self.event.set()
            return
        try:
            self._token.run_sync_soon(self.event.set)
        except trio.RunFinishedError:
            # The loop ended before an abandoned thread did; nobody waits any more.
            return


def _on_loop(token: trio.lowlevel.TrioToken) -> bool:
    try:
        return trio.lowlevel.current_trio_token() is token
    except RuntimeError:
        return False

"""The access log: a call that ended is kept where it ends, and has its line a moment later, beside the requests."""

from __future__ import annotations

import trio

from server.access import Answered
from server.log import answered
from server.sampling import Sampler

# To a person who watches it is now; to the loop it is one task that wakes up, for all calls since.
_PAUSE = 0.05
# A line takes some 20 µs.
_AT_ONCE = 16


class AccessLog:
    """Called with each call that ended. ``rate``: lines per second from which on it is sampled."""

    def __init__(self, form: str | None, rate: float) -> None:
        self._form = form
        self._sampler = Sampler(rate)
        self._chosen: list[tuple[Answered, int]] = []
        self._some = trio.Event()

    def __call__(self, event: Answered) -> None:
        # Now: what is kept for nothing but to be dropped takes the room of what the next call needs in the caches.
        stands_for = self._sampler.stands_for(event.status, event.when)
        if stands_for:
            if not self._chosen:
                self._some.set()
            self._chosen.append((event, stands_for))

    async def write(self) -> None:
        """Writes until it is cancelled; then what is left too."""
        try:
            while True:
                await self._some.wait()
                await trio.sleep(_PAUSE)
                for at, (event, stands_for) in enumerate(self._taken(), start=1):
                    answered(event, self._form, stands_for)
                    if not at % _AT_ONCE:
                        await trio.lowlevel.cancel_shielded_checkpoint()
        finally:
            for event, stands_for in self._taken():
                answered(event, self._form, stands_for)

    def _taken(self) -> list[tuple[Answered, int]]:
        chosen, self._chosen, self._some = self._chosen, [], trio.Event()
        return chosen

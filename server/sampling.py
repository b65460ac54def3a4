"""Which calls have a line of their own in the access log, where there are more than anybody reads; pure."""

from __future__ import annotations

from dataclasses import dataclass

# Of those above the rate.
EACH = 100


@dataclass(slots=True)
class _Kind:
    room: float
    since: float
    full: float = 0.0
    """Until when there is no room for another line."""
    beyond: int = 0


class Sampler:
    """In each second the first ``rate`` calls of a kind have a line, and of the others each hundredth.

    A kind is the hundred of a status: errors keep their lines when the rest is sampled, and a flood of errors is a
    flood too.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._kinds: dict[int, _Kind] = {}

    def stands_for(self, status: int, now: float) -> int:
        """How many calls the line of this one stands for: 1, 100, or 0 where it has none. ``now`` in seconds."""
        kind = self._kinds.get(status // 100)
        if kind is None:
            kind = self._kinds[status // 100] = _Kind(self._rate, now)
        if not kind.since <= now < kind.full:
            # As much room as has come back since, and never more than a second's; a clock may be set back.
            kind.room = min(self._rate, kind.room + max(0.0, now - kind.since) * self._rate)
            kind.since = now
            if kind.room >= 1:
                kind.room -= 1
                return 1
            kind.full = now + (1 - kind.room) / self._rate
        kind.beyond += 1
        return 0 if kind.beyond % EACH else EACH

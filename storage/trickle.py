"""A download that never ends, though its peer is never silent: so little comes that nobody waits for it. Pure."""

from __future__ import annotations

from collections import deque

LEAST = 1024
"""Bytes a second, of all connections together."""
_LOOKS = 30


class Trickle:
    """Told how many bytes have come by when. Where none come, a silence and its tries have limits of their own."""

    def __init__(self, now: float, window: float) -> None:
        self._window = window
        self._seen = deque([(now, 0)])

    def is_one(self, moved: int, now: float) -> bool:
        """Whether in the last ``window`` seconds a few bytes came, and less than ``LEAST`` a second."""
        if now - self._seen[-1][0] >= self._window / _LOOKS:
            self._seen.append((now, moved))
        while len(self._seen) > 1 and now - self._seen[1][0] >= self._window:
            self._seen.popleft()
        since, before = self._seen[0]
        return now - since >= self._window and 0 < moved - before < LEAST * (now - since)

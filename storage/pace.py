"""A rate that pulls keep to together, beside requests of the same process."""

from __future__ import annotations

import threading
import time

from storage.source import CHUNK


class Pace:
    """``rate`` bytes a second for all threads that ``keep`` it. A smaller piece counts as a whole one, for its call."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._lock = threading.Lock()
        self._due = 0.0

    def keep(self, size: int, stop: threading.Event) -> None:
        """Waits until a piece of that size is due, or for the flag. What nobody has used before is not made up for."""
        with self._lock:
            now = time.monotonic()
            self._due = max(self._due, now) + max(size, CHUNK) / self.rate
            wait = self._due - now
        stop.wait(wait)

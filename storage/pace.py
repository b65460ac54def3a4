"""A rate that pulls keep to together, beside requests, whichever processes they run in."""

from __future__ import annotations

import fcntl
import os
import struct
import tempfile
import threading
import time
import weakref
from typing import Any

from storage.descriptors import apart

# What a piece costs apart from its bytes: of smaller ones some 2,000 a second at 128 MiB/s.
_LEAST = 2**16
_DUE = struct.Struct("d")


class Pace:
    """``rate`` bytes a second for all threads that ``keep`` it. A piece counts as 64 KiB at least, for its call.

    ``clock`` is a descriptor, of when the next piece is due: processes that are started with it, or forked from this
    one, share the rate. (Monotonic clocks are the system's, not a process's.)
    """

    def __init__(self, rate: float, clock: int | None = None) -> None:
        self.rate = rate
        self.clock = _file() if clock is None else clock
        self._lock = threading.Lock()
        if clock is None:
            weakref.finalize(self, os.close, self.clock)

    def __reduce__(self) -> Any:
        return Pace, (self.rate, self.clock)

    def keep(self, size: int, stop: threading.Event) -> None:
        """Waits until a piece of that size is due, or for the flag. What nobody has used before is not made up for."""
        with self._lock:  # the file's is between processes
            fcntl.lockf(self.clock, fcntl.LOCK_EX)
            try:
                now = time.monotonic()
                (due,) = _DUE.unpack(os.pread(self.clock, _DUE.size, 0))
                due = max(due, now) + max(size, _LEAST) / self.rate
                os.pwrite(self.clock, _DUE.pack(due), 0)
            finally:
                fcntl.lockf(self.clock, fcntl.LOCK_UN)
        stop.wait(due - now)


def _file() -> int:
    """A descriptor of a file without a name; in memory, where the system has such."""
    if hasattr(os, "memfd_create"):
        descriptor = apart(os.memfd_create("pace"))
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = apart(os.dup(file.fileno()))
    os.pwrite(descriptor, _DUE.pack(0.0), 0)
    return descriptor

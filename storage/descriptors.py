"""Descriptors that another process is given, apart from those that it has for its standard streams."""

from __future__ import annotations

import fcntl
import os

_FIRST = 3


def apart(descriptor: int) -> int:
    """The same file under a number from three on, that no ``exec`` keeps unasked; the descriptor itself is closed.

    Who was started with a standard stream closed has the next file that it opens in its place.
    """
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST)
    finally:
        os.close(descriptor)

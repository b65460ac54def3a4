"""What a process that pulls and the one that started it tell each other, through pipes of their own.

As pickles, which keep the errors' types: both ends are this code, and who could write one could write the models too.
What cannot be read is an error all the same, for what runs before us in that process may have found our pipe.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storage.errors import StorageError
from storage.events import Event
from storage.order import Limits
from storage.secret import legible
from storage.transfer import Crew

_HEAD = struct.Struct("!I")
# The largest is a job with an environment, of a few MiB where the system allows that.
_LONGEST = 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A URI that is to be in the cache ``root``, with all that leads there. ``parent``: whose death ends it."""

    uri: str
    folder: Path
    options: Mapping[str, Any]
    environment: Mapping[str, str] = field(repr=False)
    root: Path
    size: int | None
    allow: tuple[str, ...]
    ignore: tuple[str, ...]
    digest: str | None
    limits: Limits
    crew: Crew
    parent: int


@dataclass(frozen=True, slots=True)
class Line:
    """Of the log, for the logger of that name."""

    logger: str
    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Brought:
    """It is in the cache, and in use by who says so until its standard input ends.

    ``forgotten``: contents that nobody will ask for again, but that another process had in use.
    """

    identity: str
    forgotten: frozenset[str]


@dataclass(frozen=True, slots=True)
class Failed:
    """What the pull raised."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Alive:
    """It is at it, though it has nothing to tell."""


Message = Event | Line | Brought | Failed | Alive


def framed(message: Job | Message) -> bytes:
    told = pickle.dumps(message)
    return _HEAD.pack(len(told)) + told


class Frames:
    """Messages out of bytes as they come."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes | bytearray) -> list[Any]:
        """Those that are whole now. Raises StorageError for what is no message."""
        self._data += data
        whole = []
        while len(self._data) >= _HEAD.size:
            (size,) = _HEAD.unpack_from(self._data)
            if size > _LONGEST:
                raise StorageError(f"a message of {size:,} bytes, where {_LONGEST:,} are the most")
            end = _HEAD.size + size
            if len(self._data) < end:
                break
            whole.append(_read(self._data[_HEAD.size : end]))
            del self._data[:end]
        return whole


def _read(told: bytes | bytearray) -> Job | Message:
    try:
        message = pickle.loads(told)  # noqa: S301  # our own, see above
    except Exception as error:  # a pickle that is none raises whatever it comes upon
        raise StorageError(f"a message that cannot be read: {legible(str(error))}") from error
    if not isinstance(message, Job | Message):
        raise StorageError(f"a message of an unknown kind: {type(message).__name__}")
    return message


def travelling(error: Exception) -> Exception:
    """The error, or its text where it cannot be told as it is."""
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):  # noqa: S301  # ours
            return error
    except (TypeError, ValueError, AttributeError, pickle.PickleError, ImportError):
        pass
    return StorageError(f"{type(error).__name__}: {legible(str(error))}")

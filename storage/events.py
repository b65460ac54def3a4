"""What happens on the way to a model, as values for progress bars, logs and metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Listed:
    """It is known what is to be moved: ``size`` bytes (None: not told) in ``files``, ``there`` of them from before.

    ``folder`` is what it is kept in until then.
    """

    source: str
    files: int
    size: int | None
    there: int
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """``done`` bytes of ``size`` are here."""

    source: str
    done: int
    size: int | None


@dataclass(frozen=True, slots=True)
class Fetched:
    """A model was downloaded: ``size`` bytes over the wire in ``seconds``."""

    source: str
    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Unpacking:
    """It is downloaded, and its one file is an ``archive``, whose files are on their way."""

    source: str
    archive: str


@dataclass(frozen=True, slots=True)
class Found:
    """The cache had it. ``listed``: of when its listing is, in seconds since 1970, where the source was not asked."""

    source: str
    path: Path
    listed: float | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A pull ended early; the next one of the same objects goes on with what is in ``folder``."""

    source: str
    folder: Path


Event = Listed | Moved | Fetched | Unpacking | Found | Kept
Observer = Callable[[Event], None]
"""Called by the thread that pulls, or in trio where a process beside this one does; must not block."""
KEPT_SECONDS = 24 * 3600.0
"""How long what an interrupted pull has brought is kept."""

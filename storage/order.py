"""What is wanted of a source, and what it may become here. To say so imports no library that brings it."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event

from storage.events import Observer
from storage.transfer import Crew


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may become: bytes in all, files and folders, bytes per byte of the archive (from 64 MiB on)."""

    total: int = 2**40
    members: int = 1_000_000
    ratio: float = 200.0


def _ignore(_: object) -> None:
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is wanted of a source. ``digest``: what its one file must have."""

    allow: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    digest: str | None = None
    limits: Limits = field(default_factory=Limits)
    crew: Crew = field(default_factory=Crew)
    observe: Observer = field(default=_ignore, repr=False)
    cancel: Event = field(default_factory=Event, repr=False)

"""Downloads in words, for a terminal and for the log."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from storage.events import Event, Fetched, Found, Kept, Listed, Moved, Unpacking

_STEPS = 10
_WITHOUT_SIZE = 2**30


@dataclass(frozen=True, slots=True)
class Pace:
    """Of a download: what was there, and since when more comes."""

    there: int = 0
    began: float = field(default_factory=time.monotonic)

    def so_far(self, done: int) -> str:
        return rate(done - self.there, time.monotonic() - self.began)


@dataclass(slots=True)
class Tenths:
    """Which events are worth a line: all but the bytes, and those at each tenth, or each GiB where nobody knows."""

    _told: dict[str, tuple[int, Pace]] = field(default_factory=dict)

    def line(self, event: Event) -> str | None:
        match event:
            case Listed(source, there=there):
                self._told[source] = 0, Pace(there)
            case Moved(source, done, size):
                own = self._told.get(source)
                if own is None:  # a thread that was left behind may tell once more
                    return None
                told, pace = own
                tenth = done * _STEPS // size if size else done // _WITHOUT_SIZE
                if tenth <= told:
                    return None
                self._told[source] = tenth, pace
                return f"{sentence(event)}, {pace.so_far(done)}"
            case _:
                self._told.pop(event.source, None)
        return sentence(event)


def sentence(event: Event) -> str:
    """What happened, in a line."""
    match event:
        case Listed(source, files, size, there):
            counted = f"{files} file{'s' if files != 1 else ''}, {'of unknown size' if size is None else amount(size)}"
            return f"{source}: {counted}{f', {amount(there)} of it are here already' if there else ''}"
        case Moved(source, done, size):
            return f"{source}: {far(done, size)}"
        case Fetched(source, size, seconds):
            return f"{source}: downloaded {amount(size)} in {seconds:.1f} s, {rate(size, seconds)}"
        case Unpacking(source, archive):
            return f"{source}: unpacking {archive}"
        case Found(source, _, None):
            return f"{source}: it is in the cache"
        case Found(source, _, float(listed)):
            when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(listed))
            return f"{source}: offline, it is as it was listed at {when}"
        case Kept(source, folder):
            return f"{source}: what was downloaded is kept for 24 hours in {folder}; pull it again to go on"
    raise AssertionError(event)


def far(done: int, size: int | None) -> str:
    if not size:
        return amount(done)
    return f"{done * 100 // size} % ({amount(done)} of {amount(size)})"


def amount(size: float) -> str:
    """``1.5 GiB``"""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def rate(size: int, seconds: float) -> str:
    return f"{amount(size / max(seconds, 1e-6))}/s"

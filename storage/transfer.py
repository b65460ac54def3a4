"""Parts from a source into files, by a crew of threads.

Threads, not tasks: obstore's synchronous calls release the GIL and cost one hop per pull instead of one per call. The
threads look at the cancel flag between pieces of 256 KiB. One that waits for a silent peer when the others have left is
left behind: it writes nothing any more, the client's read timeout ends it, and the last to leave closes the files.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TypeVar

from storage.errors import Cancelled, Changed, StorageError, Unreachable
from storage.pace import Pace
from storage.parts import Part
from storage.retry import delays, pause
from storage.secret import legible
from storage.source import CHUNK, Remote
from storage.trickle import LEAST, Trickle
from storage.work import Work

Tell = Callable[[int], None]
"""Called with the bytes that have been moved so far, always by the thread that called ``transfer``."""
Given = TypeVar("Given")

_TICK = 0.05
_GRACE = 0.15


@dataclass(frozen=True, slots=True)
class Crew:
    """How many connections: ``least``, and ``most`` where each is slower than ``slow`` bytes a second after ``look`` s.

    A backend that holds every connection to a rate is what the second number is for. Where this process computes for
    ``busy`` seconds a second, or brings half of what its ``pace`` lets through, it is not the backend that is slow, and
    more of them only cost. ``few``: how many begin
    where files are small, and a thread is at work for most of the time. ``pace``: what all that have it keep to.
    ``patience``: for how many seconds a trickle is borne.
    """

    least: int = 16
    most: int = 32
    slow: float = 64 * 2**20
    look: float = 0.5
    busy: float = 1.0
    few: int = 4
    patience: float = 300.0
    pace: Pace | None = None


def transfer(
    source: Remote, parts: Iterable[Part], work: Work, cancel: threading.Event, tell: Tell, crew: Crew = Crew()
) -> None:
    """Moves every part, and closes ``work``. Raises what stopped it: a StorageError, an OSError of the disk, Cancelled.

    What has been written stays, and is in the journal.
    """
    moving = _Moving(source, parts, work, crew.pace)
    began, computed = time.monotonic(), time.process_time()
    hired = moving.hire(min(crew.few, crew.least) if moving.in_pieces else crew.least)
    if not hired:
        work.close()
    running, looked, trickle = len(hired), False, Trickle(began, crew.patience)
    try:
        while running:
            try:
                outcome = moving.ended.get(timeout=_TICK)
            except Empty:
                pass
            else:
                running -= 1
                if outcome is not None:
                    raise outcome
            if cancel.is_set():
                raise Cancelled
            tell(moving.moved)
            took = time.monotonic() - began
            _refuse_trickle(source, trickle, moving.moved, began + took)
            if not looked and took > crew.look:
                looked = True
                computing = (time.process_time() - computed) / took
                held = crew.pace is not None and moving.moved / took > crew.pace.rate / 2
                if moving.moved / took / len(hired) < crew.slow and computing < crew.busy and not held:
                    more = moving.hire(crew.most - len(hired))
                    hired += more
                    running += len(more)
        tell(moving.moved)
    finally:
        moving.stop.set()
        give_up = time.monotonic() + _GRACE
        for thread in hired:
            thread.join(max(0.0, give_up - time.monotonic()))


def cancellable(ask: Callable[[], Given], cancel: threading.Event) -> Given:
    """What ``ask`` returns or raises, in a thread that is left behind when ``cancel`` is set. Raises Cancelled."""
    answer: SimpleQueue[tuple[Given | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            answer.put((ask(), None))
        except BaseException as error:  # noqa: BLE001  # the thread that waits for it raises it
            answer.put((None, _raised(error)))

    threading.Thread(target=run, name="storage", daemon=True).start()
    while True:
        if cancel.is_set():
            raise Cancelled
        try:
            given, error = answer.get(timeout=_TICK)
        except Empty:
            continue
        if error is not None:
            raise error
        return given  # type: ignore[return-value]  # None only where Given is


def _refuse_trickle(source: Remote, trickle: Trickle, moved: int, now: float) -> None:
    if trickle.is_one(moved, now):
        raise Unreachable(f"{source.shown} sends less than {LEAST:,} bytes a second; the next pull goes on from there")


def _raised(error: BaseException) -> BaseException:
    """A panic in obstore's Rust (no descriptor was left for its runtime) is no Exception: it would end a server."""
    return error if isinstance(error, Exception) else StorageError(f"obstore failed: {legible(str(error))}")


class _Moving:
    """What the threads of one transfer share."""

    def __init__(self, source: Remote, parts: Iterable[Part], work: Work, pace: Pace | None) -> None:
        self.stop = threading.Event()
        self.ended: SimpleQueue[BaseException | None] = SimpleQueue()
        self.moved = 0
        self._source = source
        self._work = work
        self._pace = pace
        self._parts = deque(parts)
        self._left = Counter(part.file for part in self._parts)
        # Files of a single part are their thread's own: opening thousands of them under the lock would be a queue.
        self._alone = {file for file, count in self._left.items() if count == 1}
        self._descriptors: dict[int, int] = {}
        self._there = 0
        self._lock = threading.Lock()

    @property
    def in_pieces(self) -> bool:
        """Whether the parts that are left are no larger than a piece of one, on average."""
        sizes = [part.stop - part.start for part in self._parts if part.stop is not None]
        return 0 < len(self._parts) == len(sizes) and sum(sizes) <= CHUNK * len(sizes)

    def hire(self, count: int) -> list[threading.Thread]:
        """So many more threads, or as many as there are parts left to take."""
        with self._lock:
            count = min(count, len(self._parts))
            threads = [threading.Thread(target=self._run, name="storage", daemon=True) for _ in range(count)]
            self._there += count
        for thread in threads:
            thread.start()
        return threads

    def _run(self) -> None:
        outcome: BaseException | None = None
        try:
            while not self.stop.is_set():
                try:
                    part = self._parts.popleft()
                except IndexError:
                    break
                self._move(part)
        except BaseException as error:  # noqa: BLE001  # the thread that hired this one raises it
            outcome = _raised(error)
        with self._lock:
            self._there -= 1
            if not self._there and (self.stop.is_set() or outcome or not self._parts):
                for descriptor in self._descriptors.values():
                    os.close(descriptor)
                self._work.close()
        self.ended.put(outcome)

    def _move(self, part: Part) -> None:
        if part.file in self._alone:
            own = self._work.open(part.file)
            try:
                self._take_room(part, own)
                self._finish(part, own, self._copy(part, own))
            finally:
                os.close(own)
            return
        with self._lock:
            descriptor = self._descriptors.get(part.file)
            if descriptor is None:
                descriptor = self._descriptors[part.file] = self._work.open(part.file)
        self._take_room(part, descriptor)
        end = self._copy(part, descriptor)
        with self._lock:
            self._left[part.file] -= 1
            if self._left[part.file]:
                return
            del self._descriptors[part.file]
        try:
            self._finish(part, descriptor, end)
        finally:
            os.close(descriptor)

    def _finish(self, part: Part, descriptor: int, end: int) -> None:
        self._work.finish(descriptor, part.file, end if part.item.size is None else part.item.size)

    def _take_room(self, part: Part, descriptor: int) -> None:
        """Of its part alone, and not under the lock: of a file in memory, a gibibyte takes a second."""
        if part.stop is not None and part.stop - part.start > CHUNK:
            self._work.take_room(descriptor, part.start, part.stop, self.stop)

    def _copy(self, part: Part, descriptor: int) -> int:
        """Brings a part, going on where the source failed; returns the byte after its last."""
        at, waits = part.start, delays()
        while at != part.stop:
            before = at
            try:
                for piece in self._pieces(part, at):
                    self._work.write(descriptor, part.file, at, piece)
                    at += len(piece)
                    self._count(len(piece))
                    if self._pace is not None:
                        self._pace.keep(len(piece), self.stop)
                if part.stop is None:
                    break
                if at < part.stop:
                    raise Unreachable(f"{self._source.shown}: the connection ended in the middle of {part.item.key}")
            except Unreachable as error:
                if part.whole:
                    self._count(part.start - at)
                    at = part.start
                elif at > before:
                    waits = delays()
                delay = next(waits, None)
                if delay is None:
                    raise
                pause(self._source, part.item, error, delay, self.stop)
        return at

    def _pieces(self, part: Part, at: int) -> Iterator[bytes]:
        """Of a part from there on. Raises Cancelled between two, and Changed for more than was asked for."""
        with closing(self._source.read(part.item, at, part.stop)) as pieces:
            for piece in pieces:
                if self.stop.is_set():
                    raise Cancelled
                at += len(piece)
                if part.stop is not None and at > part.stop:
                    raise Changed(f"{self._source.shown} sent more of {part.item.key} than was listed")
                yield piece

    def _count(self, size: int) -> None:
        with self._lock:
            self.moved += size

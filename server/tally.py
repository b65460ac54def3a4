"""What a server counts, summed over its processes: counters, gauges and histograms in memory that outlives each.

The memory is mapped before the first fork, one part for each worker and one for who starts them. To count is an
addition in that memory: no lock, no file, no message.
"""

from __future__ import annotations

import mmap
import os
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from server.cells import Cells, Key, left, process_of, read

Labels = tuple[str, ...]

# Some 8,000 models; what nobody writes takes no memory.
_SIZE = 8 << 20
# Prometheus's own, and KServe's.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


@dataclass(frozen=True, slots=True)
class Family:
    """Series of one name: what they are, and how they are told apart."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Labels
    bounds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Sum:
    """One series: ``numbers`` are the one value, or how many fell below each bound and above all, and their sum.

    ``since``: when it began, in seconds of the clock; 0 for a gauge.
    """

    labels: Labels
    numbers: Sequence[float]
    since: float


class Series:
    """A family as the process that counts has it. One thread at a time counts in a series."""

    def __init__(self, tally: Tally, family: Family) -> None:
        self.family = family
        self._tally = tally
        self._places: dict[Labels, int] = {}
        self._bounds = family.bounds
        self._sum = len(family.bounds) + 1

    def add(self, labels: Labels = (), by: float = 1.0) -> None:
        """To a counter, or to a gauge."""
        at = self._places.get(labels)
        if at is None:
            at = self.place(labels)
        self._tally.numbers[at] += by

    def set(self, value: float, labels: Labels = ()) -> None:
        """A gauge."""
        self._tally.numbers[self.place(labels)] = value

    def observe(self, value: float, labels: Labels = ()) -> None:
        """In a histogram."""
        at = self._places.get(labels)
        if at is None:
            at = self.place(labels)
        self.observe_at(at, value)

    def observe_at(self, at: int, value: float) -> None:
        """In the histogram that has this ``place``."""
        numbers = self._tally.numbers
        numbers[at + bisect_left(self._bounds, value)] += 1.0
        numbers[at + self._sum] += value

    def place(self, labels: Labels = ()) -> int:
        """Where it stands in ``tally.numbers``, for who counts often; until ``remove``, or another part is taken."""
        at = self._places.get(labels)
        if at is None:
            at = self._places[labels] = self._tally.place(self.family, labels)
        return at

    def remove(self, labels: Labels) -> None:
        """What this process has counted of it is gone."""
        self._places.pop(labels, None)
        self._tally.drop(self.family, labels)

    def forget(self) -> None:
        self._places.clear()


class Tally:
    """The numbers of a server of so many workers. This process writes one part, the last one until ``take``."""

    def __init__(self, workers: int = 0) -> None:
        memory = memoryview(mmap.mmap(-1, (workers + 1) * _SIZE))
        self._parts = [memory[at : at + _SIZE] for at in range(0, len(memory), _SIZE)]
        self._series: list[Series] = []
        self._take(workers)

    def series(self, family: Family) -> Series:
        series = Series(self, family)
        self._series.append(series)
        return series

    def take(self, part: int) -> None:
        """From now on this process writes that part, after whoever wrote it before."""
        self._take(part)
        for series in self._series:
            series.forget()

    def _take(self, part: int) -> None:
        self._cells = Cells(self._parts[part], os.getpid())
        self.numbers = self._cells.numbers

    def left(self, part: int) -> None:
        """The process that wrote it has ended: what it had in hand is no more, what it has counted stays."""
        cells = Cells(self._parts[part], 0)
        gauges = {series.family.name for series in self._series if series.family.kind == "gauge"}
        for key in cells.known():
            if key[0] in gauges:
                cells.drop(key)
        left(self._parts[part])

    def processes(self) -> Sequence[int]:
        """Those that count now."""
        return [process for part in self._parts if (process := process_of(part))]

    def sums(self) -> Mapping[str, Sequence[Sum]]:
        """Family → its series, over all parts."""
        found: dict[Key, list[float]] = {}
        for part in self._parts:
            for key, numbers in read(part):
                before = found.get(key)
                found[key] = list(numbers) if before is None else _added(before, numbers)
        families: dict[str, list[Sum]] = {}
        for (name, *labels), (since, *numbers) in found.items():
            families.setdefault(name, []).append(Sum(tuple(labels), numbers, since))
        return families

    # ---- of this process

    def place(self, family: Family, labels: Labels) -> int:
        count = len(family.bounds) + 2 if family.bounds else 1
        # Before the numbers stands since when they count.
        at = self._cells.place((family.name, *labels), 1 + count)
        if not self.numbers[at]:
            self.numbers[at] = 0.0 if family.kind == "gauge" else time.time()
        return at + 1

    def drop(self, family: Family, labels: Labels) -> None:
        self._cells.drop((family.name, *labels))


def _added(one: Sequence[float], other: Sequence[float]) -> list[float]:
    """A series counts since the first of its parts does."""
    return [min(one[0], other[0]), *(a + b for a, b in zip(one[1:], other[1:], strict=True))]

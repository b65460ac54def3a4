"""How many connections each worker has, in memory that all of them see: who has more lets the others accept first."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = 8
# Of a place where nobody accepts.
_NOBODY = -1
# More than is ever taken at once.
_ALONE = 1 << 20


class Crowd:
    """Of all workers; made before the first of them is."""

    def __init__(self, places: int) -> None:
        self._counts = memoryview(mmap.mmap(-1, places * _WORD)).cast("q")
        for place in range(places):
            self.left(place)

    def place(self, number: int) -> Place:
        return Place(self._counts, number)

    def left(self, place: int) -> None:
        """Nobody accepts there any more."""
        self._counts[place] = _NOBODY


@dataclass(frozen=True, slots=True)
class Place:
    """One worker's."""

    counts: memoryview
    number: int

    def tell(self, connections: int) -> None:
        """It has so many."""
        self.counts[self.number] = connections

    def may_take(self) -> int:
        """How many more it may take at once; 0 where another one has fewer. From then on the others count with it."""
        own = max(self.counts[self.number], 0)
        self.counts[self.number] = own
        return fair(own, [count for place, count in enumerate(self.counts) if place != self.number])


def fair(own: int, others: Sequence[int]) -> int:
    """How many it may take, to have one more than the least busy of the others then; pure."""
    present = [count for count in others if count != _NOBODY]
    return max(min(present) - own + 1, 0) if present else _ALONE

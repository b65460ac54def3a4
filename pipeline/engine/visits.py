"""How many are inside, and the end of that to wait for: before what they are inside of is closed."""

from __future__ import annotations

import trio.lowlevel


class Visits:
    """``with visits:`` is one more, until the block ends. Belongs to the loop. Nobody is ever kept out."""

    __slots__ = ("_count", "_nobody")

    def __init__(self) -> None:
        self._count = 0
        self._nobody = trio.lowlevel.ParkingLot()

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(self, *exc_info: object) -> None:
        self._count -= 1
        if not self._count and self._nobody:
            self._nobody.unpark_all()

    def __len__(self) -> int:
        return self._count

    async def idle(self) -> None:
        """Returns once nobody is inside. Cancelled, those who are go on."""
        await trio.lowlevel.checkpoint()
        while self._count:
            await self._nobody.park()

"""How many are inside, and the end of that to wait for: before what they are inside of is closed."""

from __future__ import annotations

import trio


class Visits:
    """``with visits:`` is one more, until the block ends. Belongs to the loop. Nobody is ever kept out."""

    __slots__ = ("_count", "_nobody")

    def __init__(self) -> None:
        self._count = 0
        self._nobody: trio.Event | None = None

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(self, *exc_info: object) -> None:
        self._count -= 1
        if not self._count and self._nobody is not None:
            self._nobody.set()
            self._nobody = None

    def __len__(self) -> int:
        return self._count

    async def idle(self) -> None:
        """Returns once nobody is inside. Cancelled, those who are go on."""
        await trio.lowlevel.checkpoint()
        while self._count:
            if self._nobody is None:
                self._nobody = trio.Event()
            await self._nobody.wait()

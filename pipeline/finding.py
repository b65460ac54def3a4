"""Where models are found by name, and what may be found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

from pipeline.pipeline import Pipeline

Find = Callable[[], Awaitable[Sequence[Pipeline]]]


class Source(Protocol):
    """Where models are found by name. Of one name, one thing at a time is asked."""

    def names(self) -> Collection[str]:
        """What could be loaded, as far as that can be listed. Called in a thread: it may read a folder."""
        ...

    async def find(self, name: str, /) -> Sequence[Pipeline]:
        """All versions to serve of that model, not open. One that is served already, and given again, is kept.

        Raises ModelNotFound, or whatever says why it cannot be. Cancelled, nothing comes of it.
        """
        ...

    async def unloaded(self, name: str, /) -> None:
        """That name has been unloaded, and all of it is closed; a load may find it again. Raises nothing.

        Cancelled, the server stops.
        """
        ...


async def found(name: str, find: Find) -> Sequence[Pipeline]:
    """The versions of that name. Raises what ``find`` raises, and ValueError for what is none, or not of that name.

    Cancelled, as that one.
    """
    own = await find()
    versions = [pipeline.version for pipeline in own]
    if not own or any(pipeline.name != name for pipeline in own) or len(set(versions)) < len(versions):
        raise ValueError(f'"{name}" was found as {", ".join(map(repr, own)) or "nothing"}')
    return own

"""Where a server's models come from: what its command line names, and the folder of ``--model-repository``.

Both are read anew at each load, code included, in a thread: that of a user may take its time to be imported.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

from pipeline.blueprint import Blueprint
from pipeline.code.load import forget
from pipeline.errors import ModelNotFound
from pipeline.finding import Source
from pipeline.pipeline import Pipeline
from pipeline.threads import in_own_thread
from server.folder import names_in, versions_in

Draw = Callable[[Path | str], Blueprint]
"""The blueprint of a graph file, or a model. Raises GraphFaults."""


class Given:
    """Graphs and models that were named one by one: model name → what its versions are made of."""

    def __init__(self, given: Mapping[str, Sequence[Path | str]], draw: Draw) -> None:
        self._given = given
        self._draw = draw

    def names(self) -> Collection[str]:
        return tuple(self._given)

    async def find(self, name: str, /) -> Sequence[Pipeline]:
        """Raises ModelNotFound, GraphFaults, and ValueError where a file is that of another model now.

        Cancelled, the thread that reads it ends by itself, and what it made is dropped.
        """
        if name not in self._given:
            raise ModelNotFound(name)
        return await _made(partial(_anew, self._given[name], self._draw))

    async def unloaded(self, name: str, /) -> None:
        """What was named is found again."""


class Folder:
    """A folder of models; see ``server/folder.py``. A model has its folder's name, a version that of its own."""

    def __init__(self, folder: Path, draw: Draw) -> None:
        self._folder = folder
        self._draw = draw

    def names(self) -> Collection[str]:
        return tuple(names_in(self._folder))

    async def find(self, name: str, /) -> Sequence[Pipeline]:
        """Raises ModelNotFound, GraphFaults, OSError. Cancelled, as that of ``Given``."""
        return await _made(partial(self._drawn, name))

    async def unloaded(self, name: str, /) -> None:
        """What lies there is found again."""

    def _drawn(self, name: str) -> list[Blueprint]:
        versions = versions_in(self._folder, name)
        drawn = _anew(tuple(versions.values()), self._draw)
        return [own.named(name, version) for own, version in zip(drawn, versions, strict=True)]


class Together:
    """Several sources; a name is that of the first that has it."""

    def __init__(self, *sources: Source) -> None:
        self._sources = sources

    def names(self) -> Collection[str]:
        return tuple(dict.fromkeys(name for source in self._sources for name in source.names()))

    async def find(self, name: str, /) -> Sequence[Pipeline]:
        """Raises ModelNotFound where none has it, and what the first that has it raises. Cancelled, as that one."""
        for source in self._sources:
            try:
                return await source.find(name)
            except ModelNotFound:
                continue
        raise ModelNotFound(name)

    async def unloaded(self, name: str, /) -> None:
        """Cancelled, those that come after are not told."""
        for source in self._sources:
            await source.unloaded(name)


async def _made(draw: Callable[[], Sequence[Blueprint]]) -> list[Pipeline]:
    """Cancelled, the thread ends by itself, and what it made is dropped."""
    return [Pipeline.from_blueprint(own) for own in await in_own_thread(draw)]


def _anew(given: Sequence[Path | str], draw: Draw) -> list[Blueprint]:
    for own in given:
        match own:
            case Path():
                forget(own if own.is_dir() else own.parent)
    return [draw(own) for own in given]

"""Name → version → the pipeline that answers; and those that were let go of while requests are inside."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from pipeline.errors import ModelNotFound
from pipeline.held import Held
from pipeline.pipeline import Pipeline


class Served:
    """The table of what is served. It changes in one step: whoever looks sees all of a name's versions, or none."""

    def __init__(self) -> None:
        self._models: dict[str, dict[str, Held]] = {}
        self._leaving: set[Held] = set()

    def __iter__(self) -> Iterator[Pipeline]:
        return (held.pipeline for versions in self._models.values() for held in versions.values())

    def __contains__(self, name: object) -> bool:
        return name in self._models

    @property
    def leaving(self) -> Sequence[Pipeline]:
        """Those that are not served, and not closed."""
        return [held.pipeline for held in self._leaving]

    def busy(self) -> Sequence[str]:
        """The names of those that are being opened or closed, or have requests inside; those that leave too."""
        return [own.name for own in (*self, *self.leaving) if own.is_busy]

    def names(self) -> Sequence[str]:
        return tuple(self._models)

    def of(self, name: str) -> Collection[Held]:
        """All versions of that name, none where it is not served."""
        return tuple(self._models.get(name, {}).values())

    def versions(self, name: str) -> Sequence[str]:
        """In order of their numbers; those that are no numbers first."""
        return sorted(self._models.get(name, ()), key=_number)

    def find(self, name: str, version: str) -> Pipeline:
        """That version; without one, the highest whole number that is ready, else the highest there is.

        Raises ModelNotFound.
        """
        versions = self._models.get(name)
        if versions is None:
            raise ModelNotFound(name)
        if version:
            if version not in versions:
                raise ModelNotFound(name, version=version)
            return versions[version].pipeline
        if len(versions) == 1:
            return next(iter(versions.values())).pipeline
        ready = [key for key, held in versions.items() if held.pipeline.is_ready]
        return versions[max(ready or versions, key=_number)].pipeline

    def add(self, held: Held) -> None:
        """One more version. Raises ValueError where there is one of its name and version."""
        own = held.pipeline
        versions = self._models.setdefault(own.name, {})
        if own.version in versions:
            raise ValueError(f'two graphs are named "{own.name}" in version "{own.version}"')
        versions[own.version] = held

    def replace(self, name: str, new: Iterable[Held]) -> None:
        """From now on these are served under that name; those that were and are none of them are let go of."""
        before = self.of(name)
        self._models[name] = {held.pipeline.version: held for held in new}
        kept = self._models[name].values()
        self.let_go(held for held in before if held not in kept)

    def remove(self, name: str) -> Collection[Held]:
        """From now on the name is not served. What was is let go of.

        Returns all of that name that is not closed, also what was let go of before.
        """
        self.let_go(self.of(name))
        self._models.pop(name, None)
        return self._leaving_of(name)

    def forget(self, name: str) -> None:
        """What is served under it, none of which is open."""
        self._models.pop(name, None)

    def is_over(self, name: str) -> bool:
        """Whether nothing of that name is served, or leaves: what came and went after an unload is another one's."""
        return name not in self._models and not self._leaving_of(name)

    def let_go(self, leaving: Iterable[Held]) -> None:
        """They are closed after their last requests, and known until ``closed``."""
        for held in leaving:
            if not held.closed.is_set():
                self._leaving.add(held)
                held.let_go()

    async def end(self, leaving: Collection[Held]) -> None:
        """As ``let_go``. Returns once they are closed, cancelled or not: none has a request inside."""
        self.let_go(leaving)
        for held in leaving:
            await held.over()

    def closed(self, held: Held) -> None:
        self._leaving.discard(held)

    def _leaving_of(self, name: str) -> Collection[Held]:
        return [held for held in self._leaving if held.pipeline.name == name]


def _number(version: str) -> tuple[bool, int, str]:
    return version.isdecimal(), int(version) if version.isdecimal() else 0, version


def kept(served: Iterable[Held]) -> Mapping[Pipeline, Held]:
    """Pipeline → who holds it, of those that are not closed."""
    return {held.pipeline: held for held in served if not held.closed.is_set()}

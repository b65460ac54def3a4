"""Name → version → pipeline, and the tasks that hold the pipelines open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import trio

from pipeline.errors import ModelNotFound
from pipeline.observe import ModelNotClosed
from pipeline.pipeline import Pipeline, State


class Repository:
    """The models of one server. ``serve`` opens them; the others ask."""

    def __init__(self, pipelines: Iterable[Pipeline]) -> None:
        """Raises ValueError where two pipelines have one name and version."""
        self._models: dict[str, dict[str, Pipeline]] = {}
        for pipeline in pipelines:
            versions = self._models.setdefault(pipeline.name, {})
            if pipeline.version in versions:
                raise ValueError(f'two graphs are named "{pipeline.name}" in version "{pipeline.version}"')
            versions[pipeline.version] = pipeline

    def __iter__(self) -> Iterator[Pipeline]:
        return (pipeline for versions in self._models.values() for pipeline in versions.values())

    def names(self) -> tuple[str, ...]:
        return tuple(self._models)

    def versions(self, name: str) -> tuple[str, ...]:
        """In order of their numbers; those that are no numbers first. Raises ModelNotFound."""
        return tuple(sorted(self._versions(name), key=_number))

    def get(self, name: str, version: str = "") -> Pipeline:
        """That version; without one, the highest whole number that is ready, else the highest there is.

        Raises ModelNotFound.
        """
        versions = self._versions(name)
        if version:
            if version not in versions:
                raise ModelNotFound(name, version=version)
            return versions[version]
        if len(versions) == 1:
            return next(iter(versions.values()))
        ready = [key for key, pipeline in versions.items() if pipeline.is_ready]
        return versions[max(ready or versions, key=_number)]

    def ready(self, mode: str) -> bool:
        """Whether all (or any) of the models have been loaded once; what failed later shows on that model alone."""
        loaded = [pipeline.loaded_once for pipeline in self]
        return all(loaded) if mode == "all" else any(loaded)

    async def serve(self) -> None:
        """Opens every model beside the others and holds it open until cancelled; then closes them all.

        A model that cannot be opened is FAILED and tells its observers why; the others are served.
        """
        async with trio.open_nursery() as nursery:
            for pipeline in self:
                nursery.start_soon(_hold, pipeline)

    async def drained(self) -> None:
        """Returns once no detached step of any model runs. Cancelled, they run on."""
        for pipeline in self:
            await pipeline.drained()

    def _versions(self, name: str) -> dict[str, Pipeline]:
        try:
            return self._models[name]
        except KeyError:
            raise ModelNotFound(name) from None


async def _hold(pipeline: Pipeline) -> None:
    """Holds one model open until cancelled. What goes wrong with it is told to its observers and ends nothing else."""
    try:
        async with pipeline:
            await trio.sleep_forever()
    except Exception as error:  # noqa: BLE001  # the other models are served on
        if pipeline.state is not State.FAILED:
            pipeline.tell(ModelNotClosed(pipeline.name, pipeline.version, error))


def _number(version: str) -> tuple[bool, int, str]:
    return version.isdecimal(), int(version) if version.isdecimal() else 0, version

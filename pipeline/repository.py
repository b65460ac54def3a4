"""Name → version → pipeline, opened and closed while others serve; each is held open by a task of its own.

What is served changes in one step: whoever found a pipeline before it, and entered it in the same turn of the loop, is
answered by that one, which is closed after its last request.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence

import trio

from pipeline.availability import state_of, unopened
from pipeline.engine.failure import bare
from pipeline.errors import Code, ModelNotFound, ModelNotReady, ServerNotReady, retold
from pipeline.finding import Find, Source, found
from pipeline.graph.fields import is_model_name
from pipeline.held import Held
from pipeline.loads import Load, Loads
from pipeline.observe import ModelFailed, ModelUnloaded, Observer
from pipeline.pipeline import Pipeline
from pipeline.refused import Refused
from pipeline.served import Served, kept
from pipeline.tensors.message import ModelState
from pipeline.threads import in_own_thread
from pipeline.turns import Turns


async def _at_once() -> None:
    """Who changes its models alone asks nobody."""


class Repository:
    """The models of one server. ``serve`` opens and holds them; the others ask."""

    def __init__(self, pipelines: Iterable[Pipeline] = (), source: Source | None = None) -> None:
        """``pipelines``: what is served from the start, beside all that the source names then.

        Raises ValueError where two pipelines have one name and version.
        """
        self._source = source
        self._observers: tuple[Observer, ...] = ()
        self._owns_interrupts = False
        self._nursery: trio.Nursery | None = None
        self._served = Served()
        self._turns = Turns()
        self._loads = Loads(self._turns)
        # Why what was to be loaded could not be; and of the names of the start those that are still to be.
        self._reasons = Refused()
        self._awaited: set[str] = set()
        self._left_out: frozenset[str] = frozenset()
        self.settled = trio.Event()
        """Set once each model of the start is open, or could not be."""
        self._listing = trio.CapacityLimiter(1)  # one that hangs is the only one
        for pipeline in pipelines:
            self._served.add(self._held(pipeline))

    def __iter__(self) -> Iterator[Pipeline]:
        return iter(self._served)

    def names(self) -> tuple[str, ...]:
        return tuple(self._served.names())

    def versions(self, name: str) -> tuple[str, ...]:
        """In order of their numbers; those that are no numbers first. Raises ModelNotFound, ModelNotReady."""
        self._require(name)
        return tuple(self._served.versions(name))

    def get(self, name: str, version: str = "") -> Pipeline:
        """That version; without one, the highest whole number that is ready, else the highest there is.

        It answers whoever is among its ``visits`` before awaiting anything else. Raises ModelNotFound, ModelNotReady.
        """
        try:
            return self._served.find(name, version)
        except ModelNotFound:
            self._require(name)
            raise

    def ready(self, mode: str) -> bool:
        """Whether all (or any) of the models there were at the start have been loaded once; what failed later shows on
        that model alone. Without any, a server is ready to be given some.
        """
        loaded = [pipeline.loaded_once for pipeline in self] + [False for name in self._awaited if is_model_name(name)]
        return all(loaded) if mode == "all" else any(loaded) or not loaded

    async def index(self, *, ready: bool = False) -> tuple[ModelState, ...]:
        """The state of each version, and of each model that could be loaded; ``ready``: of those that are alone.

        Cancelled, nothing is left behind.
        """
        listed = () if ready else await self._listed()
        found = [state_of(pipeline) for pipeline in self]
        if ready:
            return tuple(own for own in found if own.state == "READY")
        leaving = [own for own in self._served.leaving if own.name not in self._served]
        found += [ModelState(own.name, own.version, "UNLOADING", "its last requests are inside") for own in leaving]
        for name in sorted({*listed, *self._loads, *self._reasons} - {own.name for own in found}):
            gone = ModelState(name, "", "UNAVAILABLE", self._reasons.of(name) or "it is not loaded")
            found.append(ModelState(name, "", "LOADING") if name in self._loads else gone)
        return tuple(found)

    # ---- serving

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Opens every model beside the others and holds it open until cancelled; then closes them all.

        Started, it takes loads. A model that cannot be opened tells its observers why; the others are served.
        """
        self._awaited = set(await self._listed()) - {*self._served.names(), *self._left_out}
        try:
            async with trio.open_nursery() as self._nursery:
                await self._nursery.start(self._begin, self._nursery)
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None

    async def _begin(
        self, nursery: trio.Nursery, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Apart from ``serve``, whose variables would keep the last of them for as long as it serves."""
        async with trio.open_nursery() as opening:
            for name in self._served.names():
                for held in self._served.of(name):
                    opening.start_soon(self._hold_alone, held, nursery)
            for name in sorted(self._awaited):
                opening.start_soon(self._load, self._loads.ask(name))
            task_status.started()
        self.settled.set()

    def leave_out(self, names: Iterable[str]) -> None:
        """Before it serves: those that are not to be there at the start."""
        self._left_out = frozenset(names)
        for name in self._left_out:
            self._served.forget(name)

    async def drained(self) -> None:
        """Returns once no request is inside any model, and no detached step runs. Cancelled, they run on."""
        for pipeline in [*self._served, *self._served.leaving]:
            await pipeline.drained()

    def observe(self, *observers: Observer) -> None:
        """They hear of every model, of those that come later too."""
        self._observers += observers
        for pipeline in self:
            pipeline.observers += observers

    def busy(self) -> tuple[str, ...]:
        """The names that a stop waits for: of models that are loaded or closed, or that have requests inside."""
        return tuple(dict.fromkeys([*self._loads, *self._served.busy()]))

    def own_interrupts(self) -> None:
        """From now on Ctrl-C is heard elsewhere: a KeyboardInterrupt of a detached step is its own failure."""
        self._owns_interrupts = True
        for pipeline in self:
            pipeline.own_interrupts()

    # ---- changing what is served

    async def load(self, name: str, agreed: Callable[[], Awaitable[None]] = _at_once) -> None:
        """Opens what the source has under that name now, and puts it in the place of what was served under it.

        That ends after its last request, which is not waited for. One load of a name at a time, in order of asking.
        ``agreed`` is awaited when all is open, before any of it is served; where it raises, nothing has changed.
        Raises ModelNotFound, or ModelNotReady with the reason; then the older one serves on. Cancelled before its turn
        has come, nothing happens; from then on it goes on to its end, whether its caller waits or not.
        """
        nursery = self._serving()
        if not is_model_name(name) and name not in self._awaited:
            raise ModelNotFound(name)
        load = self._loads.ask(name)
        nursery.start_soon(self._load, load, agreed)
        try:
            await load.answered.wait()
        except trio.Cancelled:
            if not load.begun:
                load.end()
            raise
        if load.error is not None:
            raise load.error

    async def add(self, pipeline: Pipeline) -> None:
        """Opens it and serves it, beside other versions of its name, in the place of one of its own version.

        Raises what opening it raises, and ModelNotReady; then nothing has changed. Cancelled, too.
        """

        async def beside() -> Sequence[Pipeline]:
            others = (held.pipeline for held in self._served.of(pipeline.name))
            return [*(own for own in others if own.version != pipeline.version), pipeline]

        self._serving()
        await self._replace(self._loads.ask(pipeline.name), beside)

    async def unload(self, name: str) -> None:
        """From now on the name is gone, in all versions; the loads of it that were asked for end.

        Returns once its last request has been answered, its detached steps have ended, it is closed, and the source has
        heard of it, unless it has been loaded again by then. Raises ModelNotFound. Cancelled, all that happens as well.
        """
        nursery = self._serving()
        if not (name in self._served or name in self._loads or name in self._reasons):
            raise ModelNotFound(name)
        self._forget(name)
        self._loads.end(name)
        gone = trio.Event()
        nursery.start_soon(self._see_off, name, self._served.remove(name), gone)
        await gone.wait()

    async def _see_off(self, name: str, leaving: Collection[Held], gone: trio.Event) -> None:
        try:
            for held in leaving:
                await held.closed.wait()
            if name in self._loads:
                # What they bring is not this unload's to wait for; should they bring nothing, the source hears of it.
                gone.set()
            async with self._turns.of(name):
                if self._source is not None and self._served.is_over(name):
                    await self._source.unloaded(name)
        finally:
            gone.set()

    async def _load(self, load: Load, agreed: Callable[[], Awaitable[None]] = _at_once) -> None:
        """Answers who asked, and raises nothing."""
        name = load.name

        async def sought() -> Sequence[Pipeline]:
            if self._source is not None:
                return await self._source.find(name)
            if name not in self._served:
                raise ModelNotFound(name)
            return [held.pipeline for held in self._served.of(name)]

        try:
            for pipeline in await self._replace(load, sought, agreed):
                await pipeline.look_ready()
            load.error = None
        except ModelNotFound as error:
            self._forget(name)
            load.error = error
        except Exception as error:  # noqa: BLE001  # it is told to who asked; the other models are served on
            load.error = error if isinstance(error, ModelNotReady) else unopened(name, error)
            if not load.ended:
                self._reasons.add(name, load.error.message, {*self._awaited, *self._served.names()})
        finally:
            load.answered.set()

    async def _replace(
        self, load: Load, find: Find, agreed: Callable[[], Awaitable[None]] = _at_once
    ) -> Sequence[Pipeline]:
        """Serves what is found, and nothing else, under the load's name. Raises why it cannot be; cancelled, all is
        undone.

        What is open and not ready does not replace what is; in the place of what is not either, it is waited for.
        """
        async with self._loads.turn(load):
            sought = await self._found(load.name, find)
            known = kept(self._served.of(load.name))
            new = [known.get(pipeline) or self._held(pipeline) for pipeline in sought]
            fresh = [held for held in new if held.pipeline not in known]
            await self._open(fresh, agreed, ready=any(own.is_ready for own in known))
            self._forget(load.name)
            self._served.replace(load.name, new)
        return [held.pipeline for held in new]

    async def _found(self, name: str, find: Find) -> Sequence[Pipeline]:
        try:
            return await found(name, find)
        except ModelNotFound:
            raise
        except Exception as error:
            # What a pipeline cannot tell, since there is none.
            for tell in self._observers:
                tell(ModelFailed(name, "", error))
            raise

    async def _open(self, fresh: Sequence[Held], agreed: Callable[[], Awaitable[None]], *, ready: bool) -> None:
        """Opens them beside each other, and has that ``agreed``; ``ready``: they are to be that too.

        Raises the first failure, with all of them closed; so does a cancellation.
        """
        nursery = self._serving()
        try:
            async with trio.open_nursery() as opening:
                for held in fresh:
                    opening.start_soon(nursery.start, self._hold, held)
            for held in fresh if ready else ():
                await held.pipeline.look_ready()
            await agreed()
            # Whoever unloads it from here on finds it served.
            await trio.lowlevel.checkpoint_if_cancelled()
        except BaseException as error:  # noqa: BLE001  # it is raised again, without the nursery's group around it
            await self._served.end(fresh)
            raise bare(error) from None

    # ---- tasks that hold models

    async def _hold(self, held: Held, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        try:
            await held.hold(task_status=task_status)
            model = held.pipeline
            model.tell(ModelUnloaded(model.name, model.version, replaced=model.name in self._served))
        finally:
            self._served.closed(held)

    async def _hold_alone(self, held: Held, nursery: trio.Nursery) -> None:
        """As one that was there at the start: where it cannot be opened, it tells its observers and those who ask."""
        with contextlib.suppress(Exception):
            await nursery.start(self._hold, held)

    def _held(self, pipeline: Pipeline) -> Held:
        if pipeline in self._served.leaving:
            # It has requests inside, and is found again: what takes new ones is its like.
            before, pipeline = pipeline, Pipeline.from_blueprint(pipeline.blueprint)
            pipeline.observers += before.observers
        pipeline.observers += [own for own in self._observers if own not in pipeline.observers]
        if self._owns_interrupts:
            pipeline.own_interrupts()
        return Held(pipeline)

    # ---- what is known

    def _require(self, name: str) -> None:
        """One that somebody is loading, or tried to, is there once it is; one of the start is waited for."""
        if name in self._served:
            return
        if name not in self._awaited:
            raise ModelNotFound(name)
        if (reason := self._reasons.of(name)) is not None:
            raise retold(ModelNotReady, Code.UNAVAILABLE, reason)
        raise ModelNotReady(name, "It is loading.")

    def _forget(self, name: str) -> None:
        """Why it could not be loaded, and that it is waited for."""
        self._reasons.forget(name)
        self._awaited.discard(name)

    async def _listed(self) -> Collection[str]:
        return () if self._source is None else await in_own_thread(self._source.names, among=self._listing)

    def _serving(self) -> trio.Nursery:
        if self._nursery is None:
            raise ServerNotReady("Server is not ready. Nothing is loaded or unloaded while it does not serve.")
        return self._nursery

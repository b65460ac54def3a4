"""A worker among others: it hears its supervisor, and makes the changes that all of them make."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import trio

from pipeline.errors import InferError, ServerNotReady, told
from pipeline.observe import Event, ModelFailed, ModelLoaded
from pipeline.repository import Repository
from server.changes import missed
from server.channel import (
    Answer,
    Ask,
    AskStop,
    Begin,
    Drop,
    Failure,
    Follow,
    FromWorker,
    Join,
    Lines,
    Made,
    Opened,
    Over,
    Ready,
    Settled,
    Stop,
    Together,
    ToWorker,
    Verb,
    Verdict,
    line,
)
from server.forked import Post

_LOG = logging.getLogger("pipeline_serve")
# How often it is looked whether what is to be loaded is, until it is.
_LOOK = 0.02
_ALONE = "Server is not ready. Its supervisor has ended."


@dataclass(slots=True)
class _Awaited:
    """What somebody waits for: a verdict, or an answer."""

    came: trio.Event = field(default_factory=trio.Event)
    failure: Failure | None = None

    def come(self, failure: Failure | None) -> None:
        self.failure = failure
        self.came.set()

    async def given(self) -> None:
        """Raises the failure. Cancelled, nothing is left behind."""
        await self.came.wait()
        if self.failure is not None:
            raise self.failure.error()


class Fleet:
    """One worker's side of it. ``is_ready``: whether it is what it was asked to be; ``why``: why it can never be."""

    def __init__(
        self,
        post: Post,
        repository: Repository,
        is_ready: Callable[[], bool],
        why: Callable[[], BaseException | None] = lambda: None,
    ) -> None:
        """Before the repository serves. What was changed since the start is not opened as it was then."""
        self.share = post.share
        """Of the connections that come."""
        self._together = post.together
        self._post = post
        self._repository = repository
        self._is_ready = is_ready
        self._why = why
        self._entered = trio.Event()
        self._alone = False
        self._made: Mapping[str, Made] = post.made
        self._failed: set[tuple[str, str]] = set()
        self._numbers = itertools.count(1)
        self._answers: dict[int, _Awaited] = {}
        self._verdicts: dict[int, _Awaited] = {}
        self._outgoing, self._sent = trio.open_memory_channel[FromWorker](math.inf)
        repository.leave_out(post.made)
        repository.observe(self._observe)

    async def serve(self, stop: Callable[[], None]) -> None:
        """Hears and answers until cancelled; ``stop`` is called when it is told to, and where nobody is left to tell.

        The repository serves. Cancelled, what is being changed goes on to its end, or ends with the repository.
        """
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(self._post.channel))
        async with stream, trio.open_nursery() as nursery:
            nursery.start_soon(self._send, stream)
            nursery.start_soon(self._settle)
            nursery.start_soon(self._tell_ready)
            if self._post.member:
                self._entered.set()
            lines = Lines[ToWorker](ToWorker)  # type: ignore[arg-type]  # a union is no type to mypy
            try:
                async for data in stream:
                    for message in lines.fed(bytes(data)):
                        await self._hear(message, nursery, stop)
            except trio.BrokenResourceError:
                pass
            self._alone = True
            for awaited in [*self._answers.values(), *self._verdicts.values()]:
                awaited.come(Failure.of(ServerNotReady(_ALONE)))
            _LOG.warning("the supervisor has ended: draining, then stopping")
            stop()
            await trio.sleep_forever()

    async def entered(self, stopping: trio.Event) -> bool:
        """Whether it is to take requests: True once it is, False where it is to stop before. Cancelled, nothing is left
        behind.
        """
        async with trio.open_nursery() as nursery:

            async def first(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(first, self._entered)
            nursery.start_soon(first, stopping)
        return self._entered.is_set()

    def is_together(self) -> bool:
        """Whether all workers have been ready: before, none says that the server is."""
        return self._together

    def ask_stop(self) -> None:
        """Asks that the server stops, all of it. Called in the loop."""
        why = self._why()
        self._tell(AskStop(None if why is None else told(why)))

    # ---- what callers ask of the server

    async def load(self, name: str) -> None:
        """As the repository's, in all workers, or in none. Cancelled before its turn has come, nothing happens."""
        await self._ask("load", name)

    async def unload(self, name: str) -> None:
        """As the repository's, in all workers. Cancelled, it happens as well."""
        await self._ask("unload", name)

    async def _ask(self, verb: Verb, model: str) -> None:
        if self._alone:
            raise ServerNotReady(_ALONE)
        number = next(self._numbers)
        awaited = self._answers[number] = _Awaited()
        self._tell(Ask(number, verb, model))
        try:
            await awaited.given()
        except trio.Cancelled:
            self._tell(Drop(number))
            raise
        finally:
            del self._answers[number]

    # ---- what the supervisor says

    async def _hear(self, message: ToWorker, nursery: trio.Nursery, stop: Callable[[], None]) -> None:
        match message:
            case Stop():
                stop()
            case Together():
                self._together = True
            case Join():
                self._entered.set()
            case Follow():
                nursery.start_soon(self._follow, message)
            case Begin(change):
                self._verdicts[change] = _Awaited()
                # When it has started it stands in the repository's line: changes are made in the order they come in.
                await nursery.start(self._make, message)
            case Verdict(change, failure):
                if change in self._verdicts:
                    self._verdicts[change].come(failure)
            case Answer(ask, failure):
                if ask in self._answers:
                    self._answers[ask].come(failure)

    async def _make(self, begin: Begin, task_status: trio.TaskStatus[None]) -> None:
        failure = None
        # From here to the line it waits for nothing.
        task_status.started()
        try:
            match begin.verb:
                case "load":
                    await self._repository.load(begin.model, partial(self._agreed, begin.change))
                case "unload":
                    await self._repository.unload(begin.model)
        except InferError as error:
            failure = Failure.of(error)
        del self._verdicts[begin.change]
        self._tell(Over(begin.change, failure))

    async def _agreed(self, change: int) -> None:
        self._tell(Opened(change))
        await self._verdicts[change].given()

    # ---- its start

    async def _settle(self) -> None:
        """What was loaded since the start is found anew; the rest is as it was."""
        async with trio.open_nursery() as nursery:
            for model, made in self._post.made.items():
                if made.verb == "load":
                    nursery.start_soon(self._catch_up, model, made.verb)
        await self._repository.settled.wait()
        self._tell(Settled(self._post.number, self._failures()))

    async def _follow(self, follow: Follow) -> None:
        for model, verb in missed(self._made, follow.made):
            await self._catch_up(model, verb)
        self._made = follow.made
        self._tell(Settled(follow.number, self._failures()))

    async def _catch_up(self, model: str, verb: Verb) -> None:
        """Raises nothing: what cannot be opened is told, as at the start."""
        try:
            match verb:
                case "load":
                    await self._repository.load(model)
                case "unload":
                    await self._repository.unload(model)
        except InferError:
            if verb == "load":
                self._failed.add((model, ""))

    async def _tell_ready(self) -> None:
        while not self._is_ready():  # noqa: ASYNC110  # it depends on servers elsewhere, too
            await trio.sleep(_LOOK)
        self._tell(Ready())

    def _observe(self, event: Event) -> None:
        match event:
            case ModelFailed(model, version):
                self._failed.add((model, version))
            case ModelLoaded(model, version):
                self._failed -= {(model, version), (model, "")}

    def _failures(self) -> frozenset[str]:
        return frozenset(model for model, _ in self._failed)

    # ---- what is sent

    def _tell(self, message: FromWorker) -> None:
        self._outgoing.send_nowait(message)

    async def _send(self, stream: trio.SocketStream) -> None:
        try:
            async for message in self._sent:
                await stream.send_all(line(message))
        except trio.BrokenResourceError:
            return  # who reads sees it, too

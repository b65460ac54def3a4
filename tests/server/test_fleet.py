"""One worker's side, with a supervisor that says what the test says, over a real pair of sockets."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager

import networkx as nx
import pytest
import trio

from pipeline.errors import InferError, ModelNotFound, ModelNotReady
from pipeline.repository import Repository
from pipeline_serve import Pipeline, Step
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
    Verdict,
    line,
)
from server.crowd import Crowd
from server.fleet import Fleet
from server.forked import Post

BROKEN = Failure.of(ModelNotReady("m", "no weights"))


def model(name: str, load=None) -> Pipeline:
    class Answers:
        async def load(self):
            if load is not None:
                await load()

        async def __call__(self, rows):
            return rows

    dag = nx.DiGraph()
    dag.add_node("s", step=Step(run=Answers))
    return Pipeline(name, dag)


class Source:
    """Finds a new model under each of its names, unless it is to fail."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self.broken: set[str] = set()

    def names(self):
        return self._names

    async def find(self, name, /):
        await trio.lowlevel.checkpoint()
        if name in self.broken:
            raise ValueError("no weights")
        if name not in self._names:
            raise ModelNotFound(name)
        return [model(name)]

    async def unloaded(self, name, /):
        await trio.lowlevel.checkpoint()


class Supervisor:
    """The other end."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._lines = Lines(FromWorker)
        self._came: list[FromWorker] = []

    async def says(self, *messages) -> None:
        await self._stream.send_all(b"".join(map(line, messages)))

    async def hears(self, kind: type):
        """The next message of that kind."""
        with trio.fail_after(30):
            while True:
                for message in self._came:
                    if isinstance(message, kind):
                        self._came.remove(message)
                        return message
                self._came += self._lines.fed(bytes(await self._stream.receive_some()))

    async def ends(self) -> None:
        await self._stream.aclose()


@asynccontextmanager
async def working(source, *, member=True, made=None, number=0, is_ready=lambda: True, why=lambda: None):
    """A fleet's worker with its repository, its supervisor, and whether it has been told to stop."""
    ours, theirs = socket.socketpair()
    repository = Repository([], source)
    post = Post(0, Crowd(1).place(0), theirs, member, together=False, made=made or {}, number=number)
    fleet = Fleet(post, repository, is_ready, why)
    stopped = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(repository.serve)
        nursery.start_soon(fleet.serve, stopped.set)
        supervisor = Supervisor(trio.SocketStream(trio.socket.from_stdlib_socket(ours)))
        yield fleet, repository, supervisor, stopped
        await supervisor.ends()
        nursery.cancel_scope.cancel()


async def test_it_tells_when_its_start_is_over_what_failed_and_when_it_is_ready():
    source, ready = Source("m", "n"), []
    source.broken.add("n")
    async with working(source, is_ready=lambda: ready) as (fleet, _, supervisor, _):
        assert await supervisor.hears(Settled) == Settled(0, frozenset({"n"}))
        ready.append(True)
        assert await supervisor.hears(Ready) == Ready()
        assert not fleet.is_together()
        await supervisor.says(Together(), Begin(1, "unload", "m"))
        await supervisor.hears(Over)
        assert fleet.is_together()


async def test_what_was_changed_since_the_start_is_as_it_is_now():
    source, made = Source("m", "n", "late"), {"m": Made(1, "unload"), "late": Made(2, "load")}
    async with working(source, member=False, made=made, number=2) as (_, repository, supervisor, _):
        assert await supervisor.hears(Settled) == Settled(2, frozenset())
        assert set(repository.names()) == {"n", "late"}
        await supervisor.says(Follow(4, {**made, "m": Made(3, "load"), "n": Made(4, "unload")}))
        assert await supervisor.hears(Settled) == Settled(4, frozenset())
        assert set(repository.names()) == {"m", "late"}


async def test_it_takes_requests_when_it_is_told_to_or_stops_before():
    async with working(Source(), member=False) as (fleet, _, supervisor, _):
        entered, stopping = trio.Event(), trio.Event()

        async def enter():
            assert await fleet.entered(stopping)
            entered.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(enter)
            await supervisor.hears(Settled)
            assert not entered.is_set()
            await supervisor.says(Join())
            with trio.fail_after(30):
                await entered.wait()
    async with working(Source(), member=False) as (fleet, *_):
        stopping = trio.Event()
        stopping.set()
        with trio.fail_after(30):
            assert not await fleet.entered(stopping)


async def test_a_load_is_opened_and_served_once_all_have_opened_it():
    async with working(Source("m")) as (_, repository, supervisor, _):
        await supervisor.hears(Settled)
        before = repository.get("m")
        await supervisor.says(Begin(7, "load", "m"))
        assert await supervisor.hears(Opened) == Opened(7)
        assert repository.get("m") is before
        await supervisor.says(Verdict(7, None))
        assert await supervisor.hears(Over) == Over(7, None)
        assert repository.get("m") is not before


async def test_a_load_that_another_could_not_make_changes_nothing_and_is_told_in_its_words():
    async with working(Source("m")) as (_, repository, supervisor, _):
        await supervisor.hears(Settled)
        before = repository.get("m")
        # The verdict may come before this one has opened it.
        await supervisor.says(Begin(7, "load", "m"), Verdict(7, BROKEN))
        assert await supervisor.hears(Over) == Over(7, BROKEN)
        assert repository.get("m") is before


async def test_changes_are_made_in_the_order_in_which_they_come():
    async with working(Source("m")) as (_, repository, supervisor, _):
        await supervisor.hears(Settled)
        for number in range(1, 30, 2):
            await supervisor.says(
                Begin(number, "unload", "m"), Begin(number + 1, "load", "m"), Verdict(number + 1, None)
            )
            ends = [await supervisor.hears(Over), await supervisor.hears(Over)]
            assert {own.change: own.failure for own in ends} == {number: None, number + 1: None}
            assert repository.names() == ("m",)


async def test_what_a_caller_asks_for_is_asked_and_its_failure_raised():
    async with working(Source("m")) as (fleet, _, supervisor, _), trio.open_nursery() as nursery:
        failures = []

        async def load():
            try:
                await fleet.load("m")
            except InferError as error:
                failures.append(error.message)

        nursery.start_soon(load)
        asked = await supervisor.hears(Ask)
        assert (asked.verb, asked.model) == ("load", "m")
        await supervisor.says(Answer(asked.ask, BROKEN))
        with trio.fail_after(30):
            while not failures:
                await trio.lowlevel.checkpoint()
        assert failures == [BROKEN.message]
        with trio.move_on_after(0):
            await fleet.unload("m")
        assert await supervisor.hears(Ask) == Ask(2, "unload", "m")
        assert await supervisor.hears(Drop) == Drop(2)


async def test_a_stop_is_asked_of_all_and_told_to_each():
    async with working(Source(), why=lambda: ValueError("no weights")) as (fleet, _, supervisor, stopped):
        fleet.ask_stop()
        assert await supervisor.hears(AskStop) == AskStop("ValueError: no weights")
        assert not stopped.is_set()
        await supervisor.says(Stop())
        with trio.fail_after(30):
            await stopped.wait()


async def test_without_a_supervisor_it_stops_and_nobody_waits_for_one(caplog):
    async with working(Source("m")) as (fleet, _, supervisor, stopped), trio.open_nursery() as nursery:
        failed = trio.Event()

        async def load():
            with pytest.raises(ModelNotReady, match="Its supervisor has ended"):
                await fleet.load("m")
            failed.set()

        nursery.start_soon(load)
        await supervisor.hears(Ask)
        await supervisor.ends()
        with trio.fail_after(30):
            await stopped.wait()
            await failed.wait()
        with pytest.raises(InferError, match="Its supervisor has ended"):
            await fleet.unload("m")
    assert "the supervisor has ended" in caplog.text

"""Pulls have no rate until the start is over, nor while nothing answers requests; then they share one."""

from __future__ import annotations

from contextlib import asynccontextmanager

import networkx as nx
import trio

from pipeline.repository import Repository
from pipeline_serve import Pipeline, Step
from server.crews import crew_beside
from tests.storage.origin import slowly


def pipeline(name, load=None):
    class Loads:
        async def load(self):
            if load is not None:
                await load()

        async def __call__(self, rows):
            return rows

    dag = nx.DiGraph()
    dag.add_node("echo", step=Step(run=Loads))
    return Pipeline(name, dag)


async def breaks():
    raise OSError("no weights")


@asynccontextmanager
async def served(*pipelines):
    repository = Repository(pipelines)
    crew = crew_beside(repository)
    assert crew() is None
    async with trio.open_nursery() as nursery:
        await nursery.start(repository.serve)
        yield repository, crew
        nursery.cancel_scope.cancel()


async def test_beside_requests_pulls_share_one_rate():
    async with served(pipeline("m")) as (repository, crew):
        await repository.settled.wait()
        assert crew().pace is not None
        assert crew().pace is crew().pace
        await repository.unload("m")
        assert crew() is None, "a server without models keeps nobody waiting"


async def test_the_start_is_over_when_its_last_model_is_open_whatever_else_is_ready():
    let = trio.Event()
    async with served(pipeline("first"), pipeline("last", let.wait)) as (repository, crew):
        await trio.to_thread.run_sync(slowly, lambda: any(own.is_ready for own in repository))
        assert crew() is None
        let.set()
        await repository.settled.wait()
        assert crew() is not None


async def test_a_model_of_the_start_that_cannot_be_opened_keeps_no_pull_in_the_server():
    async with served(pipeline("one"), pipeline("broken", breaks)) as (repository, crew):
        await repository.settled.wait()
        assert not repository.ready("all")
        assert crew() is not None


async def test_with_nothing_that_is_ready_nobody_is_held_up():
    async with served(pipeline("broken", breaks)) as (repository, crew):
        await repository.settled.wait()
        assert crew() is None

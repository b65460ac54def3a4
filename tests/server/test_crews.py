"""Pulls have all connections until requests are answered, and then they share a rate."""

from __future__ import annotations

import networkx as nx
import trio

from pipeline.repository import Repository
from pipeline_serve import Pipeline, Step
from server.crews import FEW, crew_beside


def echo(rows):
    return rows


def pipeline(name):
    dag = nx.DiGraph()
    dag.add_node("echo", step=Step(run=echo))
    return Pipeline(name, dag)


async def test_beside_requests_a_few_share_one_rate_and_before_them_there_is_no_rate():
    repository = Repository([pipeline("m")])
    crew = crew_beside(repository, "all")
    assert crew() is None
    async with trio.open_nursery() as nursery:
        await nursery.start(repository.serve)
        await repository.load("m")
        assert (crew().least, crew().most) == (FEW, FEW)
        assert crew().pace is not None
        assert crew().pace is crew().pace
        await repository.unload("m")
        assert crew() is None, "a server without models keeps nobody waiting"
        nursery.cancel_scope.cancel()

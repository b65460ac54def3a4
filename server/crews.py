"""Who downloads: as many connections as it takes, or beside requests a few, in a process of their own and at a rate."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.repository import Repository
from storage.pace import Pace
from storage.transfer import Crew

FEW = 2
RATE = 128 * 2**20
"""Bytes a second, of all pulls of all workers together: see docs/adr/033, and benchmarks/pull_while_serving.py."""


def crew_beside(repository: Repository, ready: str) -> Callable[[], Crew | None]:
    """Asked as a pull begins. Until the server is ready, by that mode, and while it has no model, nobody waits."""
    few = Crew(least=FEW, most=FEW, pace=Pace(RATE))
    return lambda: few if repository.names() and repository.ready(ready) else None

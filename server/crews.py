"""Who downloads: as many connections as it takes, and beside requests in a process of their own and at a rate."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.repository import Repository
from storage.pace import Pace
from storage.transfer import Crew

LEAST = 8
RATE = 128 * 2**20
"""Bytes a second, of all pulls of all workers together: see docs/adr/033, and benchmarks/pull_while_serving.py."""


def crew_beside(repository: Repository) -> Callable[[], Crew | None]:
    """Asked as a pull begins. Those of the start are what a server is waited for, and so is the only model there is."""
    paced = Crew(least=LEAST, pace=Pace(RATE))
    return lambda: paced if repository.settled.is_set() and any(own.is_ready for own in repository) else None

"""Blueprints of the files on a command line, or every fault of all of them on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline import blueprint
from pipeline.blueprint import Blueprint
from pipeline.graph.source import Fault, GraphFaults
from server.config import environment
from storage import Storage

FAULTS = 2
"""The exit code of a command whose graph files have faults."""


def blueprints(files: Sequence[Path | str], storage: Storage | None = None) -> list[Blueprint] | None:
    """One per graph file, or model, in order; None where any has a fault, and all faults of all have been printed."""
    drawn: list[Blueprint] = []
    storage = storage or Storage(environment())
    faults: list[Fault] = []
    for file in files:
        try:
            drawn.append(blueprint.from_given(file, environment(), storage))
        except GraphFaults as found:
            faults += found.faults
    faults += twins(drawn)
    for fault in faults:
        print(fault, file=sys.stderr)  # noqa: T201
    return None if faults else drawn


def twins(drawn: Iterable[Blueprint]) -> list[Fault]:
    """A fault for each graph that has the name and the version of one before it."""
    first: dict[tuple[str, str], Blueprint] = {}
    faults: list[Fault] = []
    for own in drawn:
        name, version = own.spec.name, own.spec.version
        other = first.setdefault((name, version), own)
        if other is not own:
            message = f'two graphs are "{name}" in version "{version}", the first at {other.spec.at("name")}'
            way_out = (
                "give one of them another name or version" if own.spec.places.get("name") else "give this one a name"
            )
            faults.append(Fault(own.spec.at("name"), f"{message}; {way_out}"))
    return faults

"""Blueprints of the files on a command line, or every fault of all of them on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import storage
from pipeline import blueprint
from pipeline.blueprint import Blueprint
from pipeline.graph.source import GraphFaults

FAULTS = 2
"""The exit code of a command whose graph files have faults."""


def blueprints(files: Sequence[Path]) -> list[Blueprint] | None:
    """One per file, in order; None where any has a fault, and all faults of all files have been printed."""
    drawn: list[Blueprint] = []
    lines: list[str] = []
    for file in files:
        try:
            drawn.append(blueprint.from_file(file, os.environ, storage))
        except GraphFaults as faults:
            lines += [str(fault) for fault in faults.faults]
    taken: dict[tuple[str, str], Path] = {}
    for file, own in zip(files, drawn, strict=False) if not lines else ():
        key = own.spec.name, own.spec.version
        if key in taken:
            lines.append(f'{own.spec.at("name")}: {taken[key]} has the name "{key[0]}" and version "{key[1]}" already')
        taken.setdefault(key, file)
    for line in lines:
        print(line, file=sys.stderr)  # noqa: T201
    return None if lines else drawn

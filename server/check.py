"""``check``: every fault of the files, or their resolved edges."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.blueprint import Blueprint
from pipeline.code.load import is_private
from pipeline.graph.spec import Reference, StepSpec
from server.report import FAULTS, blueprints


def check_files(files: Sequence[Path]) -> int:
    """The exit code: 0, or 2 where a file has faults. Edges go to stdout, faults and notes to stderr."""
    drawn = blueprints(files)
    if drawn is None:
        return FAULTS
    for file, own in zip(files, drawn, strict=True):
        for line in edges(own):
            print(line)  # noqa: T201
        for line in _hidden_modules(file, own):
            print(line, file=sys.stderr)  # noqa: T201
    return 0


def edges(own: Blueprint) -> list[str]:
    """The graph as text: a line per edge, what is read on the left, who reads it on the right."""
    spec = own.spec
    count = len(own.graph.steps)
    head = f"{spec.name} (version {spec.version}): {count} step{'s' if count != 1 else ''}, no faults"
    rows = [(str(ref), step.name + (f".{to}" if to else "")) for step in own.graph.steps for to, ref in _reads(step)]
    rows += [(str(reference), "answer") for reference in own.graph.output]
    width = max(len(left) for left, _ in rows)
    return [head, *(f"  {left:{width}} → {right}" for left, right in rows)]


def _reads(step: StepSpec) -> list[tuple[str, Reference]]:
    if isinstance(step.inputs, tuple):
        return [("", reference) for reference in step.inputs]
    return list(step.inputs.items()) if step.inputs else []


def _hidden_modules(file: Path, own: Blueprint) -> list[str]:
    """Files of user code that could not have their own module name, since another graph's file has it."""
    notes = []
    for step in own.graph.steps:
        where = str(step.target).rpartition(":")[0]
        path = own.home.folder / where
        if where.endswith(".py") and any(
            is_private(name) and inspect.getsourcefile(module) == str(path)
            for name, module in list(sys.modules.items())
            if is_private(name)
        ):
            name = Path(where).stem
            notes.append(
                f'{step.at("run")}: note: another module is named "{name}"; {where} is loaded under a private name'
            )
    return list(dict.fromkeys(notes))

"""``check``: every fault of the files, or their resolved edges."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.blueprint import Blueprint
from pipeline.code.load import private_name, shared_names
from pipeline.graph.dag import readings_of
from pipeline.graph.edges import known_names
from pipeline.graph.source import Fault
from pipeline.graph.spec import Reference
from server.report import FAULTS, blueprints


def check_files(files: Sequence[Path | str], *, remotes: bool = False) -> int:
    """The exit code: 0, or 2 where a file has faults. Edges go to stdout, faults and notes to stderr.

    ``remotes``: the servers that the graphs call are asked what they take and give; one that cannot be is a note.
    """
    drawn = blueprints(files)
    if drawn is None:
        return FAULTS
    if remotes:
        # Half of what it imports is nothing to a check that asks nobody.
        from server.remotes import compared  # noqa: PLC0415

        found = compared(drawn)
        for line in (*found.faults, *found.notes):
            print(line, file=sys.stderr)  # noqa: T201
        if found.faults:
            return FAULTS
        drawn = found.drawn
    print("\n\n".join("\n".join(edges(own)) for own in drawn))  # noqa: T201
    for own in drawn:
        for note in (*hidden_modules(own), *shared_modules(own)):
            print(note, file=sys.stderr)  # noqa: T201
    return 0


def edges(own: Blueprint) -> list[str]:
    """The graph as text: a line per edge, in the order in which steps can run.

    What is read stands on the left, who reads it in the middle, and on the right the tensors that are known to flow.
    """
    steps = own.graph.steps
    rows: list[tuple[str, str, str]] = []
    for step in steps:
        readings = readings_of(step)
        rows += [(str(read), f"{step.name}.{to}" if to else step.name, _tensors(own, read)) for to, read in readings]
        if not readings:
            rows.append(("(nothing)", step.name, ""))
    rows += [(name.source, f"{step.name}.{key}", "called") for step in steps for key, name in step.handles.items()]
    for verb, references in own.graph.output.items():
        reader = "answer" if verb == "predict" else f"answer to {verb}"
        rows += [(str(reference), reader, _answer(own, verb, reference)) for reference in references]
    left = max(len(row[0]) for row in rows)
    middle = max(len(row[1]) for row in rows)
    count = f"{len(steps)} step{'s' if len(steps) != 1 else ''}"
    lines = [f"  {source:{left}} → {reader:{middle}}  {flows}".rstrip() for source, reader, flows in rows]
    return [f"{own.spec.name} (version {own.spec.version}): {count}, no faults", *lines]


def _tensors(own: Blueprint, reference: Reference) -> str:
    names = known_names(reference, own.graph, own.interfaces) or {}
    return ", ".join(f"{name} {spec}" if spec else name for name, spec in names.items() if spec or not reference.name)


def _answer(own: Blueprint, verb: str, reference: Reference) -> str:
    """What the schema promises of predictions, where there is one answer to promise it of."""
    promised = own.spec.outputs
    if verb == "predict" and promised and len(own.graph.output[verb]) == 1:
        return ", ".join(f"{name} {spec}" for name, spec in promised.items())
    return _tensors(own, reference)


def hidden_modules(own: Blueprint) -> Iterator[Fault]:
    """A note for each file of user code that could not have its own module name, since another module has it."""
    told: set[str] = set()
    for step in own.graph.steps:
        where = str(step.target).rpartition(":")[0]
        if step.action != "run" or not where.endswith(".py") or where in told:
            continue
        told.add(where)
        path = (own.home.folder / where).absolute()
        if path.stem.isidentifier() and private_name(path) in sys.modules:
            message = f'another module is named "{path.stem}"; {where} is loaded under a private name'
            yield Fault(step.at("run"), f"note: {message}")


def shared_modules(own: Blueprint) -> Iterator[Fault]:
    """A note for each file beside the graph that has the module name of a file beside another graph."""
    steps = {str(step.target).rpartition(":")[0] for step in own.graph.steps}
    for path in shared_names(own.home.folder):
        if path.name not in steps:
            message = (
                f'{path.name} is not the only module "{path.stem}"; import it at the top of a file, not in a function'
            )
            yield Fault(own.spec.place, f"note: {message}")

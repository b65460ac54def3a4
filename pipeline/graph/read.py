"""From located values to a GraphSpec: every key, type and unit checked by itself, all faults collected.

Nothing here looks from one step to another (that is ``dag.py``) or at user code (that is ``edges.py``). A Python graph
is read by the same code: ``declare`` turns keyword arguments into located values first.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from pipeline.graph.fields import Fields, kind_of, places_of
from pipeline.graph.source import Entry, Fault, Items, Node, Scalar, Table, plain
from pipeline.graph.spec import RESERVED, GraphSpec, Reference, StepSpec
from pipeline.graph.words import (
    LATER,
    LATER_PLACES,
    LATER_VERBS,
    PLACES,
    STEP_KEYS,
    TOP_KEYS,
    VERBS,
    later,
    listed,
    unknown,
)
from pipeline.tensors.signature import TensorSpec, parse_spec

# A minute is what callers of an HTTP API wait; requests past a thousand at once are better told to come back.
_DEADLINE = 60.0
_LIMIT = 1000
_QUEUE = 0

Kinds = Mapping[str, Collection[str]]
"""Action key → the option keys that belong to it, as the files of ``pipeline/steps/`` say."""


def read_graph(root: Node, *, name: str, kinds: Kinds, faults: list[Fault]) -> GraphSpec | None:
    """The graph under ``root``; what is wrong with it is appended to ``faults``.

    ``name`` stands in where the graph names none. None where there is too little to go on with.
    """
    if not isinstance(root, Table):
        faults.append(Fault(root.place, f"a graph is a map with the key steps, not {kind_of(root)}"))
        return None
    read = Fields(faults)
    for entry in root.entries:
        if entry.key not in TOP_KEYS:
            faults.append(Fault(entry.key_place, _refusal("key", entry.key, TOP_KEYS)))
    schema = read.table(root, "schema", {"inputs", "outputs"})
    steps = root.get("steps")
    if steps is None:
        faults.append(Fault(root.place, "the key steps is missing: a graph is a map of steps"))
    return GraphSpec(
        name=read.model_name(root, name),
        version=read.version(root),
        steps=tuple(_steps(steps, kinds, read)) if steps else (),
        output=_output(root, read),
        inputs=_specs(schema, "inputs", read),
        outputs=_specs(schema, "outputs", read),
        deadline=_deadline(root, read),
        limit=read.whole(root, "limit", least=1) or _LIMIT,
        queue=read.whole(root, "queue", least=0) or _QUEUE,
        place=root.place,
        places=places_of(root),
    )


def _steps(entry: Entry, kinds: Kinds, read: Fields) -> list[StepSpec]:
    match entry.node:
        case Table(entries=entries) if entries:
            named = [(step.key, step.key_place, step.node) for step in entries]
        case Items(nodes=nodes) if nodes:
            named = [(name, node.place, node) for node in nodes if (name := _function_name(node, read))]
            _refuse_twins(named, read)
        case node:
            read.wrong(node, "steps is a map of steps (or a list of functions) with at least one in it")
            return []
    steps = (_step(name, place, node, kinds, read) for name, place, node in named)
    return [step for step in steps if step is not None]


def _function_name(node: Node, read: Fields) -> str | None:
    """A list names its steps after their functions: ``app.py:clean`` is the step ``clean``."""
    match node:
        case Scalar(value=str() as text):
            target: str | None = text
        case Table():
            target = read.text(node, "run")
        case _:
            target = None
    if target is None:
        read.wrong(node, f"a list of steps holds functions like app.py:clean, not {kind_of(node)}; use a map")
        return None
    return re.split(r"[:.]", target)[-1]


def _refuse_twins(named: list[tuple[str, object, Node]], read: Fields) -> None:
    first: dict[str, object] = {}
    for name, place, node in named:
        if name in first:
            read.wrong(node, f'two steps are named "{name}", the first at {first[name]}; name them in a map')
        first.setdefault(name, place)


def _step(name: str, place: object, node: Node, kinds: Kinds, read: Fields) -> StepSpec | None:
    if not name.isidentifier() or keyword.iskeyword(name):
        read.faults.append(Fault(place, f'a step name is a Python identifier, not "{name}"'))
    if name in RESERVED:
        read.faults.append(Fault(place, f'"{name}" is reserved: it is what steps read; name the step otherwise'))
    match node:
        case Table() as table:
            pass
        case Scalar(value=None):
            read.wrong(node, f'step "{name}" is empty; it needs one of {listed(kinds)}')
            return None
        case Scalar(value=value) if isinstance(value, str) or callable(value):
            table = Table((Entry("run", node.place, node),), node.place)
        case _:
            read.wrong(node, f'step "{name}" is a map, or a text like app.py:name, not {kind_of(node)}')
            return None
    action = _action(name, place, table, kinds, read)
    options = kinds.get(action.key, ()) if action else frozenset().union(*kinds.values())
    _refuse_unknown(name, table, {*kinds, *STEP_KEYS, *options}, action, read)
    if action is None:
        return None
    return StepSpec(
        name=name,
        place=place,
        action=action.key,
        target=plain(action.node),
        options={key: plain(found.node) for key in options if (found := table.get(key))},
        inputs=_inputs(table, read),
        timeout=read.seconds(table, "timeout"),
        limit=read.whole(table, "limit", least=1),
        queue=read.whole(table, "queue", least=0),
        where=_where(table, read),
        places=places_of(table),
    )


def _action(name: str, place: object, table: Table, kinds: Kinds, read: Fields) -> Entry | None:
    actions = [entry for entry in table.entries if entry.key in kinds]
    match actions:
        case [action]:
            return action
        case [first, second, *_]:
            message = f'step "{name}" does two things, {first.key} and {second.key} (the first at {first.key_place})'
            read.faults.append(Fault(second.key_place, f"{message}; a step does exactly one"))
        case _:
            if not any(entry.key in LATER for entry in table.entries):
                read.faults.append(Fault(place, f'step "{name}" does nothing: it needs one of {listed(kinds)}'))
    return None


def _refuse_unknown(name: str, table: Table, known: Collection[str], action: Entry | None, read: Fields) -> None:
    for entry in table.entries:
        if entry.key not in known:
            kind = f'key of step "{name}"'
            message = _refusal(kind, entry.key, known)
            if action and entry.key not in LATER and entry.key in ("params", "runtime", "handles"):
                message = f'step "{name}": {entry.key} does not go with {action.key}'
            read.faults.append(Fault(entry.key_place, message))


def _inputs(table: Table, read: Fields) -> tuple[Reference, ...] | Mapping[str, Reference] | None:
    match table.get("inputs"):
        case None:
            return None
        case Entry(node=Items(nodes=nodes)):
            return tuple(found for node in nodes if (found := read.reference(node, "an input")))
        case Entry(node=Table(entries=entries)):
            named = {entry.key: read.reference(entry.node, f'input "{entry.key}"') for entry in entries}
            return {key: found for key, found in named.items() if found}
        case Entry(node=node):
            found = read.reference(node, "inputs")
            return (found,) if found else None


def _where(table: Table, read: Fields) -> str | None:
    where = read.text(table, "place")
    entry = table.get("place")
    if where is None or entry is None or where in PLACES:
        return where
    read.wrong(entry.node, later(f"place {where}") if where in LATER_PLACES else unknown("place", where, PLACES))
    return None


def _output(root: Table, read: Fields) -> tuple[Reference, ...]:
    match root.get("output"):
        case None:
            return ()
        case Entry(node=Table(entries=entries)):
            return _output_by_verb(entries, read)
        case Entry(node=Items(nodes=nodes)) if nodes:
            found = [read.reference(node, "an output") for node in nodes]
        case Entry(node=node):
            found = [read.reference(node, "output")]
    return tuple(reference for reference in found if reference)


def _output_by_verb(entries: tuple[Entry, ...], read: Fields) -> tuple[Reference, ...]:
    outputs: list[Reference | None] = []
    for entry in entries:
        if entry.key in LATER_VERBS:
            read.faults.append(Fault(entry.key_place, later(f"output by verb: {entry.key}")))
        elif entry.key not in VERBS:
            read.faults.append(Fault(entry.key_place, unknown("verb", entry.key, VERBS)))
        else:
            nodes = entry.node.nodes if isinstance(entry.node, Items) else (entry.node,)
            outputs += [read.reference(node, f"the output of {entry.key}") for node in nodes]
    return tuple(reference for reference in outputs if reference)


def _deadline(root: Table, read: Fields) -> float | None:
    match root.get("deadline"):
        case None:
            return _DEADLINE
        case Entry(node=Table(entries=entries)):
            deadline: float | None = _DEADLINE
            for entry in entries:
                if entry.key in LATER_VERBS:
                    read.faults.append(Fault(entry.key_place, later(f"a deadline for {entry.key}")))
                elif entry.key not in VERBS:
                    read.faults.append(Fault(entry.key_place, unknown("verb", entry.key, VERBS)))
                else:
                    deadline = _one_deadline(entry, read)
            return deadline
        case entry:
            return _one_deadline(entry, read)


def _one_deadline(entry: Entry, read: Fields) -> float | None:
    match entry.node:
        case Scalar(value="none"):
            return None
        case _:
            return read.duration(entry)


def _specs(schema: Table | None, side: str, read: Fields) -> dict[str, TensorSpec]:
    match schema.get(side) if schema else None:
        case None:
            return {}
        case Entry(node=Table(entries=entries)):
            specs: dict[str, TensorSpec] = {}
            for entry in entries:
                match entry.node:
                    case Scalar(value=str() as text):
                        _add_spec(specs, side, entry, text, read)
                    case node:
                        read.wrong(node, f'schema: "{entry.key}" is DTYPE[dims] like "FP32[n,4]", not {kind_of(node)}')
            return specs
        case Entry(node=node):
            read.wrong(node, f"schema: {side} is a map tensor → DTYPE[dims], not {kind_of(node)}")
            return {}


def _add_spec(specs: dict[str, TensorSpec], side: str, entry: Entry, text: str, read: Fields) -> None:
    try:
        spec = parse_spec(text)
    except ValueError as error:
        read.wrong(entry.node, f'schema: "{entry.key}": {error}')
        return
    if spec.optional and side == "outputs":
        read.wrong(entry.node, f'schema: "{entry.key}": only an input can be optional ("?")')
    specs[entry.key] = spec


def _refusal(kind: str, word: str, known: Collection[str]) -> str:
    return later(f"{word}") if word in LATER and word not in known else unknown(kind, word, known)


def declare(values: Mapping[str, Any], place: object, spots: Callable[[str], object] | None = None) -> Table:
    """Keyword arguments of a Python graph as located values.

    ``spots`` names the place of a key's value; everything stands at ``place`` without it.
    """
    entries = []
    for key, value in values.items():
        spot = spots(key) if spots else place
        entries.append(Entry(key, spot, _declared(value, spot)))
    return Table(tuple(entries), place)


def _declared(value: Any, place: object) -> Node:
    match value:
        case Mapping():
            return declare({str(key): inner for key, inner in value.items()}, place)
        case list() | tuple():
            return Items(tuple(_declared(inner, place) for inner in value), place)
        case _:
            return Scalar(value, place)

"""From located values to a GraphSpec: every key, type and unit checked by itself, all faults collected.

Nothing here looks from one step to another (that is ``dag.py``) or at user code (that is ``agree.py``). A Python graph
is read by the same code, once ``python.py`` has made located values of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from pipeline.graph.fields import Fields, kind_of, places_of
from pipeline.graph.read_step import Kinds, read_step
from pipeline.graph.source import Entry, Fault, Items, Node, Scalar, Table
from pipeline.graph.spec import GraphSpec, Reference, StepSpec
from pipeline.graph.words import LATER_READERS, LATER_TOP, TOP_KEYS, VERBS
from pipeline.tensors.signature import TensorSpec, parse_spec

# A minute is what callers of an HTTP API wait; requests past a thousand at once are better told to come back.
_DEADLINE = 60.0
_LIMIT = 1000
_QUEUE = 0

_ANSWER = "a step or step.tensor"


def read_graph(root: Node, *, name: str, kinds: Kinds, faults: list[Fault]) -> GraphSpec | None:
    """The graph under ``root``; what is wrong with it is appended to ``faults``.

    ``name`` stands in where the graph names none. None where there is too little to go on with.
    """
    if not isinstance(root, Table):
        faults.append(Fault(root.place, f"a graph is a map with the key steps, not {kind_of(root)}"))
        return None
    read = Fields(faults)
    top = read.known(root, TOP_KEYS, LATER_TOP)
    schema = read.table(top, "schema", ("inputs", "outputs"))
    steps = top.get("steps")
    if steps is None:
        faults.append(Fault(top.place, "the key steps is missing: a graph is a map of steps"))
    inputs, unread_inputs = _specs(schema, "inputs", read)
    outputs, unread_outputs = _specs(schema, "outputs", read)
    output = _output(top, read)
    return GraphSpec(
        name=read.model_name(top, name),
        version=read.version(top),
        steps=tuple(_steps(steps, kinds, read)) if steps else (),
        output=output,
        inputs=inputs,
        outputs=outputs,
        deadline=_deadline(top, {"predict", *output}, read),
        limit=read.whole(top, "limit", least=1) or _LIMIT,
        queue=read.whole(top, "queue", least=0) or _QUEUE,
        place=top.place,
        places=places_of(top),
        unread=frozenset((*unread_inputs, *unread_outputs)),
        is_open=steps is not None and _is_open(steps.node),
    )


def _steps(entry: Entry, kinds: Kinds, read: Fields) -> list[StepSpec]:
    match entry.node:
        case Table(entries=entries) if entries:
            return [read_step(step.key, step.key_place, step.node, kinds, read) for step in entries]
        case Items(nodes=nodes) if nodes:
            return _listed_steps(nodes, kinds, read)
        case node:
            read.wrong(node, f"steps is a map of steps, or a list of functions, not {_emptiness(node)}")
            return []


def _emptiness(node: Node) -> str:
    match node:
        case Table() | Items():
            return f"{kind_of(node)} with nothing in it"
        case _:
            return kind_of(node)


def _listed_steps(nodes: tuple[Node, ...], kinds: Kinds, read: Fields) -> list[StepSpec]:
    """A list names its steps after their functions: ``app.py:clean`` is the step ``clean``."""
    steps: dict[str, StepSpec] = {}
    for position, node in enumerate(nodes, start=1):
        name = _function_name(node)
        step = read_step(name or f"#{position}", node.place, node, kinds, read, named=name is not None)
        if name is None and step.action not in ("", "run"):
            read.wrong(node, f"a step in a list is named after its function, and {step.action} has none; use a map")
        if step.name in steps:
            first = steps[step.name].place
            read.wrong(node, f'two steps are named "{step.name}", the first at {first}; name them in a map')
        steps.setdefault(step.name, step)
    return list(steps.values())


def _function_name(node: Node) -> str | None:
    """None where there is none that could be a name: what is wrong with the function is found when it is loaded."""
    match node:
        case Scalar(value=str() as text):
            name = re.split(r"[:.]", text)[-1]
            return name if name.isidentifier() else None
        case Table() as table if entry := table.get("run"):
            return _function_name(entry.node)
        case _:
            return None


def _is_open(steps: Node) -> bool:
    """Whether some step has a word that is not built yet and decides which steps are read."""
    match steps:
        case Table(entries=entries):
            nodes = tuple(entry.node for entry in entries)
        case Items(nodes=nodes):
            pass
        case _:
            return False
    return any(isinstance(node, Table) and any(entry.key in LATER_READERS for entry in node.entries) for node in nodes)


def _output(top: Table, read: Fields) -> Mapping[str, tuple[Reference, ...]]:
    match top.get("output"):
        case None:
            return {}
        case Entry(node=Table(entries=entries) as node) if entries:
            by_verb = read.known(node, VERBS, of="output: ", key="verb")
            return {entry.key: _answers(entry, f"the output of {entry.key}", read) for entry in by_verb.entries}
        case entry:
            return {"predict": _answers(entry, "output", read)}


def _answers(entry: Entry, what: str, read: Fields) -> tuple[Reference, ...]:
    nodes = entry.node.nodes if isinstance(entry.node, Items) and entry.node.nodes else (entry.node,)
    return tuple(read.reference(node, what, _ANSWER) for node in nodes)


def _deadline(top: Table, answered: Collection[str], read: Fields) -> Mapping[str, float | None]:
    """Verb → seconds. One for a verb that is not ``answered`` is a fault."""
    match top.get("deadline"):
        case None:
            return dict.fromkeys(VERBS, _DEADLINE)
        case Entry(node=Table() as node):
            by_verb = read.known(node, VERBS, of="deadline: ", key="verb")
            for entry in node.entries:
                if entry.key in VERBS and entry.key not in answered:
                    way_out = f"output: {{{entry.key}: STEP}} says which one does"
                    read.faults.append(Fault(entry.key_place, f"deadline: no step answers {entry.key}; {way_out}"))
            named = {
                entry.key: _one_deadline(Entry("deadline", entry.key_place, entry.node), read)
                for entry in by_verb.entries
            }
            return dict.fromkeys(VERBS, _DEADLINE) | named
        case entry:
            return dict.fromkeys(VERBS, _one_deadline(entry, read))


def _one_deadline(entry: Entry, read: Fields) -> float | None:
    match entry.node:
        case Scalar(value="none"):
            return None
        case _:
            return read.duration(entry, or_else=", or none")


def _specs(schema: Table | None, side: str, read: Fields) -> tuple[Mapping[str, TensorSpec], Collection[str]]:
    """The tensors of one side, and ``side.name`` of those that cannot be read."""
    match schema.get(side) if schema else None:
        case None:
            return {}, ()
        case Entry(node=Table(entries=entries)):
            found = {entry.key: _spec(side, entry, read) for entry in entries}
            specs = {name: spec for name, spec in found.items() if spec is not None}
            return specs, [f"{side}.{name}" for name in found if name not in specs]
        case Entry(node=node):
            read.wrong(node, f"schema: {side} is a map tensor → DTYPE[dims], not {kind_of(node)}")
            return {}, ()


def _spec(side: str, entry: Entry, read: Fields) -> TensorSpec | None:
    match entry.node:
        case Scalar(value=str() as text):
            pass
        case node:
            read.wrong(node, f'schema: "{entry.key}" is DTYPE[dims] like "FP32[n,4]", not {kind_of(node)}')
            return None
    try:
        spec = parse_spec(text)
    except ValueError as error:
        read.wrong(entry.node, f'schema: "{entry.key}": {error}')
        return None
    if spec.optional and side == "outputs":
        read.wrong(entry.node, f'schema: "{entry.key}": only an input can be optional ("?")')
    return spec

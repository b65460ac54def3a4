"""One step of the tree → a StepSpec, whatever is wrong with it: others may still read it, and have faults of their own.

Knows the words that every step has; which actions there are, and their options, it is told.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Collection, Mapping

from pipeline.graph.fields import Fields, kind_of, places_of
from pipeline.graph.scalars import shown
from pipeline.graph.source import Entry, Fault, Items, Node, Scalar, Table, plain
from pipeline.graph.spec import RESERVED, UNREAD, Reference, StepSpec
from pipeline.graph.words import HANDLES, LATER_PLACES, LATER_STEP, PLACES, STEP_KEYS, later, listed, unknown

Kinds = Mapping[str, Collection[str]]
"""Action key → the option keys that belong to it, as the files of ``pipeline/steps/`` say."""


def read_step(name: str, place: object, node: Node, kinds: Kinds, read: Fields, *, named: bool = True) -> StepSpec:
    """The step under ``node``; what is wrong with it is noted in ``read``.

    ``place`` is where its name stands; ``named`` is false where the author gave it none.
    """
    own_name = _checked_name(name, place, read) if named else name
    written = _keys(name, node, kinds, read)
    every_option = frozenset[str]().union(*kinds.values())
    known = {*kinds, *STEP_KEYS, *every_option}
    table = read.known(written or Table((), node.place), known, LATER_STEP - known, of=f'step "{name}": ')
    # Beside a key that is a fault, to do nothing is none: that key may have been the action.
    may_be_idle = written is None or table.entries != written.entries
    action = _action(name, place, table, kinds, read, may_be_idle=may_be_idle)
    options = kinds[action.key] if action else every_option
    for entry in written.entries if written else ():
        if action and entry.key in every_option and entry.key not in options:
            read.faults.append(Fault(entry.key_place, f'step "{name}": {entry.key} does not go with {action.key}'))
    return StepSpec(
        name=own_name,
        place=place,
        action=action.key if action else "",
        target=plain(action.node) if action else None,
        options={key: plain(found.node) for key in sorted(options) if key != HANDLES and (found := table.get(key))},
        inputs=_inputs(node, table, read),
        timeout=read.seconds(table, "timeout"),
        limit=read.whole(table, "limit", least=1),
        queue=read.whole(table, "queue", least=0),
        where=_where(table, read),
        places=places_of(table),
        handles=_handles(table, read) if HANDLES in options else {},
        each=read.text(table, "each"),
        detached=read.truth(table, "detached"),
        warmup=_warmup(table, read),
    )


def _checked_name(name: str, place: object, read: Fields) -> str:
    if name in RESERVED:
        read.faults.append(Fault(place, f'"{name}" is reserved: it is what steps read; name the step otherwise'))
        # Under a name that no reference can have, so that "request" goes on meaning the request.
        return f"{name} "
    # Python takes an identifier for its NFKC form; two spellings of one name would be two steps, and one parameter.
    if not name.isidentifier() or keyword.iskeyword(name) or unicodedata.normalize("NFKC", name) != name:
        other = re.sub(r"\W", "_", shown(name))
        other = f'; write "{other}"' if other.isidentifier() and not keyword.iskeyword(other) else ""
        read.faults.append(Fault(place, f'a step name is a Python identifier, not "{shown(name)}"{other}'))
    return name


def _keys(name: str, node: Node, kinds: Kinds, read: Fields) -> Table | None:
    """The step as a map of keys: a bare text is short for ``run``. None where it is neither."""
    match node:
        case Table():
            return node
        case Scalar(value=Fault() as fault):  # a node of a Python graph that is no step
            read.faults.append(fault)
        case Scalar(value=None):
            read.wrong(node, f'step "{name}" is empty; it needs {_one_of(kinds)}')
        case Scalar(value=value) if isinstance(value, str) or callable(value):
            return Table((Entry("run", node.place, node),), node.place)
        case _:
            read.wrong(node, f'step "{name}" is a map, or a text like app.py:name, not {kind_of(node)}')
    return None


def _action(name: str, place: object, table: Table, kinds: Kinds, read: Fields, *, may_be_idle: bool) -> Entry | None:
    """What the step does; None where that is nothing, or two things."""
    actions = [entry for entry in table.entries if entry.key in kinds]
    match actions:
        case [action]:
            return action
        case [first, second, *_]:
            message = f'step "{name}" does two things, {first.key} and {second.key} (the first at {first.key_place})'
            read.faults.append(Fault(second.key_place, f"{message}; a step does exactly one"))
        case _ if not may_be_idle:
            read.faults.append(Fault(place, f'step "{name}" does nothing: it needs {_one_of(kinds)}'))
    return None


def _inputs(node: Node, table: Table, read: Fields) -> tuple[Reference, ...] | Mapping[str, Reference] | None:
    match table.get("inputs"):
        case None if isinstance(node, Scalar) and isinstance(node.value, Fault):
            return (Reference(UNREAD, None, node.place),)
        case None:
            return None
        case Entry(node=Items(nodes=nodes)):
            return tuple(read.reference(node, "an input") for node in nodes)
        case Entry(node=Table(entries=entries)):
            return {entry.key: read.reference(entry.node, f'input "{entry.key}"') for entry in entries}
        case Entry(node=node):
            return (read.reference(node, "inputs"),)


def _handles(table: Table, read: Fields) -> Mapping[str, Reference]:
    match table.get(HANDLES):
        case None:
            return {}
        case Entry(node=Table(entries=entries)):
            return {entry.key: read.reference(entry.node, f'handle "{entry.key}"', "a step") for entry in entries}
        case Entry(node=node):
            read.wrong(node, f"handles is a map name → step, not {kind_of(node)}")
            names = [own for own in (node.nodes if isinstance(node, Items) else (node,)) if isinstance(own, Scalar)]
            texts = [own.value for own in names if isinstance(own.value, str)]
            return {text: Reference(text, None, node.place, guessed=True) for text in texts}


def _where(table: Table, read: Fields) -> str | None:
    where = read.text(table, "place")
    entry = table.get("place")
    if where is None or entry is None or where in PLACES:
        return where
    read.wrong(entry.node, later(f"place {where}") if where in LATER_PLACES else unknown("place", shown(where), PLACES))
    return None


def _warmup(table: Table, read: Fields) -> bool | str | None:
    match table.get("warmup"):
        case None:
            return None
        case Entry(node=Scalar(value=bool() | str() as value)) if value != "":
            return value
        case Entry(node=node):
            read.wrong(node, f"warmup is true, false, or the file of a request, not {kind_of(node)}")
            return None


def _one_of(kinds: Kinds) -> str:
    return f"one of {listed(sorted(kinds))}"

"""One key of a map at a time: its value in the form it must have, or a located fault and what can be gone on with."""

from __future__ import annotations

import re
from collections.abc import Collection

from pipeline.graph import units
from pipeline.graph.scalars import shown
from pipeline.graph.source import Entry, Fault, Items, Node, Scalar, Table
from pipeline.graph.spec import HEADERS, PARAMETERS, UNREAD, Reference
from pipeline.graph.words import later, listed, near, unknown

# What fits one segment of /v1/models/NAME:predict without escapes that proxies disagree on.
MAX_NAME = 128
_MODEL_NAME = re.compile(rf"\w[\w.\-]{{0,{MAX_NAME - 1}}}")
NAME_RULE = f'letters, digits, ".", "_" and "-", at most {MAX_NAME}'


def is_model_name(name: str) -> bool:
    """Whether every client can address a model of that name."""
    return _MODEL_NAME.fullmatch(name) is not None


class Fields:
    """Reads keys of maps; what is wrong with one is appended to ``faults``."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults

    def wrong(self, node: Node, message: str) -> None:
        """Notes a fault where ``node`` stands."""
        self.faults.append(Fault(node.place, message))

    def known(
        self, table: Table, known: Collection[str], promised: Collection[str] = (), *, of: str = "", key: str = "key"
    ) -> Table:
        """The table with the ``known`` keys alone; each other is a fault, or not built yet where it is ``promised``.

        A misspelt key is then read as the one it was meant to be, so that its value is checked now and its absence is
        no second fault. ``of`` opens the messages: whose keys they are; ``key`` is the word for one.
        """
        kept = {entry.key: entry for entry in table.entries if entry.key in known}
        for entry in table.entries:
            if entry.key in known:
                continue
            refusal = later(entry.key) if entry.key in promised else unknown(key, shown(entry.key), known, promised)
            self.faults.append(Fault(entry.key_place, of + refusal))
            meaning = near(entry.key, {*known, *promised})
            if meaning is not None and meaning in known and entry.key not in promised:
                kept.setdefault(meaning, Entry(meaning, entry.key_place, entry.node))
        return Table(tuple(kept.values()), table.place)

    def text(self, table: Table, key: str) -> str | None:
        match table.get(key):
            case None:
                return None
            case Entry(node=Scalar(value=str() as value)):
                return value
            case Entry(node=node):
                self.wrong(node, f"{key} is a text, not {kind_of(node)}")
                return None

    def whole(self, table: Table, key: str, *, least: int) -> int | None:
        match table.get(key):
            case None:
                return None
            case Entry(node=Scalar(value=int() as value)) if not isinstance(value, bool) and value >= least:
                return value
            case Entry(node=node):
                self.wrong(node, f"{key} is a whole number, {least} or more, not {kind_of(node)}")
                return None

    def truth(self, table: Table, key: str) -> bool:
        """False where it is not said."""
        match table.get(key):
            case None:
                return False
            case Entry(node=Scalar(value=bool() as value)):
                return value
            case Entry(node=node):
                self.wrong(node, f"{key} is true or false, not {kind_of(node)}")
                return False

    def seconds(self, table: Table, key: str) -> float | None:
        entry = table.get(key)
        return None if entry is None else self.duration(entry)

    def duration(self, entry: Entry, *, or_else: str = "") -> float | None:
        """Seconds, more than 0. ``or_else``: what else may stand there, for the message."""
        match entry.node:
            case Scalar(value=str() | int() | float() as value) if not isinstance(value, bool):
                try:
                    seconds = units.duration(str(value))
                except ValueError as error:
                    self.wrong(entry.node, f"{entry.key}: {error}")
                    return None
                if seconds > 0:
                    return seconds
                self.wrong(entry.node, f"{entry.key} is more than 0, not {value}")
                return None
            case node:
                self.wrong(node, f"{entry.key} is a duration like 300ms or 2s{or_else}, not {kind_of(node)}")
                return None

    def table(self, table: Table, key: str, known: Collection[str]) -> Table | None:
        match table.get(key):
            case None:
                return None
            case Entry(node=Table() as inner):
                return self.known(inner, known, of=f"{key}: ")
            case Entry(node=node):
                self.wrong(node, f"{key} is a map with the keys {listed(sorted(known))}, not {kind_of(node)}")
                return None

    def model_name(self, table: Table, default: str) -> str:
        entry = table.get("name")
        name = default if entry is None else self.text(table, "name")
        if name is not None and not is_model_name(name):
            hint = "" if entry else ", and without a name the graph has its file's: give it a name"
            place = entry.node.place if entry else table.place
            self.faults.append(Fault(place, f'a model name is {NAME_RULE}, not "{shown(name)}"{hint}'))
        return name or default

    def version(self, table: Table) -> str:
        match table.get("version"):
            case None:
                return "1"
            case Entry(node=Scalar(value=int() as number)) if not isinstance(number, bool) and number >= 0:
                return str(number)
            case Entry(node=Scalar(value=str() as text)) if is_model_name(text):
                return text
            case Entry(node=Scalar(value=str() as text) as node):
                self.wrong(node, f'a version is {NAME_RULE}, not "{shown(text)}"')
                return "1"
            case Entry(node=node):
                self.wrong(node, f'version is a whole number, or a text like "1.2" in quotes, not {kind_of(node)}')
                return "1"

    def reference(self, node: Node, what: str, expected: str = "a step, step.tensor or request") -> Reference:
        """What the node refers to; its source is UNREAD where that is a fault."""
        match node:
            case Scalar(value=str() as text) if text.strip():
                source, dot, name = text.partition(".")
                if dot and not (source and name):
                    missing = "after" if source else "before"
                    self.wrong(node, f'{what} is "{shown(text)}": a name is missing {missing} the dot')
                elif source in (HEADERS, PARAMETERS) and not dot:
                    self.wrong(node, f'{what} is "{text}": say which one, {text}.NAME')
                else:
                    return Reference(source, name.lower() if source == HEADERS else name or None, node.place)
            case _:
                self.wrong(node, f"{what} is {expected}, not {kind_of(node)}")
        return Reference(UNREAD, None, node.place)


def kind_of(node: Node) -> str:
    """What stands there, for an error message."""
    match node:
        case Table():
            return "a map"
        case Items():
            return "a list"
        case Scalar(value=None):
            return "nothing"
        case Scalar(value=bool() as value):
            return str(value).lower()
        case Scalar(value=str() as value):
            return f'the text "{shown(value)}"'
        case Scalar(value=value):
            return shown(str(value))


def places_of(table: Table, prefix: str = "") -> dict[str, object]:
    """``key``, ``key.inner``, ``key.inner.name`` → where its value stands (as deep as a fault points)."""
    places: dict[str, object] = {}
    for entry in table.entries:
        path = prefix + entry.key
        places[path] = entry.node.place
        if isinstance(entry.node, Table) and path.count(".") < 2:
            places |= places_of(entry.node, f"{path}.")
    return places

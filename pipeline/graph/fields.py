"""One key of a map at a time: its value in the form it must have, or None and a located fault."""

from __future__ import annotations

import re
from collections.abc import Collection

from pipeline.graph import units
from pipeline.graph.source import Entry, Fault, Items, Node, Scalar, Table
from pipeline.graph.spec import HEADERS, PARAMETERS, Reference
from pipeline.graph.words import listed, unknown

# What fits one segment of /v1/models/NAME:predict without escapes that proxies disagree on.
_MODEL_NAME = re.compile(r"\w[\w.\-]*")


class Fields:
    """Reads keys of maps; what is wrong with one is appended to ``faults``."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults

    def wrong(self, node: Node, message: str) -> None:
        """Notes a fault where ``node`` stands."""
        self.faults.append(Fault(node.place, message))

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

    def seconds(self, table: Table, key: str) -> float | None:
        entry = table.get(key)
        return None if entry is None else self.duration(entry)

    def duration(self, entry: Entry) -> float | None:
        match entry.node:
            case Scalar(value=str() | int() | float() as value) if not isinstance(value, bool):
                try:
                    seconds = units.duration(str(value))
                except ValueError as error:
                    self.wrong(entry.node, f"{entry.key}: {error}")
                    return None
                if seconds > 0:
                    return seconds
                self.wrong(entry.node, f"{entry.key} is more than 0")
                return None
            case node:
                self.wrong(node, f"{entry.key} is a duration like 300ms or 2s, not {kind_of(node)}")
                return None

    def table(self, table: Table, key: str, known: Collection[str]) -> Table | None:
        match table.get(key):
            case None:
                return None
            case Entry(node=Table() as inner):
                for entry in inner.entries:
                    if entry.key not in known:
                        self.faults.append(Fault(entry.key_place, unknown(f"key of {key}", entry.key, known)))
                return inner
            case Entry(node=node):
                self.wrong(node, f"{key} is a map with the keys {listed(sorted(known))}, not {kind_of(node)}")
                return None

    def model_name(self, table: Table, default: str) -> str:
        entry = table.get("name")
        name = default if entry is None else self.text(table, "name")
        if name is not None and not _MODEL_NAME.fullmatch(name):
            hint = "" if entry else ", and the file is named so: give the graph a name"
            place = entry.node.place if entry else table.place
            self.faults.append(Fault(place, f'a model name is letters, digits, ".", "_" and "-", not "{name}"{hint}'))
        return name or default

    def version(self, table: Table) -> str:
        match table.get("version"):
            case None:
                return "1"
            case Entry(node=Scalar(value=int() as number)) if not isinstance(number, bool) and number >= 0:
                return str(number)
            case Entry(node=Scalar(value=str() as text)) if _MODEL_NAME.fullmatch(text):
                return text
            case Entry(node=node):
                self.wrong(node, f'version is a whole number or a text like "1", not {kind_of(node)}')
                return "1"

    def reference(self, node: Node, what: str) -> Reference | None:
        match node:
            case Scalar(value=str() as text) if text.strip():
                source, dot, name = text.partition(".")
                if dot and not name:
                    self.wrong(node, f'{what} is "{text}": a name is missing after the dot')
                    return None
                if source in (HEADERS, PARAMETERS) and not dot:
                    self.wrong(node, f'{what} is "{text}": say which one, {text}.NAME')
                    return None
                return Reference(source, name.lower() if source == HEADERS else name or None, node.place)
            case _:
                self.wrong(node, f"{what} is a step, step.tensor or request, not {kind_of(node)}")
                return None


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
            return f'the text "{value[:60]}"'
        case Scalar(value=value):
            return str(value)[:60]


def places_of(table: Table, prefix: str = "") -> dict[str, object]:
    """``key`` and ``key.inner`` → where its value stands (one level down is as deep as a fault points)."""
    places: dict[str, object] = {}
    for entry in table.entries:
        places[prefix + entry.key] = entry.node.place
        if isinstance(entry.node, Table) and not prefix:
            places |= places_of(entry.node, f"{entry.key}.")
        elif isinstance(entry.node, Table):
            places |= {f"{prefix}{entry.key}.{inner.key}": inner.node.place for inner in entry.node.entries}
    return places

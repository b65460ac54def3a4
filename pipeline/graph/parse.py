"""Bytes of a graph file → a tree of values that know where they stand, or every fault of the file at once.

The parser's events are read, not its nodes: they come one at a time, so that depth, aliases and size are bounded before
memory or the stack is spent, and duplicate keys are still there to be seen. Nothing here opens a file, reads
``os.environ`` or knows which keys a graph has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Never

from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from pipeline.graph.events import Unreadable, events
from pipeline.graph.scalars import CORE_TAG, filled, joined, refused_tag, shown, tagged, typed
from pipeline.graph.source import Entry, Fault, Items, Node, Place, Scalar, Table, plain

# Values after aliases are expanded: ten thousand steps of ten keys. Ten lines of aliases can stand for 10**10 of them.
MAX_VALUES = 100_000
# Lists and maps inside each other: params go five deep, and what walks the tree recursively stays far from its limit.
MAX_DEPTH = 64


def parse(data: bytes, file: str, environment: Mapping[str, str], faults: list[Fault]) -> Node | None:
    """The tree of a graph file's bytes, with ``${VAR}`` and ``${VAR:-default}`` filled in from ``environment``.

    ``file`` is the path as the user gave it; it is written in places, never opened. An alias stands where it is
    written, what is inside it where the anchor is. An empty value stands at the end of its key. Faults are appended,
    the tree is what there is beside them: None where the file is no tree, and where a value cannot be told, something
    else in its place.
    """
    builder = _Builder(file, environment)
    try:
        for event in events(data, file):
            builder.take(event)
    except Unreadable as end:
        faults += (*builder.faults, Fault(Place(file, end.line, end.column), end.message))
        return None
    faults += builder.faults
    if builder.root is None and not faults:
        faults.append(Fault(Place(file, 1, 1), "the file is empty; a graph is a map with the key steps"))
    return builder.root


@dataclass(frozen=True, slots=True)
class _Built:
    """A finished node; how many values and levels it stands for when its aliases are expanded."""

    node: Node
    size: int = 1
    height: int = 0


@dataclass(frozen=True, slots=True)
class _Key:
    """A key that waits for its value. ``text`` is None where the key is a fault: the value is read for its own."""

    text: str | None
    place: object
    end: Place
    merge: bool


@dataclass(slots=True)
class _Open:
    """A list or a map whose end has not come. ``written``: the keys in it so far, those of merged maps left out."""

    place: Place
    anchor: str | None
    table: bool
    nodes: list[Node] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    written: dict[str, object] = field(default_factory=dict)
    key: _Key | None = None
    size: int = 1
    height: int = 1

    def node(self) -> Node:
        return Table(tuple(self.entries.values()), self.place) if self.table else Items(tuple(self.nodes), self.place)


class _Builder:
    """One event after another; ``root`` and ``faults`` are what came of them. Nesting is a list, not a call stack."""

    def __init__(self, file: str, environment: Mapping[str, str]) -> None:
        self.root: Node | None = None
        self.faults: list[Fault] = []
        self._file = file
        self._environment = environment
        self._document: Place | None = None
        self._open: list[_Open] = []
        self._anchors: dict[str, _Built | None] = {}  # None: its node is still open

    def take(self, event: Event) -> None:
        match event:
            case ScalarEvent():
                self._scalar(event)
            case MappingStartEvent() | SequenceStartEvent():
                self._start(event)
            case MappingEndEvent() | SequenceEndEvent():
                self._close(self._place(event.end_mark))
            case AliasEvent():
                self._alias(event)
            case DocumentStartEvent():
                self._begin(event)

    def _place(self, mark: Any) -> Place:
        return Place(self._file, mark.line + 1, mark.column + 1)

    def _fault(self, place: object, message: str) -> None:
        self.faults.append(Fault(place, message))

    def _begin(self, event: DocumentStartEvent) -> None:
        place = self._place(event.start_mark)
        if self._document:
            _stop(place, f"a second YAML document, the first starts at {self._document}; one file is one graph")
        if event.version not in (None, (1, 2)):
            version = ".".join(str(number) for number in event.version)
            _stop(place, f"%YAML {version} above: a graph file is YAML 1.2; remove that line")
        self._document = place

    def _scalar(self, event: ScalarEvent) -> None:
        place = self._place(event.start_mark)
        parent = self._open[-1] if self._open else None
        is_key = parent is not None and parent.table and parent.key is None
        if event.start_mark.index == event.end_mark.index:  # nothing is written there
            if parent is None:
                return
            if parent.key:
                place = parent.key.end  # the parser's mark is that of the next token, often on the next line
        built = _Built(Scalar(self._value(event, place, is_key=is_key), place))
        if event.anchor:
            self._anchors[event.anchor] = built
        merge = event.value == "<<" and event.style is None and event.ctag is None
        self._add(built, self._place(event.end_mark), merge=merge)

    def _value(self, event: ScalarEvent, place: Place, *, is_key: bool) -> object:
        text = str(event.value)
        tag = None if event.ctag is None else str(event.ctag)
        if not is_key and "${" in text:
            text, problems = filled(text, self._environment)
            for problem in problems:
                self._fault(place, problem)
            if problems:
                return text
        try:
            text = joined(text)
            if tag not in (None, "!"):
                value = tagged(text, str(tag))
            else:
                value = typed(text) if event.style is None and tag is None else text
        except ValueError as error:
            self._fault(place, str(error))
            return text
        if is_key and not isinstance(value, str):
            key = shown(text)
            self._fault(place, f'key {key or "(empty)"} is {_kind(value)}, and keys are texts; quote it: "{key}"')
            return text
        return value

    def _start(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        place = self._place(event.start_mark)
        self._refuse_depth(place, len(self._open) + 1)
        table = isinstance(event, MappingStartEvent)
        tag = None if event.ctag is None else str(event.ctag)
        if tag not in (None, "!", f"{CORE_TAG}{'map' if table else 'seq'}"):
            self._fault(place, refused_tag(str(tag), "a map" if table else "a list"))
        if event.anchor:
            self._anchors[event.anchor] = None
        self._open.append(_Open(place, event.anchor, table))

    def _close(self, end: Place) -> None:
        closed = self._open.pop()
        built = _Built(closed.node(), closed.size, closed.height)
        # Else the anchor was given again inside, and an alias means the node that started last.
        if closed.anchor and self._anchors[closed.anchor] is None:
            self._anchors[closed.anchor] = built
        self._add(built, end)

    def _alias(self, event: AliasEvent) -> None:
        place, end = self._place(event.start_mark), self._place(event.end_mark)
        name = shown(event.anchor)
        if event.anchor not in self._anchors:
            self._fault(place, f"*{name}: there is no &{name} above it")
            self._add(_Built(Table((), place)), end)
            return
        built = self._anchors[event.anchor]
        if built is None:
            _stop(place, f"*{name} stands inside &{name}: it would hold itself")
        self._refuse_depth(place, len(self._open) + built.height)
        self._add(replace(built, node=replace(built.node, place=place)), end)

    def _refuse_depth(self, place: Place, depth: int) -> None:
        if depth > MAX_DEPTH:
            _stop(place, f"lists and maps are nested more than {MAX_DEPTH} levels deep")

    def _add(self, built: _Built, end: Place, *, merge: bool = False) -> None:
        if not self._open:
            self.root = built.node
            return
        parent = self._open[-1]
        parent.size += built.size
        parent.height = max(parent.height, built.height + 1)
        if parent.size > MAX_VALUES:
            _stop(end, f"more than {MAX_VALUES:,} values, counted with aliases expanded")
        key, parent.key = parent.key, None
        if not parent.table:
            parent.nodes.append(built.node)
        elif key is None:
            parent.key = self._key(parent, built.node, end, merge=merge)
        elif key.text is not None and key.merge:
            for entry in self._merged(built.node):
                parent.entries.setdefault(entry.key, entry)
        elif key.text is not None:
            parent.entries[key.text] = Entry(key.text, key.place, built.node)

    def _key(self, parent: _Open, node: Node, end: Place, *, merge: bool) -> _Key:
        text: str | None = None
        match node:
            case Scalar(value=str() as key) if key in parent.written:
                self._fault(node.place, f'duplicate key "{shown(key)}", first at {parent.written[key]}')
            case Scalar(value=str() as key):
                parent.written[key] = node.place
                text = key
            case _:
                self._fault(node.place, f"a key is a text, and this one is {_kind(plain(node))}")
        return _Key(text, node.place, end, merge)

    def _merged(self, node: Node) -> Iterator[Entry]:
        """https://yaml.org/type/merge.html: a map, or a list of maps of which an earlier one wins."""
        for source in node.nodes if isinstance(node, Items) else (node,):
            match source:
                case Table(entries=entries):
                    yield from entries
                case _:
                    self._fault(source.place, "<< merges a map, or a list of maps, and this is neither")


def _stop(place: Place, message: str) -> Never:
    raise Unreadable(place.line, place.column, message)


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a truth value"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "a map"
        case _:
            return "a text"

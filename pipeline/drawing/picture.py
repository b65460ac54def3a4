"""What a drawing of a graph shows, whatever the format: cards for steps and ends, links for what flows between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pipeline.graph.dag import Graph, readings_of
from pipeline.graph.edges import Interfaces, known_names
from pipeline.graph.spec import HEADERS, PARAMETERS, REQUEST, Reference, StepSpec
from pipeline.graph.units import format_duration

ANSWER = "answer"
SOURCE = "source"


@dataclass(frozen=True, slots=True)
class Card:
    """A step, an end or a small source. ``kind``: the step's action, or request, answer, source.

    ``detail``: what the step does, whole; nothing in it is a credential. ``badges``: its policies, as words.
    """

    key: str
    kind: str
    title: str
    detail: str = ""
    badges: tuple[str, ...] = ()
    detached: bool = False

    @property
    def lines(self) -> list[str]:
        """All that it says, in lines of text."""
        return [line for line in (f"{self.title} ({self.kind})", self.detail, ", ".join(self.badges)) if line]


@dataclass(frozen=True, slots=True)
class Link:
    """What ``target`` reads of ``source``. ``tensors``: those known to flow; ``to``: the parameter that they feed.

    A ``handle``: ``target`` calls ``source`` by the name ``to``, so its arrow points the other way.
    """

    source: str
    target: str
    tensors: tuple[str, ...] = ()
    to: str = ""
    handle: bool = False

    @property
    def label(self) -> str:
        return ", ".join(self.tensors)


@dataclass(frozen=True, slots=True)
class Picture:
    name: str
    version: str
    cards: tuple[Card, ...]
    links: tuple[Link, ...]

    @property
    def steps(self) -> tuple[Card, ...]:
        return tuple(card for card in self.cards if card.kind not in (REQUEST, ANSWER, SOURCE))


def picture(graph: Graph, interfaces: Interfaces) -> Picture:
    """The picture of a connected graph; tensors are named as far as the interfaces tell."""
    cards = [_step(step) for step in graph.steps]
    links = [link for step in graph.steps for link in _links(step, graph, interfaces)]
    if any(link.source == REQUEST for link in links):
        cards.insert(0, Card(REQUEST, REQUEST, REQUEST))
    known = {card.key for card in cards}
    sources = dict.fromkeys(link.source for link in links if link.source not in known)
    cards += [Card(key, SOURCE, key.rpartition(" ")[0]) for key in sources]
    for verb, references in graph.output.items():
        key = f"{ANSWER} {verb}"  # no step has a space in its name
        cards.append(Card(key, ANSWER, ANSWER if verb == "predict" else f"{ANSWER} to {verb}"))
        for reference in references:
            links.append(Link(reference.source, key, _answer(verb, reference, graph, interfaces)))
    return Picture(graph.spec.name, graph.spec.version, tuple(cards), tuple(links))


def _step(step: StepSpec) -> Card:
    return Card(step.name, step.action, step.name, _told(step.target), tuple(_badges(step)), step.detached)


def _badges(step: StepSpec) -> Iterator[str]:
    if step.each is not None:
        yield f"each {step.each}"
    if step.timeout is not None:
        yield f"timeout {format_duration(step.timeout)}"
    if step.limit is not None:
        yield f"limit {step.limit}"
    if step.queue is not None:
        yield f"queue {step.queue}"
    if step.where is not None:
        yield f"place {step.where}"
    if step.detached:
        yield "detached"


def _links(step: StepSpec, graph: Graph, interfaces: Interfaces) -> Iterator[Link]:
    for to, reference in readings_of(step):
        if reference.source in (HEADERS, PARAMETERS):
            # Beside each reader: one for all would draw its lines across the whole graph.
            yield Link(f"{reference} {step.name}", step.name, to=to or "")
        else:
            tensors = _tensors(reference, graph, interfaces)
            # A parameter of the tensor's own name is no news.
            alone = len(tensors) == 1 and tensors[0].partition(" ")[0] == to
            yield Link(reference.source, step.name, tensors, "" if alone else to or "")
    for name, reference in step.handles.items():
        yield Link(reference.source, step.name, to=name, handle=True)


def _tensors(reference: Reference, graph: Graph, interfaces: Interfaces) -> tuple[str, ...]:
    names = known_names(reference, graph, interfaces) or {}
    shown = {name: spec for name, spec in names.items() if spec or reference.name or name != reference.source}
    return tuple(f"{name} {spec}" if spec else name for name, spec in shown.items())


def _answer(verb: str, reference: Reference, graph: Graph, interfaces: Interfaces) -> tuple[str, ...]:
    """What the schema promises of predictions, where there is one answer to promise it of."""
    promised = graph.spec.outputs
    if verb == "predict" and promised and len(graph.output[verb]) == 1:
        return tuple(f"{name} {spec}" for name, spec in promised.items())
    return _tensors(reference, graph, interfaces)


def _told(target: Any) -> str:
    """What a step does, without what only its owner may know: a URL's user, password and query."""
    if not isinstance(target, str):
        return getattr(target, "__qualname__", None) or type(target).__name__
    if "://" not in target:
        return target
    try:
        parts = urlsplit(target)
    except ValueError:  # brackets that are no address
        return target.partition("://")[0] + "://…"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

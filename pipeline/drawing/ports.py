"""Where lines leave and enter a card: side by side, those with one text together in one pill.

*Across* is along a layer, *along* is from layer to layer; a drawing that runs down has x across and y along.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.drawing.face import PILL_HEIGHT, pill
from pipeline.drawing.layers import Layers, acyclic, layered
from pipeline.drawing.picture import Link, Picture

_PLAIN, _APART = 12.0, 8.0


@dataclass(frozen=True, slots=True)
class Line:
    """A link as it is laid, from the node of the earlier layer to that of the later; each end has a text, or none.

    ``turned``: its arrow stands at ``upper``, since a step is called by one that stands below it.
    """

    link: Link
    upper: int
    lower: int
    leaves: str
    enters: str
    turned: bool


@dataclass(frozen=True, slots=True)
class Port:
    """``across``, ``along``: the size of its pill, or room for a plain line; ``at``: its middle, from the node's."""

    text: str
    whole: str
    handle: bool
    width: float
    across: float
    along: float
    at: float = 0.0


Ports = Mapping[tuple[str, bool], Port]


@dataclass(frozen=True, slots=True)
class Skeleton:
    """What is laid out: the lines, the layers they pass, and the order in which nodes stand there."""

    lines: Sequence[Line]
    layers: Layers
    order: Sequence[Sequence[int]]


def skeleton_of(picture: Picture) -> tuple[list[Line], Layers]:
    """The picture's links as lines over numbered cards, and their layers."""
    number = {card.key: position for position, card in enumerate(picture.cards)}
    ends = {id(link): (number[link.source], number[link.target]) for link in picture.links}
    plain = [link for link in picture.links if not link.handle]
    lines = [Line(link, *ends[id(link)], link.label, link.to, turned=False) for link in plain]
    handles = [link for link in picture.links if link.handle]
    edges = acyclic([(line.upper, line.lower) for line in lines], [ends[id(link)] for link in handles])
    for link, edge in zip(handles, edges, strict=True):
        below = edge == ends[id(link)]
        lines.append(Line(link, *edge, "" if below else link.to, link.to if below else "", turned=below))
    return lines, layered(len(picture.cards), [(line.upper, line.lower) for line in lines])


def ports_of(skeleton: Skeleton, *, entering: bool, down: bool) -> list[Ports]:
    """For each card its ports on one side, each near what it leads to."""
    place = {node: position for layer in skeleton.order for position, node in enumerate(layer)}
    found: list[dict[tuple[str, bool], list[int]]] = [{} for _ in range(skeleton.layers.count)]
    for line, chain in zip(skeleton.lines, skeleton.layers.chains, strict=True):
        node, other = (chain[-1], chain[-2]) if entering else (chain[0], chain[1])
        key = (line.enters if entering else line.leaves, line.link.handle)
        found[node].setdefault(key, []).append(place[other])
    return [_side_by_side(sorted(own, key=lambda key, own=own: _mean(own[key])), down=down) for own in found]  # type: ignore[misc]


def _mean(places: Sequence[int]) -> float:
    return sum(places) / len(places)


def _side_by_side(keys: Iterable[tuple[str, bool]], *, down: bool) -> Ports:
    ports: dict[tuple[str, bool], Port] = {}
    end = 0.0
    for key in keys:
        port = _port(*key, down=down)
        ports[key] = replace(port, at=end + port.across / 2)
        end += port.across + _APART
    # What flows runs straight through the card; what is called stands beside it.
    through = [port for port in ports.values() if not port.handle] or [*ports.values()]
    middle = (through[0].at - through[0].across / 2 + through[-1].at + through[-1].across / 2) / 2 if through else 0.0
    return {key: replace(port, at=port.at - middle) for key, port in ports.items()}


def _port(text: str, handle: bool, *, down: bool) -> Port:
    if not text:
        return Port("", "", handle, _PLAIN, _PLAIN, 0.0)
    shown, wide = pill(text)
    across, along = (wide, PILL_HEIGHT) if down else (PILL_HEIGHT, wide)
    return Port(shown, text, handle, wide, across, along)

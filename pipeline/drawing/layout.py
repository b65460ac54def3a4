"""Where everything of a picture stands: cards, pills on lines, and lines as runs of straight and curved parts.

All is worked out *across* (along a layer) and *along* (from layer to layer), and turned at the end: a graph runs down
the page, or to the right where it would be too wide, since pages scroll down.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from pipeline.drawing.columns import columns
from pipeline.drawing.crossings import ordered
from pipeline.drawing.face import PILL_HEIGHT, Face, face
from pipeline.drawing.measure import width
from pipeline.drawing.picture import Card, Link, Picture
from pipeline.drawing.ports import Line, Port, Ports, Skeleton, ports_of, skeleton_of

MARGIN, CAPTION, CAPTION_SIZE = 24.0, 44.0, 17.0
# What a browser's window shows at once; a graph that runs down may be as wide as this.
_WIDE = 1_100.0
# Between a card and a pill beside it; an arrow needs more, and stands on a straight line always.
_LEAD, _ARROW = 8.0, 14.0
_APART, _BEND_APART, _BEND = 28.0, 12.0, 2.0
# From the end of a line to the corner of its card: more than the corner's roundness.
_INSIDE = 18.0
# From layer to layer: more where lines go far aside, so that none runs flat.
_LAYER_APART, _MOST_APART, _SLOPE = 28.0, 120.0, 0.1

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """``x``, ``y``: its upper left corner, as everywhere here."""

    card: Card
    face: Face
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Pill:
    text: str
    whole: str
    handle: bool
    x: float
    y: float
    width: float


@dataclass(frozen=True, slots=True)
class Route:
    """``points``: straight from the first to the second, curved to the third, and so on in turn; the arrow is last."""

    link: Link
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    width: float
    height: float
    down: bool
    boxes: tuple[Box, ...]
    pills: tuple[Pill, ...]
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class _Band:
    """A layer, along: where it begins, where the middle of its cards is, and where it ends."""

    start: float
    middle: float
    end: float


def layout(picture: Picture) -> Layout:
    """The layout of the picture: down the page or, where that is narrower, to the right."""
    lines, layers = skeleton_of(picture)
    skeleton = Skeleton(lines, layers, ordered(layers))
    faces = _faces(picture)
    down = _Plan(picture, faces, skeleton, down=True).laid()
    if down.width <= _WIDE:
        return down
    aside = _Plan(picture, faces, skeleton, down=False).laid()
    return aside if aside.width < down.width else down


def _faces(picture: Picture) -> list[Face]:
    """The face of each card, those of steps equally wide."""
    steps = {card.key for card in picture.steps}
    faces = [face(card) for card in picture.cards]
    widest = max((own.width for card, own in zip(picture.cards, faces, strict=True) if card.key in steps), default=0)
    return [
        replace(own, width=widest) if card.key in steps else own for card, own in zip(picture.cards, faces, strict=True)
    ]


class _Plan:
    """One way to lay a skeleton out."""

    def __init__(self, picture: Picture, faces: Sequence[Face], skeleton: Skeleton, *, down: bool) -> None:
        self._picture, self._skeleton, self._down = picture, skeleton, down
        self._leaving = ports_of(skeleton, entering=False, down=down)
        self._entering = ports_of(skeleton, entering=True, down=down)
        self._faces = [self._holding(node, own) for node, own in enumerate(faces)]

    def laid(self) -> Layout:
        across = self._columns()
        bands = self._bands(across)
        count = self._skeleton.layers.count
        boxes = [self._box(node, across[node], bands[node]) for node in range(count)]
        pills = [pill for node in range(count) for pill in self._pills(node, across[node], bands[node])]
        chains = self._skeleton.layers.chains
        routes = [
            self._route(line, [(across[node], bands[node]) for node in chain], chain)
            for line, chain in zip(self._skeleton.lines, chains, strict=True)
        ]
        corners = [(box.x + box.width, box.y + box.height) for box in boxes]
        corners += [(pill.x + pill.width, pill.y + PILL_HEIGHT) for pill in pills]
        corners += [point for route in routes for point in route.points]
        caption = width(f"{self._picture.name}  version {self._picture.version}", CAPTION_SIZE, bold=True)
        wide = max(MARGIN + min(caption, 600.0), *(x for x, _ in corners)) + MARGIN
        return Layout(wide, max(y for _, y in corners) + MARGIN, self._down, tuple(boxes), tuple(pills), tuple(routes))

    # ---- across

    def _columns(self) -> list[float]:
        layers = self._skeleton.layers
        count, total = layers.count, sum(map(len, layers.layers))
        sizes = [self._size(node) for node in range(count)] + [_BEND] * (total - count)
        gaps = [_APART] * count + [_BEND_APART] * (total - count)
        return columns(layers, [list(layer) for layer in self._skeleton.order], sizes, gaps)

    def _holding(self, node: int, face: Face) -> Face:
        """The face, large enough that no line ends beside the card."""
        reach = 2 * max((abs(port.at) + _INSIDE for port in self._ports(node)), default=0.0)
        if self._down:
            return replace(face, width=max(face.width, reach))
        return replace(face, height=max(face.height, reach))

    def _ports(self, node: int) -> list[Port]:
        return [*self._leaving[node].values(), *self._entering[node].values()]

    def _size(self, node: int) -> float:
        face, ports = self._faces[node], self._ports(node)
        reach = max((abs(port.at) + port.across / 2 for port in ports), default=0.0)
        return max(face.width if self._down else face.height, 2 * reach)

    # ---- along

    def _bands(self, across: Sequence[float]) -> dict[int, _Band]:
        """The band of each node."""
        bands: dict[int, _Band] = {}
        apart = self._layers_apart(across)
        end = 0.0
        for layer, nodes in enumerate(self._skeleton.order):
            own = [node for node in nodes if node < self._skeleton.layers.count]
            body = max((self._depth(node) for node in own), default=0.0)
            start = end + (apart[layer - 1] if layer else 0.0)
            first = start + max((_stands_out(self._entering[node], _ARROW, _ARROW) for node in own), default=0.0)
            end = first + body + max((_stands_out(self._leaving[node], _LEAD, 0.0) for node in own), default=0.0)
            bands |= dict.fromkeys(nodes, _Band(start, first + body / 2, end))
        return bands

    def _layers_apart(self, across: Sequence[float]) -> list[float]:
        """The room after each layer."""
        widest = [0.0] * len(self._skeleton.order)
        layer_of = {node: layer for layer, nodes in enumerate(self._skeleton.order) for node in nodes}
        for chain in self._skeleton.layers.chains:
            for upper, lower in pairwise(chain):
                layer = layer_of[upper]
                widest[layer] = max(widest[layer], abs(across[upper] - across[lower]))
        return [min(_LAYER_APART + _SLOPE * far, _MOST_APART) for far in widest]

    def _depth(self, node: int) -> float:
        return self._faces[node].height if self._down else self._faces[node].width

    # ---- what stands there

    def _turned(self, across: float, along: float) -> Point:
        x, y = (across, along) if self._down else (along, across)
        return MARGIN + x, MARGIN + CAPTION + y

    def _box(self, node: int, across: float, band: _Band) -> Box:
        own, card = self._faces[node], self._picture.cards[node]
        x, y = self._turned(across, band.middle)
        return Box(card, own, x - own.width / 2, y - own.height / 2, own.width, own.height)

    def _sides(self, node: int, band: _Band) -> tuple[float, float]:
        """Where the card begins and ends, along."""
        return band.middle - self._depth(node) / 2, band.middle + self._depth(node) / 2

    def _pills(self, node: int, across: float, band: _Band) -> Iterator[Pill]:
        first, last = self._sides(node, band)
        for port in self._entering[node].values():
            yield from self._pill(port, across, first - _ARROW - port.along / 2)
        for port in self._leaving[node].values():
            yield from self._pill(port, across, last + _LEAD + port.along / 2)

    def _pill(self, port: Port, across: float, along: float) -> Iterator[Pill]:
        if port.text:
            x, y = self._turned(across + port.at, along)
            yield Pill(port.text, port.whole, port.handle, x - port.width / 2, y - PILL_HEIGHT / 2, port.width)

    def _route(self, line: Line, stops: Sequence[tuple[float, _Band]], chain: Sequence[int]) -> Route:
        leaves = self._leaving[chain[0]][line.leaves, line.link.handle].at
        enters = self._entering[chain[-1]][line.enters, line.link.handle].at
        (first, first_band), *bends, (last, last_band) = stops
        runs = [(first + leaves, self._sides(chain[0], first_band)[1], first_band.end)]
        runs += [(across, band.start, band.end) for across, band in bends]
        runs += [(last + enters, last_band.start, self._sides(chain[-1], last_band)[0])]
        points = [self._turned(across, along) for across, *ends in runs for along in ends]
        return Route(line.link, tuple(reversed(points) if line.turned else points))


def _stands_out(ports: Ports, lead: float, least: float) -> float:
    """How far pills, arrows and their lines stand out of a card, along."""
    pills = [lead + port.along for port in ports.values() if port.text]
    return max(least * bool(ports), *(_ARROW for port in ports.values() if port.handle), *pills, 0.0)

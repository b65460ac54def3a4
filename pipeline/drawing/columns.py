"""Where each node stands along its layer: straight where it can be, no two too near.

Source: Brandes, Köpf, Fast and Simple Horizontal Coordinate Assignment (2002): nodes are aligned with their middle
neighbours into blocks in four ways, each packed as tightly as it goes, and the middle of the four is taken. Packing is
by longest paths over the blocks, which is simpler than the paper's and free of its error with shifts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import networkx as nx

from pipeline.drawing.crossings import Order
from pipeline.drawing.layers import Layers

_Joined = Sequence[Sequence[int]]
_Edges = frozenset[tuple[int, int]]


def columns(layers: Layers, order: Order, sizes: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """The middle of each node, from 0 at the first edge of the first; ``sizes`` and ``gaps`` are by node number.

    Between neighbours lies the larger of their two gaps.
    """
    if not order:
        return []
    upper, lower = layers.upper, layers.lower
    crossing = _crossing_bends(order, upper, layers.count)
    found: list[list[float]] = []
    for down in (True, False):
        for left in (True, False):
            turned = [layer if left else layer[::-1] for layer in (order if down else order[::-1])]
            blocks = _blocks(turned, upper if down else lower, crossing)
            packed = _packed(turned, blocks, sizes, gaps)
            found.append(packed if left else [-place for place in packed])
    return _middle(found, sizes)


def _crossing_bends(order: Order, upper: _Joined, count: int) -> _Edges:
    """Edges that cross a long edge between two of its bends: that one is to be straight, they are not (type 1)."""
    found: set[tuple[int, int]] = set()
    for above, below in pairwise(order):
        place = {node: position for position, node in enumerate(above)}
        first = begin = 0
        for position, node in enumerate(below):
            bend = next((end for end in upper[node] if node >= count and end >= count), None)
            if bend is None and position + 1 < len(below):
                continue
            last = len(above) if bend is None else place[bend]
            for other in below[begin : position + 1]:
                for end in upper[other]:
                    if not first <= place[end] <= last and not (other >= count and end >= count):
                        found.add((end, other))
            first, begin = last, position + 1
    return frozenset(found)


def _blocks(order: Order, joined: _Joined, crossing: _Edges) -> dict[int, int]:
    """Node → the first node of its block: those in one block stand in one line."""
    root = {node: node for layer in order for node in layer}
    place = {node: position for layer in order for position, node in enumerate(layer)}
    for layer in order:
        last = -1
        for node in layer:
            ends = sorted(joined[node], key=place.__getitem__)
            half = (len(ends) - 1) / 2
            for end in ends[int(half) : int(half + 1.5)] if ends else ():
                straight = (end, node) not in crossing and (node, end) not in crossing
                if straight and root[node] == node and last < place[end]:
                    root[node] = root[end]
                    last = place[end]
    return root


def _packed(order: Order, root: Mapping[int, int], sizes: Sequence[float], gaps: Sequence[float]) -> list[float]:
    apart: nx.DiGraph[int] = nx.DiGraph()
    apart.add_nodes_from(root.values())
    for layer in order:
        for left, right in pairwise(layer):
            room = (sizes[left] + sizes[right]) / 2 + max(gaps[left], gaps[right])
            known = apart.get_edge_data(root[left], root[right], {"room": 0.0})
            apart.add_edge(root[left], root[right], room=max(room, known["room"]))
    line = list(nx.topological_sort(apart))
    at: dict[int, float] = {}
    for block in line:
        at[block] = max((at[end] + edge["room"] for end, _, edge in apart.in_edges(block, data=True)), default=0.0)
    for block in reversed(line):
        rooms = [at[end] - edge["room"] for _, end, edge in apart.out_edges(block, data=True)]
        at[block] = max(at[block], min(rooms)) if rooms else at[block]
    return [at[root[node]] for node in range(len(root))]


def _middle(found: list[list[float]], sizes: Sequence[float]) -> list[float]:
    """Each node between the second and the third of its four places, the four moved to where the narrowest lies."""
    bounds = [_bounds(places, sizes) for places in found]
    low, high = min(bounds, key=lambda own: own[1] - own[0])
    moved = [
        # Those packed to the left agree at their left ends, those packed to the right at their right ends.
        [place + (low - own[0] if number % 2 == 0 else high - own[1]) for place in places]
        for number, (places, own) in enumerate(zip(found, bounds, strict=True))
    ]
    middle = [sum(sorted(places)[1:3]) / 2 for places in zip(*moved, strict=True)]
    start, _ = _bounds(middle, sizes)
    return [place - start for place in middle]


def _bounds(places: Sequence[float], sizes: Sequence[float]) -> tuple[float, float]:
    sides = [(place - size / 2, place + size / 2) for place, size in zip(places, sizes, strict=True)]
    return min(low for low, _ in sides), max(high for _, high in sides)

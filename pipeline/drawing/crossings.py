"""The order of the nodes in each layer: barycentre sweeps, then swaps of neighbours, kept where fewer edges cross.

Source: Sugiyama, Tagawa, Toda, Methods for Visual Understanding of Hierarchical System Structures (1981); Gansner
et al., A Technique for Drawing Directed Graphs (1993), for the swaps.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from itertools import pairwise

from pipeline.drawing.layers import Layers

_SWEEPS = 24
# Rounds without fewer crossings after which there is no hope.
_PATIENCE = 4

Order = list[list[int]]
_Joined = Sequence[Sequence[int]]


def ordered(layers: Layers) -> Order:
    """The layers, each in the best order that was found. Deterministic: ties stand as they were."""
    upper, lower = layers.upper, layers.lower
    order = [list(layer) for layer in layers.layers]
    best, least, waited = [list(layer) for layer in order], crossings(order, lower), 0
    for sweep in range(_SWEEPS):
        if least == 0 or waited == _PATIENCE:
            break
        _sweep(order, upper if sweep % 2 == 0 else lower, down=sweep % 2 == 0, mirror=sweep % 4 >= 2)
        _swap(order, upper, lower)
        now = crossings(order, lower)
        waited += 1
        if now < least:
            best, least, waited = [list(layer) for layer in order], now, 0
    return best


def crossings(order: Order, lower: _Joined) -> int:
    """How many pairs of edges cross between neighbouring layers (Barth, Mutzel, Jünger, 2002, by insertion)."""
    total = 0
    for above, below in pairwise(order):
        place = {node: position for position, node in enumerate(below)}
        seen: list[int] = []
        for node in above:
            ends = sorted(place[end] for end in lower[node])
            total += sum(len(seen) - bisect_left(seen, end + 1) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _sweep(order: Order, joined: _Joined, *, down: bool, mirror: bool) -> None:
    """Each layer by the mean place of what its nodes are joined to in the one before; others keep their places.

    ``mirror`` turns ties round, so that an order that is stuck is tried the other way.
    """
    layers = range(1, len(order)) if down else range(len(order) - 2, -1, -1)
    for layer in layers:
        before = order[layer - 1 if down else layer + 1]
        place = {node: position for position, node in enumerate(before)}
        free = [node for node in order[layer] if joined[node]]
        mean = {node: sum(place[end] for end in joined[node]) / len(joined[node]) for node in free}
        moved = iter(sorted(reversed(free) if mirror else free, key=mean.__getitem__))
        order[layer] = [next(moved) if joined[node] else node for node in order[layer]]


def _swap(order: Order, upper: _Joined, lower: _Joined) -> None:
    """Swaps neighbours while that leaves fewer crossings."""
    for _ in range(_PATIENCE):
        better = False
        for layer, nodes in enumerate(order):
            above = {node: place for place, node in enumerate(order[layer - 1])} if layer else {}
            below = {node: place for place, node in enumerate(order[layer + 1])} if layer + 1 < len(order) else {}
            ends = {
                node: (sorted(above[end] for end in upper[node]), sorted(below[end] for end in lower[node]))
                for node in nodes
            }
            for place in range(len(nodes) - 1):
                left, right = nodes[place], nodes[place + 1]
                now = sum(_over(one, other) for one, other in zip(ends[left], ends[right], strict=True))
                then = sum(_over(one, other) for one, other in zip(ends[right], ends[left], strict=True))
                if then < now:
                    nodes[place], nodes[place + 1] = right, left
                    better = True
        if not better:
            return


def _over(left: Sequence[int], right: Sequence[int]) -> int:
    """How many edges of a node cross those of the one to its right; both sorted."""
    return sum(bisect_left(right, end) for end in left)

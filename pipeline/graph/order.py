"""Who stands before whom, where that is all there is to know of a graph.

networkx takes as long to import as all of ours: what every start of a server asks is asked here, and networkx has what
only faults, drawings and Python graphs need.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush


def in_order(edges: Iterable[tuple[str, str]], position: Mapping[str, int]) -> list[str] | None:
    """All names, each behind those that an edge leads from to it, ties by position; None where there is a circle."""
    sorter: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(position, ()))
    for before, after in edges:
        sorter.add(after, before)
    try:
        sorter.prepare()
    except CycleError:
        return None
    ready: list[tuple[int, str]] = []
    found = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heappush(ready, (position[name], name))
        _, name = heappop(ready)
        found.append(name)
        sorter.done(name)
    return found


def with_all_before(names: Iterable[str], before: Mapping[str, Collection[str]]) -> frozenset[str]:
    """The names, and all that stands before any of them, however far; ``before``: name → those right before it."""
    found: set[str] = set()
    looking = list(names)
    while looking:
        name = looking.pop()
        if name not in found:
            found.add(name)
            looking += before.get(name, ())
    return frozenset(found)

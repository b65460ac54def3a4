"""Steps that need each other without end. networkx is imported where there are such."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipeline.graph.order import in_order


def circles(edges: Sequence[tuple[str, str]], order: Mapping[str, int]) -> Iterator[tuple[set[str], list[str]]]:
    """(the steps that are knotted together, one way round them, which ends where it starts), from the first in order.

    Of circles that share a step one is told: they are usually one mistake.
    """
    if in_order(edges, order) is not None:
        return
    import networkx as nx  # noqa: PLC0415  # most graphs have none, and servers need not wait for it

    graph = nx.DiGraph(edges)
    for knot in nx.strongly_connected_components(graph):
        start = min(knot, key=order.__getitem__)
        if len(knot) > 1 or graph.has_edge(start, start):
            path = [edge[0] for edge in nx.find_cycle(graph.subgraph(knot), start)]
            yield knot, [*path, path[0]]

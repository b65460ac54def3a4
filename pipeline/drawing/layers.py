"""Which layer each node of a drawing stands in, and the bends that carry long edges through the layers between.

A node stands one layer after the last of what it reads (the longest path), and no earlier than it has to where that
makes the edges shorter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import networkx as nx

Edge = tuple[int, int]
# Nodes and bends are laid out at some 1,600 a second; a picture of more is one that nobody can read.
_MOST = 12_000


class TooLarge(ValueError):
    """A graph that would take minutes to lay out."""


@dataclass(frozen=True, slots=True)
class Layers:
    """``layers``: node numbers, layer by layer; those from ``count`` on are bends, where an edge passes a layer.

    ``chains[i]``: the nodes that edge i goes through, both ends included; neighbours stand in neighbouring layers.
    """

    layers: tuple[tuple[int, ...], ...]
    chains: tuple[tuple[int, ...], ...]
    count: int

    @property
    def upper(self) -> list[list[int]]:
        """For each node those it is joined to in the layer before, one per edge."""
        return self._neighbours(1, 0)

    @property
    def lower(self) -> list[list[int]]:
        return self._neighbours(0, 1)

    def _neighbours(self, of: int, which: int) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in range(sum(map(len, self.layers)))]
        for chain in self.chains:
            for pair in pairwise(chain):
                found[pair[of]].append(pair[which])
        return found


def layered(count: int, edges: Sequence[Edge]) -> Layers:
    """The layers of an acyclic graph of ``count`` nodes. Raises TooLarge."""
    rank = _ranks(count, edges)
    pieces = count + sum(rank[target] - rank[source] - 1 for source, target in edges)
    if pieces > _MOST:
        raise TooLarge(
            f"{count} boxes and {len(edges)} arrows are too many to lay out; DOT and Mermaid leave that to others"
        )
    layers: list[list[int]] = [[] for _ in range(max(rank, default=-1) + 1)]
    for node in range(count):
        layers[rank[node]].append(node)
    bend = count
    chains: list[tuple[int, ...]] = []
    for source, target in edges:
        passed = range(rank[source] + 1, rank[target])
        for layer in passed:
            layers[layer].append(bend + layer - passed.start)
        chains.append((source, *range(bend, bend + len(passed)), target))
        bend += len(passed)
    return Layers(tuple(map(tuple, layers)), tuple(chains), count)


def acyclic(edges: Sequence[Edge], extra: Iterable[Edge]) -> list[Edge]:
    """The extra edges, each turned round where it would close a cycle with those before it."""
    dag: nx.DiGraph[int] = nx.DiGraph(edges)
    turned: list[Edge] = []
    for source, target in extra:
        dag.add_nodes_from((source, target))
        edge = (target, source) if nx.has_path(dag, target, source) else (source, target)
        dag.add_edge(*edge)
        turned.append(edge)
    return turned


def _ranks(count: int, edges: Sequence[Edge]) -> list[int]:
    dag: nx.DiGraph[int] = nx.DiGraph(edges)
    dag.add_nodes_from(range(count))
    generations = list(nx.topological_generations(dag))
    rank = [0] * count
    for layer, nodes in enumerate(generations):
        for node in nodes:
            rank[node] = layer
    for node in (node for nodes in reversed(generations) for node in nodes):
        if dag.out_degree(node) > dag.in_degree(node):
            rank[node] = min(rank[after] for after in dag.successors(node)) - 1
    return rank

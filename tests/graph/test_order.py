"""Orders and what stands before a name, as networkx finds them."""

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from pipeline.graph.order import in_order, with_all_before

NAMES = "abcdefgh"


@st.composite
def edges(draw):
    """A graph of some of the names, circles and edges that come twice among them; and an order of the names."""
    names = st.sampled_from(NAMES)
    return draw(st.lists(st.tuples(names, names), max_size=12)), draw(st.permutations(NAMES))


def digraph(drawn, order):
    graph = nx.DiGraph()
    graph.add_nodes_from(order)
    graph.add_edges_from(drawn)
    return graph


@given(edges())
def test_an_order_is_the_one_of_networkx_and_there_is_none_in_a_circle(drawn):
    found, order = drawn
    position = {name: number for number, name in enumerate(order)}
    graph = digraph(found, order)
    if nx.is_directed_acyclic_graph(graph):
        assert in_order(found, position) == list(nx.lexicographical_topological_sort(graph, key=position.__getitem__))
    else:
        assert in_order(found, position) is None


@given(edges(), st.sets(st.sampled_from(NAMES)))
def test_all_before_some_names_are_these_and_their_ancestors(drawn, asked):
    found, order = drawn
    graph = digraph(found, order)
    before = {name: list(graph.predecessors(name)) for name in order}
    assert with_all_before(asked, before) == asked.union(*(nx.ancestors(graph, name) for name in asked))


def test_a_name_that_nothing_is_known_of_has_nothing_before_it():
    assert with_all_before(["a"], {}) == {"a"}

"""Whatever the graph: cards and pills apart from each other, lines clear of cards, straight where they can be."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.drawing.crossings import crossings, ordered
from pipeline.drawing.face import PILL_HEIGHT
from pipeline.drawing.layers import acyclic, layered
from pipeline.drawing.layout import Layout, layout
from tests.drawing.pictures import explaining, nasty, of, step


@st.composite
def dags(draw):
    count = draw(st.integers(1, 14))
    pairs = [(a, b) for b in range(count) for a in range(b)]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=24)) if pairs else []
    return count, edges


@settings(max_examples=150)
@given(dags())
def test_every_edge_goes_from_layer_to_layer_down(dag):
    count, edges = dag
    found = layered(count, edges)
    rank = {node: layer for layer, nodes in enumerate(found.layers) for node in nodes}
    assert sorted(node for node in rank if node < count) == list(range(count))
    for (source, target), chain in zip(edges, found.chains, strict=True):
        assert (chain[0], chain[-1]) == (source, target)
        assert all(rank[after] == rank[before] + 1 for before, after in itertools.pairwise(chain))


@settings(max_examples=150)
@given(dags())
def test_crossings_are_counted_right_and_the_order_has_no_more_than_it_began_with(dag):
    found = layered(*dag)
    first = [list(layer) for layer in found.layers]
    best = ordered(found)
    assert [sorted(layer) for layer in best] == [sorted(layer) for layer in first]
    assert crossings(best, found.lower) <= crossings(first, found.lower)
    place = {node: position for layer in best for position, node in enumerate(layer)}
    segments = [pair for chain in found.chains for pair in itertools.pairwise(chain)]
    layer_of = {node: number for number, layer in enumerate(best) for node in layer}
    crossing = sum(
        layer_of[a] == layer_of[c] and (place[a] - place[c]) * (place[b] - place[d]) < 0
        for (a, b), (c, d) in itertools.combinations(segments, 2)
    )
    assert crossings(best, found.lower) == crossing


def test_an_edge_that_would_close_a_cycle_is_turned_round():
    assert acyclic([(0, 1), (1, 2)], [(2, 0), (0, 2), (3, 3 - 1)]) == [(0, 2), (0, 2), (3, 2)]


def apart(one, other) -> bool:
    (x, y, w, h), (x2, y2, w2, h2) = one, other
    return x + w <= x2 + 0.01 or x2 + w2 <= x + 0.01 or y + h <= y2 + 0.01 or y2 + h2 <= y + 0.01


def check(laid: Layout) -> None:
    areas = [(box.x, box.y, box.width, box.height) for box in laid.boxes]
    areas += [(pill.x, pill.y, pill.width, PILL_HEIGHT) for pill in laid.pills]
    assert all(apart(one, other) for one, other in itertools.combinations(areas, 2))
    assert all(x >= 0 and x + w <= laid.width and y >= 0 and y + h <= laid.height for x, y, w, h in areas)
    for route in laid.routes:
        for x, y in route.points:
            inside = [
                b for b in laid.boxes if b.x < x - 0.1 < b.x + b.width - 0.2 and b.y < y - 0.1 < b.y + b.height - 0.2
            ]
            assert inside == [], route.link
        by_key = {box.card.key: box for box in laid.boxes}
        ends = (by_key[route.link.source], by_key[route.link.target])
        for (x, y), box in zip(
            (route.points[0], route.points[-1]), ends[:: -1 if route.link.handle else 1], strict=True
        ):
            assert box.x - 0.01 <= x <= box.x + box.width + 0.01, route.link
            assert box.y - 0.01 <= y <= box.y + box.height + 0.01, route.link


@settings(max_examples=60)
@given(dags())
def test_nothing_overlaps(dag):
    count, edges = dag
    reads = {node: [f"s{a}" for a, b in edges if b == node] or ["request"] for node in range(count)}
    sinks = [f"s{node}" for node in range(count) if not any(a == node for a, _ in edges)]
    steps = "".join(
        step(f"s{node}", "{" + ", ".join(f"p{n}: {r}" for n, r in enumerate(own)) + "}") for node, own in reads.items()
    )
    check(layout(of(f"output: [{', '.join(sinks)}]\nsteps:\n{steps}")))


@pytest.mark.parametrize("make", [explaining, nasty])
def test_nothing_overlaps_with_words_of_every_kind(make):
    check(layout(make()))


def test_a_chain_is_one_straight_line_down_however_long():
    laid = layout(of("steps: [" + ", ".join(f"app.py:s{number}" for number in range(40)) + "]\n"))
    assert laid.down
    assert len({round(x, 3) for route in laid.routes for x, _ in route.points}) == 1


@pytest.mark.parametrize("count", [3, 12])
def test_a_card_is_wide_or_high_enough_for_all_that_enters_it(count):
    inputs = ", ".join(f"a_rather_long_name_of_parameter_{number}: a" for number in range(count))
    check(layout(of("steps:\n" + step("a", "request") + step("b", "{" + inputs + "}"))))


def test_what_flows_is_straight_though_a_handle_leads_there_too():
    laid = layout(explaining())
    (plain,) = [
        route for route in laid.routes if (route.link.source, route.link.target) == ("predict", "answer predict")
    ]
    assert len({x for x, _ in plain.points}) == 1


def test_a_wide_fan_runs_to_the_right_since_pages_scroll_down():
    names = [f"s{number}" for number in range(20)]
    text = "steps:\n" + "".join(step(name, "request") for name in names) + step("join", f"[{', '.join(names)}]")
    laid = layout(of(text))
    assert not laid.down
    assert laid.width < 1100
    check(laid)


def test_a_handles_arrow_ends_at_the_step_that_is_called():
    laid = layout(explaining())
    (route,) = [route for route in laid.routes if route.link.handle]
    (box,) = [box for box in laid.boxes if box.card.key == "predict"]
    assert route.points[-1][1] == pytest.approx(box.y + box.height)

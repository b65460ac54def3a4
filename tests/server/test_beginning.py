"""What ends a server that begins: a model of its start, before it has been open once."""

from __future__ import annotations

from pipeline.observe import ModelFailed, ModelLoaded
from server.beginning import Beginning


def test_the_first_failure_of_a_model_of_the_start_stops_it_and_no_other():
    stops = []
    first, second = ValueError("first"), ValueError("second")
    beginning = Beginning(["a", "b", "c"], lambda: stops.append(1))
    for event in (ModelFailed("later", "", second), ModelLoaded("a", "1", 0.1), ModelFailed("a", "1", second)):
        beginning.observe(event)
    assert (beginning.failure, stops) == (None, [])
    for event in (ModelFailed("b", "1", first), ModelFailed("c", "1", second)):
        beginning.observe(event)
    assert (beginning.failure, stops) == (first, [1])

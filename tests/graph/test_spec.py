"""A Step tells what was given to it; specs tell where each key stands."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline.graph.source import Place
from pipeline.graph.spec import Reference, Step
from tests.graph.checking import spec_of
from tests.graph.reading import FILE


def test_a_step_declares_the_keys_that_were_given_and_no_others():
    assert Step(run=len, limit=2, queue=None).keys == {"run": len, "limit": 2}
    assert Step().keys == {}


def test_a_step_is_frozen_and_equal_by_its_keys():
    assert Step(run=len, limit=3) == Step(limit=3, run=len) != Step(run=len)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Step(run=len).keys = {}


@pytest.mark.parametrize("text", ["score", "score.label", "request", "headers.x-user", "parameters.top"])
def test_a_reference_reads_back_as_it_was_written(text):
    spec = spec_of(f"steps:\n  score: app.py:f\n  b: {{run: app.py:f, inputs: {text}}}\noutput: [score, b]\n")
    (reference,) = spec.steps[1].references
    assert str(reference) == text


def test_a_key_that_was_written_has_a_place_of_its_own_and_others_have_their_owners():
    spec = spec_of("limit: 3\nsteps:\n  a: {run: app.py:f, inputs: {x: request}, params: {k: {z: 1}}}\n")
    (step,) = spec.steps
    assert [step.at(key) for key in ("run", "inputs", "inputs.x", "params.k", "params.k.z")] == [
        Place(FILE, 3, column) for column in (12, 30, 34, 56, 60)
    ]
    assert step.at("timeout") == step.place == Place(FILE, 3, 3)
    assert spec.at("limit") == Place(FILE, 1, 8)
    assert spec.at("deadline") == spec.place == Place(FILE, 1, 1)


def test_references_are_those_of_the_list_the_map_or_none():
    spec = spec_of(
        "steps:\n  a: app.py:f\n  b: {run: app.py:f, inputs: [a, request]}\n  c: {run: f.py:f, inputs: {x: b}}\n"
    )
    assert [[str(reference) for reference in step.references] for step in spec.steps] == [[], ["a", "request"], ["b"]]
    assert spec.steps[2].inputs == {"x": Reference("b", None, Place(FILE, 4, 32))}

"""KServe's three parts, told from the names and the models of a graph."""

from __future__ import annotations

import pytest

from pipeline.graph.phases import PHASES, phases
from tests.graph.checking import KINDS, graph_of

FUNCTION, MODEL, CALL = "app.py:f", "{model: m.joblib}", "{call: 'http://h/v1/models/m:predict'}"


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ({"a": FUNCTION, "b": FUNCTION}, "predict predict"),
        ({"a": FUNCTION, "m": MODEL, "z": FUNCTION}, "preprocess predict postprocess"),
        ({"a": FUNCTION, "predict": FUNCTION, "z": FUNCTION}, "preprocess predict postprocess"),
        # The step named predict is the predictor, whatever models stand beside it.
        ({"m": MODEL, "predict": FUNCTION, "z": MODEL}, "preprocess predict postprocess"),
        # Of two models in a row both predict; what stands between them is neither before nor after.
        ({"m": MODEL, "between": FUNCTION, "n": MODEL}, "predict preprocess predict"),
        ({"m": MODEL}, "predict"),
        # Without a model the server that is called predicts; beside one it is what its place says.
        ({"a": FUNCTION, "c": CALL, "z": FUNCTION}, "preprocess predict postprocess"),
        ({"c": CALL, "m": MODEL}, "preprocess predict"),
    ],
)
def test_each_step_plays_its_part(steps, expected):
    text = "steps:\n" + "".join(f"  {name}: {step}\n" for name, step in steps.items())
    found = phases(graph_of(text, {**KINDS, "call": ()}))
    assert [found[name] for name in steps] == expected.split()
    assert set(found.values()) <= set(PHASES)


def test_what_only_an_explanation_needs_explains():
    graph = graph_of(
        "output: {predict: z, explain: why}\nsteps:\n  a: app.py:f\n  m: {model: m.joblib}\n  z: app.py:f\n"
        "  near: {run: app.py:f, inputs: a}\n  why: {run: app.py:f, inputs: [near, m]}\n"
    )
    assert phases(graph) == {
        "a": "preprocess", "m": "predict", "z": "postprocess", "near": "explain", "why": "explain",
    }  # fmt: skip


def test_a_branch_beside_the_model_is_postprocessing():
    graph = graph_of(
        "output: z\nsteps:\n  m: {model: m.joblib}\n  side: {run: app.py:f, inputs: request}\n"
        "  z: {run: app.py:f, inputs: [m, side]}\n"
    )
    assert phases(graph) == {"m": "predict", "side": "postprocess", "z": "postprocess"}

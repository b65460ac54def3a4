"""A networkx graph becomes what a file becomes, and its faults name the node."""

from __future__ import annotations

import networkx as nx
import pytest

from pipeline.graph.dag import readings_of
from pipeline.graph.spec import Step
from tests.graph.checking import checked_dag, graph_of


def f(x):
    return x


def graph(*edges, **nodes) -> nx.DiGraph:
    dag = nx.DiGraph()
    for name, step in nodes.items():
        dag.add_node(name, step=step)
    for source, reader, *attributes in edges:
        dag.add_edge(source, reader, **(attributes[0] if attributes else {}))
    return dag


STEP = Step(run=f)


def test_edges_are_what_steps_read():
    dag = graph(("a", "c", {"tensor": "y", "to": "x"}), ("b", "c", {"to": "z"}), a=STEP, b=STEP, c=STEP)
    found = checked_dag(dag)
    assert found.lines == []
    assert {step.name: [(to, str(read)) for to, read in readings_of(step)] for step in found.graph.steps} == {
        "a": [(None, "request")],
        "b": [(None, "request")],
        "c": [("x", "a.y"), ("z", "b")],
    }
    assert [str(reference) for reference in found.graph.output["predict"]] == ["c"]


def test_two_tensors_of_one_step_are_two_edges_of_a_multigraph_or_inputs_written_out():
    multi = nx.MultiDiGraph()
    multi.add_node("a", step=STEP)
    multi.add_node("b", step=STEP)
    multi.add_edge("a", "b", tensor="u", to="x")
    multi.add_edge("a", "b", tensor="v", to="y")
    written = graph(("a", "b"), a=STEP, b=Step(run=f, inputs={"x": "a.u", "y": "a.v"}))
    for dag in (multi, written):
        found = checked_dag(dag)
        assert found.lines == []
        assert [(to, str(read)) for to, read in readings_of(found.graph.steps[1])] == [("x", "a.u"), ("y", "a.v")]


def test_a_bare_function_or_text_is_short_for_run():
    found = checked_dag(graph(("a", "b"), a=f, b="app.py:g"))
    assert found.lines == []
    assert [(step.action, step.target) for step in found.graph.steps] == [("run", f), ("run", "app.py:g")]


def test_params_reach_the_users_code_as_they_are():
    params = {"shape": (1, 2), "name": {"deep": (3,)}}
    found = checked_dag(graph(a=Step(run=f, params=params)))
    assert found.graph.steps[0].options == {"params": params}


def test_the_other_top_level_keys_are_the_files():
    found = checked_dag(
        graph(("a", "b"), a=STEP, b=STEP),
        version=3,
        deadline="2s",
        limit=4,
        output=["a", "b"],
        schema={"inputs": {"x": "FP32[n]"}},
    )
    assert found.lines == []
    assert (found.spec.name, found.spec.version, found.spec.limit) == ("g", "3", 4)
    assert found.spec.deadline == {"predict": 2.0, "explain": 2.0}
    assert [str(reference) for reference in found.graph.output["predict"]] == ["a", "b"]
    assert list(found.spec.inputs) == ["x"]


@pytest.mark.parametrize(
    ("dag", "top", "lines"),
    [
        (graph(a=Step()), {}, ['node "a": step "a" does nothing: it needs one of model and run']),
        (
            graph(a=Step(run=f, model="m.joblib")),
            {},
            ['node "a": step "a" does two things, run and model (the first at node "a"); a step does exactly one'],
        ),
        (graph(a=Step(run=f, timeout=0.3)), {}, ['node "a": timeout: 0.3 has no unit; write 0.3ms or 0.3s']),
        (graph(a=Step(run=f, limit=True)), {}, ['node "a": limit is a whole number, 1 or more, not true']),
        (graph(a=Step(run=f, runtime="sklearn")), {}, ['node "a": step "a": runtime does not go with run']),
        (graph(a=Step(run=f, place="process")), {}, ['node "a": place process is known but not built yet']),
        (graph(a=Step(run=f, inputs="b")), {}, ['node "a": its inputs read b, its edges come from no node']),
        (graph(("a", "b"), a=STEP, b=Step(run=f, inputs=["request"])), {},
         ['node "b": its inputs read no node, its edges come from a']),
        (graph(("a", "b"), a=5, b=STEP), {}, ['node "a": its attribute step is a int: add_node(name, step=Step(…))']),
        (graph(("a", "b"), b=STEP), {}, ['node "a": it has no attribute step: add_node(name, step=Step(…))']),
        (graph(("a", "b"), ("b", "a"), a=STEP, b=STEP), {},
         ['node "a": steps read each other in a cycle: a → b → a']),
        (graph(a=STEP, b=STEP), {}, ['pipeline "g": nothing reads a and b: say which one is the answer, output=…']),
        (graph(a=STEP, b=STEP), {"output": "b"},
         ['node "a": step "a" is used by nothing: the answer, b, does not need it']),
        (graph(("a", "c", {"to": "x"}), ("b", "c"), a=STEP, b=STEP, c=STEP), {},
         ['node "c": some of its edges say to=… and some do not; say it on all of them']),
        (graph(("a", "c", {"to": "x"}), ("b", "c", {"to": "x"}), a=STEP, b=STEP, c=STEP), {},
         ['node "c": two of its edges say to="x"']),
        (graph(**{"my step": STEP}), {},
         ['node "my step": a step name is a Python identifier, not "my step"; write "my_step"']),
        (graph(a=STEP), {"deadline": 5}, ['pipeline "g": deadline: 5 has no unit; write 5ms or 5s']),
        (graph(a=STEP), {"dedline": "5s"}, ['pipeline "g": unknown key "dedline"; did you mean "deadline"?']),
        (graph(a=STEP), {"defaults": {}}, ['pipeline "g": defaults is known but not built yet']),
        (nx.DiGraph(), {},
         ['pipeline "g": steps is a map of steps, or a list of functions, not a map with nothing in it']),
        (nx.Graph(), {}, ['pipeline "g": its graph is a networkx.DiGraph, not a Graph']),
    ],
)  # fmt: skip
def test_a_fault_names_the_node_or_the_pipeline(dag, top, lines):
    assert checked_dag(dag, **top).lines == lines


def test_nodes_that_are_no_texts_are_told_so():
    dag = nx.DiGraph()
    dag.add_node(1, step=STEP)
    dag.add_node("b", step=STEP)
    dag.add_edge(1, "b")
    assert checked_dag(dag).lines == ['node "1": a step name is a Python identifier, not "1"']


def test_the_graph_of_a_file_declares_the_same_steps_again():
    text = (
        "output: [c, d]\nsteps:\n  a: {run: app.py:f, timeout: 300ms, limit: 2, queue: 0, place: thread}\n"
        "  b: {model: m.joblib, runtime: sklearn, params: {method: predict_proba}}\n"
        "  c: {run: app.py:g, inputs: {x: a.u, y: a.v, z: headers.x-z}}\n  d: {run: app.py:g, inputs: [b, request.w]}\n"
    )
    first = graph_of(text)
    again = checked_dag(first.dag, output=["c", "d"])
    assert again.lines == []

    def bare(steps):
        return [
            (step.name, step.action, step.target, step.options, step.timeout, step.limit, step.queue, step.where,
             [(to, str(read)) for to, read in readings_of(step)])
            for step in steps
        ]  # fmt: skip

    assert bare(again.graph.steps) == bare(first.steps)
    assert nx.utils.graphs_equal(again.graph.dag, first.dag)

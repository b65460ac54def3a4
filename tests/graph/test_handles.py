"""Handles and detached steps: no edges, used all the same, and every way to write them wrongly."""

from __future__ import annotations

import networkx as nx
import pytest

from pipeline.graph.phases import phases
from pipeline_serve import Step
from tests.graph.checking import checked, checked_dag, graph_of

F = "run: app.py:f"


def steps(**own: str) -> str:
    return "steps:\n" + "".join(f"  {name}: {{{F}{', ' if text else ''}{text}}}\n" for name, text in own.items())


def test_a_handle_is_no_edge_and_its_target_and_what_that_needs_are_used():
    graph = graph_of(steps(clean="", score="", why="inputs: request, handles: {predict: score}"))
    assert list(graph.dag.edges) == [("clean", "score")]
    assert graph.dag.nodes["why"]["step"].handles == {"predict": "score"}
    assert [step.name for step in graph.planned] == ["why"]


def test_a_step_reads_the_one_above_it_that_is_waited_for_and_the_last_of_those_answers():
    graph = graph_of(steps(a="", log="detached: true", b="", tell="detached: true"))
    assert sorted(graph.dag.edges) == [("a", "b"), ("a", "log"), ("b", "tell")]
    assert [str(answer) for answer in graph.output["predict"]] == ["b"]
    assert graph.dag.nodes["log"]["step"].detached is True


def test_a_detached_step_and_one_that_handles_call_play_no_part_in_the_phases():
    text = "steps:\n  clean: app.py:f\n  audit: {model: m, inputs: clean, detached: true}\n  score: app.py:f\n"
    assert set(phases(graph_of(text)).values()) == {"predict"}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        # ---- the keys
        (steps(a="handles: [b]"), ["2:31: handles is a map name → step, not a list"]),
        (steps(a="handles: {p: 5}"), ['2:35: handle "p" is a step, not 5']),
        (steps(a="detached: 1"), ["2:32: detached is true or false, not 1"]),
        (steps(a="each: 1"), ["2:28: each is a text, not 1"]),
        ("steps:\n  a: {model: m, handles: {p: a}}\n", ['2:17: step "a": handles does not go with model']),
        # ---- what a handle calls
        (steps(score="", a="inputs: request, handles: {p: scor}"),
         ['3:52: step "a": handle "p" is "scor": no such step; did you mean "score"?']),
        (steps(score="", a="inputs: request, handles: {p: score.y}"),
         ['3:52: step "a": handle "p" is "score.y": a handle calls a whole step; write "score"']),
        (steps(a="handles: {p: request}"),
         ['2:35: step "a": handle "p" is "request": a handle calls a step, not what was asked']),
        (steps(a="handles: {p: a}"),
         ['2:35: step "a": handle "p" is "a": a step that calls itself would never end']),
        (steps(b="", log="detached: true", a="inputs: b, handles: {p: log}"),
         ['4:46: step "a": handle "p" is "log", which is detached: nobody waits for it, and a handle would']),
        (steps(a="inputs: request, handles: {p: b}", b="inputs: request, handles: {p: c}",
               c="inputs: request, handles: {p: a}"),
         ["2:48: steps call each other through handles in a cycle: a → b → c → a"]),
        # ---- what waits for a detached step
        (steps(a="", log="detached: true", b="inputs: [a, log]"),
         ['4:34: step "b" reads "log", which is detached: nobody waits for it, so there is nothing to read']),
        (steps(a="", log="detached: true", tell="inputs: log, detached: true"),
         ['4:33: step "tell" reads "log", which is detached: nobody waits for it, so there is nothing to read']),
        (steps(a="", log="detached: true") + "output: log\n",
         ['4:9: output is "log", which is detached: nobody waits for it, so it can answer nothing']),
        (steps(a="detached: true", b="detached: true"), ["2:32: every step is detached: none is left to answer"]),
        # ---- and nothing that follows from one of these
        (steps(score="", a="inputs: request, handles: [score]"),
         ["3:48: handles is a map name → step, not a list"]),
        (steps(score="", a="inputs: request, handles: score"),
         ['3:48: handles is a map name → step, not the text "score"']),
        (steps(a="inputs: request, handles: scor"), ['2:48: handles is a map name → step, not the text "scor"']),
        (steps(score="", a="inputs: request, handles: {p: request}"),
         ['3:52: step "a": handle "p" is "request": a handle calls a step, not what was asked']),
        (steps(score="", a="inputs: request, handles: {p: a}"),
         ['3:52: step "a": handle "p" is "a": a step that calls itself would never end']),
        (steps(score="", log="inputs: request, detached: true") + "output: log\n",
         ['4:9: output is "log", which is detached: nobody waits for it, so it can answer nothing']),
        (steps(score="", log="inputs: request, detached: true", b="inputs: log"),
         ['4:30: step "b" reads "log", which is detached: nobody waits for it, so there is nothing to read']),
        # ---- what never starts
        (steps(a="", embed="inputs: a", log="inputs: embed, detached: true", b="inputs: a"),
         ['4:32: step "log" would never start: it reads "embed", which no answer needs']),
        (steps(p="inputs: request", e="inputs: request", log="inputs: [p, e], detached: true")
         + "output: {predict: p, explain: e}\n",
         ['4:32: step "log" would never start: no answer needs all that it reads, "p" and "e"']),
        # ---- and what is used by nothing still is
        (steps(a="", b="inputs: a", c="inputs: request"),
         ['2:3: step "a" is used by nothing: the answer, c, does not need it',
          '3:3: step "b" is used by nothing: the answer, c, does not need it']),
    ],
)  # fmt: skip
def test_a_fault_is_one_located_line(text, lines):
    assert checked(text).lines == lines


def test_in_python_the_answer_is_the_node_that_nothing_reads_calls_or_leaves_alone():
    dag = nx.DiGraph()
    dag.add_node("clean", step=Step(run="app.py:f"))
    dag.add_node("score", step=Step(run="app.py:f"))
    dag.add_node("why", step=Step(run="app.py:f", handles={"f": "score"}))
    dag.add_node("log", step=Step(run="app.py:f", detached=True))
    nx.add_path(dag, ["clean", "why", "log"])
    found = checked_dag(dag)
    assert found.lines == []
    assert [str(answer) for answer in found.graph.output["predict"]] == ["why"]
    assert checked_dag(found.graph.dag, output="why").lines == []


def test_a_fault_of_a_handle_in_python_names_the_node():
    dag = nx.DiGraph()
    dag.add_node("why", step=Step(run="app.py:f", handles={"f": "scor"}))
    assert checked_dag(dag).lines == [
        'node "why": step "why": handle "f" is "scor": no such step; there are none but why'
    ]

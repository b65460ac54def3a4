"""References resolved, orders that respect them, and every fault of the shape: once, located, no tail of others."""

from __future__ import annotations

import itertools

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.graph.dag import readings_of
from pipeline.graph.spec import Reference, Step
from tests.graph.checking import checked, graph_of, spec_of


def steps(**texts: str) -> str:
    return "steps:\n" + "".join(f"  {name}: {text}\n" for name, text in texts.items())


def reads(inputs: str) -> str:
    return f"{{run: app.py:f, inputs: {inputs}}}"


# ---- the shape


def test_a_step_reads_the_step_above_it_and_the_first_the_request():
    graph = graph_of(steps(a="app.py:f", b="app.py:f", c="app.py:f"))
    assert [[str(reference) for _, reference in readings_of(step)] for step in graph.steps] == [
        ["request"],
        ["a"],
        ["b"],
    ]
    assert list(graph.dag.edges) == [("a", "b"), ("b", "c")]
    assert [str(reference) for reference in graph.output["predict"]] == ["c"]


def test_an_edge_says_which_tensor_goes_to_which_parameter():
    graph = graph_of(steps(a="app.py:f", b=reads("{x: a.y, t: headers.x-t, z: request}")))
    assert graph.dag.edges["a", "b"] == {"tensor": "y", "to": "x"}
    assert [(to, str(reference)) for to, reference in readings_of(graph.steps[1])] == [
        ("x", "a.y"),
        ("t", "headers.x-t"),
        ("z", "request"),
    ]


def test_steps_may_be_written_in_any_order():
    graph = graph_of("output: a\n" + steps(a=reads("[b, c]"), c=reads("b"), b=reads("request")))
    assert [step.name for step in graph.steps] == ["b", "c", "a"]


def test_ties_stand_as_they_were_declared():
    graph = graph_of("output: [z, y, x]\n" + steps(z=reads("request"), y=reads("request"), x=reads("request")))
    assert [step.name for step in graph.steps] == ["z", "y", "x"]


def test_a_node_carries_the_step_as_python_would_write_it():
    graph = graph_of(steps(a="{run: app.py:f, timeout: 0.1us, limit: 2, params: {k: 1}}", b=reads("{x: a}")))
    assert graph.dag.nodes["a"]["step"] == Step(
        run="app.py:f", inputs=["request"], timeout="1e-07s", limit=2, params={"k": 1}
    )
    assert graph.dag.nodes["b"]["step"] == Step(run="app.py:f", inputs={"x": "a"})


# ---- what can be wrong with it


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            steps(clean="app.py:f", score="app.py:f", label=reads("scor")),
            ['4:34: step "label" reads "scor": no such step; did you mean "score"?'],
        ),
        (
            steps(score="app.py:f", label=reads("{x: scor.y}")),
            ['3:38: step "label" reads "scor.y": no such step; did you mean "score"?'],
        ),
        (
            steps(score="app.py:f", b=reads("[score, heaters.x, param.y]")),
            [
                '3:38: step "b" reads "heaters.x": no such step; did you mean "headers"?',
                '3:49: step "b" reads "param.y": no such step; did you mean "parameters"?',
            ],
        ),
        (
            steps(a="app.py:f", b="app.py:f", c=reads("zzz")),
            ['4:30: step "c" reads "zzz": no such step; there are a, b, c, headers, parameters and request'],
        ),
        ("output: scor\n" + steps(score="app.py:f"), ['1:9: output is "scor": no such step; did you mean "score"?']),
        (
            "output: [score, request.x]\n" + steps(score="app.py:f"),
            ['1:17: output is "request.x": the answer is a step, not what was asked'],
        ),
        ("output: requst\n" + steps(a="app.py:f"), ['1:9: output is "requst": no such step; there are none but a']),
        (
            steps(a=reads("b"), b=reads("c"), c=reads("a")),
            ["2:30: steps read each other in a cycle: a → c → b → a"],
        ),
        (steps(a=reads("a")), ["2:30: steps read each other in a cycle: a → a"]),
        (
            steps(a=reads("b"), b=reads("a"), c=reads("d"), d=reads("c")),
            [
                "2:30: steps read each other in a cycle: a → b → a",
                "4:30: steps read each other in a cycle: c → d → c",
            ],
        ),
        (
            steps(before=reads("request"), a=reads("[before, b]"), b=reads("a"), c=reads("request")),
            ["3:30: steps read each other in a cycle: a → b → a"],
        ),
        (
            steps(a="app.py:f", b=reads("request")),
            ['2:3: step "a" is used by nothing: the answer, b, does not need it'],
        ),
        (
            "output: [b, c]\n" + steps(a="app.py:f", b=reads("request"), c=reads("b"), d="app.py:f"),
            [
                '3:3: step "a" is used by nothing: the answer, b and c, does not need it',
                '6:3: step "d" is used by nothing: the answer, b and c, does not need it',
            ],
        ),
    ],
)  # fmt: skip
def test_a_fault_of_the_shape_is_one_located_line(text, lines):
    assert checked(text).lines == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        # A misspelt reference reads what it was meant to: "score" is not unused, but "spare" is.
        (
            steps(score="app.py:f", spare=reads("request"), label=reads("scor")),
            [
                '3:3: step "spare" is used by nothing: the answer, label, does not need it',
                '4:34: step "label" reads "scor": no such step; did you mean "score"?',
            ],
        ),
        # What this one reads, nobody knows: nothing is called unused.
        (
            steps(score="app.py:f", spare=reads("request"), label=reads("5")),
            ["4:34: inputs is a step, step.tensor or request, not 5"],
        ),
        # Steps that cannot be read are steps: they read the one above and are read.
        (
            steps(a="app.py:f", b="", c="app.py:f"),
            ['3:4: step "b" is empty; it needs one of model and run'],
        ),
        (
            steps(a="app.py:f", b="{graph: other.yaml}", c=reads("[a, b.y]")),
            ['3:7: step "b": graph is known but not built yet'],
        ),
        (
            steps(a="app.py:f", b="{run: app.py:f, model: m.joblib, inputs: a}", c=reads("b")),
            ['3:22: step "b" does two things, run and model (the first at graph.yaml:3:7); a step does exactly one'],
        ),
        # A step named "request" does not change what reading the request means.
        (
            steps(request="app.py:f", b="app.py:f", c=reads("[b, request]")),
            ['2:3: "request" is reserved: it is what steps read; name the step otherwise'],
        ),
        # A name with a dot is read by its name, and by default.
        (
            "steps: {a.b: app.py:f, c: app.py:f, d: {run: app.py:f, inputs: [c, a.b]}}\n",
            ['1:9: a step name is a Python identifier, not "a.b"; write "a_b"'],
        ),
    ],
)  # fmt: skip
def test_one_mistake_is_one_line(text, lines):
    assert checked(text).lines == lines


def test_faults_of_the_shape_come_with_those_of_keys_sorted_by_place():
    text = "limit: 0\noutput: [lable, c]\n" + steps(
        a="{run: app.py:f, timeout: 3}", b="{run: app.py:f, place: process}", label=reads("scor"), c=reads("[c]")
    )
    assert [line.split(" ", 1)[0] for line in checked(text).lines] == [
        "1:8:",
        "2:10:",
        "4:31:",
        "5:29:",
        "6:34:",
        "7:30:",
    ]


# ---- properties


@st.composite
def random_steps(draw) -> tuple[dict[str, list[str]], list[str]]:
    """Name → what it reads, over an acyclic graph declared in a random order; and the steps nobody reads."""
    count = draw(st.integers(1, 12))
    names = [f"s{number}" for number in range(count)]
    read = {
        name: draw(st.lists(st.sampled_from(names[:position]), unique=True, max_size=4)) if position else []
        for position, name in enumerate(names)
    }
    declared = {name: read[name] for name in draw(st.permutations(names))}
    sinks = [name for name in names if not any(name in sources for sources in read.values())]
    return declared, sinks


@settings(max_examples=200)
@given(random_steps())
def test_every_acyclic_graph_connects_and_its_steps_stand_after_what_they_read(drawn):
    declared, sinks = drawn
    lines = {name: reads(f"[{', '.join(sources) or 'request'}]") for name, sources in declared.items()}
    graph = graph_of(f"output: [{', '.join(sinks)}]\n" + steps(**lines))
    order = [step.name for step in graph.steps]
    assert sorted(order) == sorted(declared)
    assert all(order.index(source) < order.index(name) for name, sources in declared.items() for source in sources)
    assert set(graph.dag.edges) == {(source, name) for name, sources in declared.items() for source in sources}
    assert nx.is_directed_acyclic_graph(graph.dag)


@settings(max_examples=200)
@given(random_steps(), st.data())
def test_an_edge_back_is_a_cycle_whose_path_is_one(drawn, data):
    declared, sinks = drawn
    first = data.draw(st.sampled_from(sorted(declared)))
    dag = nx.DiGraph([(source, name) for name, sources in declared.items() for source in sources])
    dag.add_nodes_from(declared)
    last = data.draw(st.sampled_from(sorted({first, *nx.descendants(dag, first)})))
    declared[first] = [*declared[first], last]
    lines = {name: reads(f"[{', '.join(sources) or 'request'}]") for name, sources in declared.items()}
    found = checked(f"output: [{', '.join(sorted({*sinks, last}))}]\n" + steps(**lines)).lines
    (line,) = found
    path = line.partition("in a cycle: ")[2].split(" → ")
    assert path[0] == path[-1]
    assert all(before in declared[after] for before, after in itertools.pairwise(path))


def test_the_last_step_is_the_answer_where_output_says_nothing():
    spec = spec_of(steps(a="app.py:f", b="app.py:f"))
    assert spec.output == {}
    assert graph_of(steps(a="app.py:f", b="app.py:f")).output == {
        "predict": (Reference("b", None, spec.steps[1].place),)
    }


def test_the_last_step_that_no_other_verb_answers_with_predicts():
    graph = graph_of("output: {explain: why}\n" + steps(a="app.py:f", b="app.py:f", why="app.py:f"))
    assert {verb: [str(own) for own in answers] for verb, answers in graph.output.items()} == {
        "predict": ["b"],
        "explain": ["why"],
    }


def test_a_graph_that_only_explains_predicts_with_its_last_step():
    graph = graph_of("output: {explain: why}\n" + steps(why="app.py:f"))
    assert [str(own) for own in graph.output["predict"]] == ["why"]


def test_a_step_that_only_an_explanation_needs_is_used_and_any_other_is_not():
    text = "output: {explain: why}\n" + steps(
        a="app.py:f", b=reads("a"), near=reads("a"), why=reads("near"), odd=reads("a")
    )
    found = checked("output: {predict: b, explain: why}\n" + text.partition("\n")[2]).lines
    assert found == ['7:3: step "odd" is used by nothing: the answer, b and why, does not need it']


def test_the_answer_of_each_verb_is_a_step():
    text = "output: {predict: request, explain: wy}\n" + steps(why="app.py:f")
    assert checked(text).lines == [
        '1:19: output is "request": the answer is a step, not what was asked',
        '1:37: output is "wy": no such step; did you mean "why"?',
    ]


def test_a_chain_of_two_thousand_steps_connects():
    graph = graph_of(steps(**{f"s{number}": "app.py:f" for number in range(2000)}))
    assert [step.name for step in graph.steps] == [f"s{number}" for number in range(2000)]

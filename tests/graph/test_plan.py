"""A plan holds each needed step once; its stages, hops and counts are checked against the graph, for random graphs."""

from __future__ import annotations

import itertools
from collections import Counter

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.graph.interface import Interface, Parameter
from pipeline.graph.plan import FROM_HEADERS, FROM_PARAMETERS, FROM_REQUEST, Manner, Plan, compile_plan
from pipeline.graph.spec import Step
from pipeline.tensors.forms import Form
from tests.graph.checking import checked_dag, graph_of

THREAD, LOOP, TIMED = Manner(threaded=True, alone=False), Manner(threaded=False, alone=False), Manner(True, True)
ANY = Interface((Parameter("x"),), None, blocking=True, limit=1)


def plan(text: str, manners: dict[str, Manner] | None = None, outputs=None, interfaces=None) -> Plan:
    graph = graph_of(text)
    names = [step.name for step in graph.steps]
    return compile_plan(
        graph,
        dict.fromkeys(names, ANY) | (interfaces or {}),
        dict.fromkeys(names, LOOP) | (manners or {}),
        [own for own in graph.output["predict"] if outputs is None or own.source in outputs],
    )


def reads(inputs: str) -> str:
    return f"{{run: app.py:f, inputs: {inputs}}}"


def steps(**texts: str) -> str:
    return "steps:\n" + "".join(f"  {name}: {text}\n" for name, text in texts.items())


def chain(count: int) -> str:
    return steps(**{f"s{number}": "app.py:f" for number in range(count)})


# ---- the layout


@pytest.mark.parametrize(
    ("manners", "hops"),
    [
        ([LOOP, LOOP, LOOP], ((0,), (1,), (2,))),
        ([THREAD, THREAD, THREAD], ((0, 1, 2),)),
        ([THREAD, LOOP, THREAD], ((0,), (1,), (2,))),
        ([THREAD, THREAD, LOOP], ((0, 1), (2,))),
        ([THREAD, TIMED, THREAD], ((0,), (1,), (2,))),
        ([TIMED, THREAD, THREAD], ((0,), (1, 2))),
    ],
)
def test_a_chain_is_one_stage_whose_neighbours_in_threads_share_a_hop(manners, hops):
    found = plan(chain(3), {f"s{number}": manner for number, manner in enumerate(manners)})
    assert [(stage.hops, stage.waits, stage.dependents) for stage in found.stages] == [(hops, 0, ())]
    assert (found.start, found.forks, found.shares, found.readers) == ((0,), False, False, (1, 1, 1))
    assert found.whole == (FROM_REQUEST, 0, 1)


def test_a_diamond_forks_and_joins():
    found = plan(steps(a="app.py:f", b=reads("a"), c=reads("a"), d=reads("[b, c]")))
    assert [(stage.hops, stage.waits, stage.dependents) for stage in found.stages] == [
        (((0,),), 0, (1, 2)),
        (((1,),), 1, (3,)),
        (((2,),), 1, (3,)),
        (((3,),), 2, ()),
    ]
    assert (found.start, found.forks, found.shares, found.readers) == ((0,), True, True, (2, 1, 1, 1))


def test_a_step_that_also_reads_what_stands_further_up_stays_in_the_chain():
    found = plan(steps(a="app.py:f", b=reads("a"), c=reads("[a, b]")))
    assert [stage.hops for stage in found.stages] == [((0,),), ((1,), (2,))]
    assert found.sources == ((), (0,), (0, 1))
    assert found.readers == (2, 1, 1)


def test_each_thing_that_is_read_has_a_source():
    found = plan(steps(a=reads("[]"), b=reads("[a, request, headers.x, parameters.y]")))
    assert [[pick.source for pick in own] for own in found.picks] == [
        [],
        [0, FROM_REQUEST, FROM_HEADERS, FROM_PARAMETERS],
    ]
    assert found.whole == (None, None)


def test_only_what_the_outputs_need_is_planned():
    text = "output: [b, d]\n" + steps(a="app.py:f", b="app.py:f", c=reads("request"), d="app.py:f")
    assert [step.name for step in plan(text).steps] == ["a", "b", "c", "d"]
    only = plan(text, outputs={"d"})
    assert [step.name for step in only.steps] == ["c", "d"]
    assert [(pick.source, pick.tensor) for pick in only.answer] == [(1, None)]


def test_the_answer_is_a_reader_too():
    found = plan("output: [a.y, b]\n" + steps(a="app.py:f", b="app.py:f"))
    assert [(pick.source, pick.tensor) for pick in found.answer] == [(0, "y"), (1, None)]
    assert found.readers == (2, 1)


@pytest.mark.parametrize(
    ("inputs", "parameters", "required"),
    [
        ("request.t", [Parameter("t")], [True]),
        ("request.t", [Parameter("t", required=False)], [False]),
        ("request.t", [Parameter("other", required=False)], [False]),  # a single parameter takes the only tensor
        ("{x: headers.t}", [Parameter("x", required=False), Parameter("y")], [False]),
        ("[headers.x, parameters.y]", [Parameter("x", required=False), Parameter("y")], [False, True]),
        ("[request.t, request.u]", [Parameter("all", Form.DICT)], [False, False]),
        ("[request.t, request.u]", [Parameter("a"), Parameter("b")], [True, True]),
    ],
)
def test_what_is_absent_is_the_callers_error_unless_there_is_a_default(inputs, parameters, required):
    own = Interface(tuple(parameters), None, blocking=True, limit=1)
    found = plan(steps(a=reads(inputs)), interfaces={"a": own})
    assert [pick.required for pick in found.picks[0]] == required


def test_thousands_of_steps_compile_without_a_quadratic_store():
    found = plan(chain(3000), {f"s{number}": THREAD for number in range(3000)})
    assert [stage.hops for stage in found.stages] == [(tuple(range(3000)),)]


# ---- properties


@st.composite
def plans(draw) -> tuple[Plan, dict[str, list[str]], dict[str, Manner], list[str]]:
    count = draw(st.integers(1, 14))
    names = [f"s{number}" for number in range(count)]
    wires = {
        name: draw(st.lists(st.sampled_from(names[:at]), unique=True, max_size=3)) if at else []
        for at, name in enumerate(names)
    }
    sinks = [name for name in names if not any(name in own for own in wires.values())]
    also = draw(st.lists(st.sampled_from(names), unique=True, max_size=2))
    outputs = sorted({*sinks, *also})
    asked = draw(st.lists(st.sampled_from(outputs), unique=True, min_size=1))
    manners = {name: draw(st.sampled_from([THREAD, LOOP, TIMED])) for name in names}
    dag = nx.DiGraph()
    dag.add_nodes_from(names, step=Step(run="app.py:f"))
    dag.add_edges_from((source, name) for name, own in wires.items() for source in own)
    graph = checked_dag(dag, output=outputs).graph
    return (
        compile_plan(
            graph, dict.fromkeys(names, ANY), manners, [own for own in graph.output["predict"] if own.source in asked]
        ),
        wires,
        manners,
        asked,
    )


@settings(max_examples=200)
@given(plans())
def test_every_needed_step_stands_in_one_stage_after_what_it_reads(drawn):
    found, wires, _, asked = drawn
    dag = nx.DiGraph([(source, name) for name, own in wires.items() for source in own])
    dag.add_nodes_from(wires)
    needed = set(asked).union(*(nx.ancestors(dag, name) for name in asked))
    names = [step.name for step in found.steps]
    assert sorted(names) == sorted(needed)
    placed = [step for stage in found.stages for hop in stage.hops for step in hop]
    assert sorted(placed) == list(range(len(names)))
    assert [sorted(names[source] for source in own) for own in found.sources] == [sorted(wires[name]) for name in names]


@settings(max_examples=200)
@given(plans())
def test_stages_that_start_when_what_they_wait_for_is_done_run_every_step_after_its_sources(drawn):
    found, _, _, _ = drawn
    waits = [stage.waits for stage in found.stages]
    ready, done = list(found.start), []
    while ready:
        stage = found.stages[ready.pop()]
        for step in itertools.chain.from_iterable(stage.hops):
            assert set(found.sources[step]) <= set(done)
            done.append(step)
        for dependent in stage.dependents:
            waits[dependent] -= 1
            assert waits[dependent] >= 0
            if waits[dependent] == 0:
                ready.append(dependent)
    assert sorted(done) == list(range(len(found.steps)))


@settings(max_examples=200)
@given(plans())
def test_joining_steps_in_a_stage_delays_nobody(drawn):
    """A step inside a stage has no reader but the next one, and all that the next one needs is done by then."""
    found, _, _, _ = drawn
    readers: dict[int, set[int]] = {step: set() for step in range(len(found.steps))}
    for step, own in enumerate(found.sources):
        for source in own:
            readers[source].add(step)
    for stage in found.stages:
        row = list(itertools.chain.from_iterable(stage.hops))
        for before, after in itertools.pairwise(row):
            assert readers[before] == {after}


@settings(max_examples=200)
@given(plans())
def test_hops_join_neighbours_in_threads_without_a_timeout_and_no_others(drawn):
    found, _, manners, _ = drawn

    def shares(step: int) -> bool:
        manner = manners[found.steps[step].name]
        return manner.threaded and not manner.alone

    for stage in found.stages:
        for hop in stage.hops:
            assert len(hop) == 1 or all(shares(step) for step in hop)
        for before, after in itertools.pairwise(stage.hops):
            assert not (shares(before[-1]) and shares(after[0]))


@settings(max_examples=200)
@given(plans())
def test_readers_are_counted_once_each(drawn):
    found, _, _, asked = drawn
    counts = Counter(source for own in found.sources for source in own)
    counts.update([step for step, spec in enumerate(found.steps) if spec.name in asked])
    assert list(found.readers) == [counts[step] for step in range(len(found.steps))]
    assert found.shares == any(count > 1 for count in found.readers)
    assert found.forks == (len(found.start) > 1 or any(len(stage.dependents) > 1 for stage in found.stages))


def test_detached_steps_come_last_stand_in_no_stage_and_keep_what_they_read():
    text = (
        "steps:\n  a: app.py:f\n  log: {run: app.py:f, detached: true}\n  b: {run: app.py:f, inputs: a}\n"
        "  audit: {run: app.py:f, inputs: request, detached: true}\n"
    )
    graph = graph_of(text)
    interface = Interface((Parameter("x"),), None, blocking=True, limit=None)
    interfaces = {step.name: interface for step in graph.steps}
    manners = {step.name: THREAD for step in graph.steps}
    found = compile_plan(graph, interfaces, manners, graph.output["predict"])
    assert [step.name for step in found.steps[:2]] == ["a", "b"]
    assert sorted(found.steps[number].name for number in found.detached) == ["audit", "log"]
    # They cut no chain: a and b still share a thread.
    assert [stage.hops for stage in found.stages] == [((0, 1),)]
    assert (found.readers[:2], found.shares, found.forks) == ((2, 1), True, False)

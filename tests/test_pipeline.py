"""A pipeline in process: asked with ``infer``, told what it may, and observed."""

import threading

import networkx as nx
import numpy as np
import pytest
import trio

from pipeline.errors import Code, DeadlineExceeded, InferError, InvalidInput, ModelNotReady, Overloaded, WrongAnswer
from pipeline.observe import ModelFailed, ModelLoaded, RequestDone
from pipeline.pipeline import State
from pipeline_serve import Context, GraphFaults, InferResponse, Pipeline, Raw, Step
from tests.engine.graphs import ONE
from tests.engine.graphs import pipeline as linked


def one(run, **top):
    dag = nx.DiGraph()
    dag.add_node("s", step=run if isinstance(run, Step) else Step(run=run))
    return Pipeline("m", dag, **top)


async def same(x):
    return x


async def forever(x):
    await trio.sleep_forever()


GRAPH = """
name: flowers
version: 3
schema: {inputs: {rows: "FP64[n,2]", "scale": "FP64[1]?"}, outputs: {label: "BYTES[n]"}}
steps:
  total: app.py:total
  label: app.py:label
"""
APP = """
def total(rows, scale=1.0): return rows.sum(axis=1) * scale
def label(sums): return ["big" if value > 3 else "small" for value in sums]
"""


async def test_a_graph_file_is_a_pipeline_and_its_dag_is_networkx(write):
    write("app.py", APP)
    path = write("graph.yaml", GRAPH) / "graph.yaml"
    model = Pipeline.from_file(path)
    assert (model.name, model.version) == ("flowers", "3")
    assert list(nx.topological_sort(model.dag)) == ["total", "label"]
    assert model.dag.nodes["label"]["step"].run == "app.py:label"
    async with Pipeline.from_file(str(path), environment={}) as model:
        answer = await model.infer({"rows": [[1.0, 1.0], [2.0, 2.0]]}, id="7")
        assert isinstance(answer, InferResponse)
        assert answer["label"].tolist() == [b"small", b"big"]
        assert (answer.model, answer.version, answer.id) == ("flowers", "3", "7")
        assert (await model.infer({"rows": [[1.0, 1.0]], "scale": [9.0]}))["label"].tolist() == [b"big"]
        assert (await model.infer({"rows": [[1.0, 1.0]]})).id != (await model.infer({"rows": [[1.0, 1.0]]})).id


async def test_lists_and_numbers_are_of_the_declared_datatype_as_over_http():
    dag = nx.DiGraph()
    dag.add_node("both", step=Step(run=lambda rows, threshold=None: {"rows": rows, "threshold": threshold}))
    async with Pipeline("m", dag, schema={"inputs": {"rows": "FP64[n,4]", "threshold": "FP32[]?"}}) as model:
        answer = await model.infer({"rows": [[5, 3, 1, 0]], "threshold": 0.5})
        assert {name: value.describe() for name, value in answer.outputs.items()} == {
            "rows": "FP64[1,4]",
            "threshold": "FP32[]",
        }


async def test_the_id_is_a_text_and_that_of_the_header_where_none_is_given():
    dag = nx.DiGraph()
    dag.add_node("same", step=Step(run=lambda x: x))
    async with Pipeline("m", dag) as model:
        assert (await model.infer({"x": 1}, id=5)).id == "5"
        assert (await model.infer({"x": 1}, headers={"X-Request-Id": "mine"})).id == "mine"


async def test_the_dag_of_a_pipeline_makes_the_same_pipeline(write):
    write("app.py", APP)
    folder = write("graph.yaml", GRAPH)
    dag = Pipeline.from_file(folder / "graph.yaml").dag
    async with Pipeline("again", dag, folder=folder) as model:
        assert (await model.infer({"rows": [[3.0, 3.0]]}))["label"].tolist() == [b"big"]


async def test_edges_say_which_tensor_goes_where():
    dag = nx.DiGraph()
    dag.add_node("both", step=Step(run=lambda x: {"a": x, "b": 10 * x}))
    dag.add_node("minus", step=Step(run=lambda left, right: left - right))
    dag.add_node("half", step=Step(run=lambda x: x / 2))
    dag.add_edge("both", "half", tensor="a")
    dag.add_edge("both", "minus", tensor="b", to="left")
    dag.add_edge("half", "minus", to="right")
    async with Pipeline("m", dag) as model:
        assert (await model.infer({"x": [2]}))["minus"].tolist() == [19]


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (
            {"row": [[1.0, 1.0]]},
            'input "rows": expected FP64[n,2], but it is missing; there is "row": did you mean "rows"?',
        ),
        ({"other": [[1.0, 1.0]]}, 'input "rows": expected FP64[n,2], but it is missing'),
        ({"scale": [1.0]}, 'input "rows": expected FP64[n,2], but it is missing'),
        (
            {"scle": [1.0], "x": 1},
            'input "rows": expected FP64[n,2], but it is missing; there is "scle": did you mean "scale"?',
        ),
        ({"rows": np.array([[1, 1]])}, 'input "rows": expected FP64[n,2], got INT64[1,2]'),
        ({"rows": [["a", "b"]]}, "input \"rows\": expected FP64[n,2]; element 0 is 'a', which is no FP64"),
        ({"rows": [[1.0]]}, 'input "rows": expected FP64[n,2], got FP64[1,1]'),
        (
            {"rows": [[1.0, 1.0]], "scael": [1.0]},
            'input "scael" is read by no step of model "flowers"; did you mean "scale"?',
        ),
        ({"rows": [[1.0, 1.0]], "scale": [1.0, 2.0]}, 'input "scale": expected FP64[1]?, got FP64[2]'),
        ({"rows": [[1.0, 1.0], [2.0]]}, 'input "rows": expected FP64[n,2], got JSON (list)'),
        ({"rows": None}, 'input "rows" is a NoneType; it is an array, a list, a number, text, bytes or a dict'),
        (
            {"rows": np.array([1j])},
            'input "rows": numpy dtype complex128 has no datatype in the Open Inference Protocol',
        ),
        ({"rows": "text"}, "input \"rows\": expected FP64[n,2]; element 0 is 'text', which is no FP64"),
    ],
)
async def test_a_request_that_does_not_fit_the_schema_is_refused_in_words(write, inputs, says):
    write("app.py", APP)
    async with Pipeline.from_file(write("graph.yaml", GRAPH) / "graph.yaml") as model:
        with pytest.raises(InvalidInput) as caught:
            await model.infer(inputs)
    assert str(caught.value) == says


def outputs_of(**more):
    dag = nx.DiGraph()
    ran = []

    def step(name):
        def run(x):
            ran.append(name)
            return x

        return Step(run=run, inputs="request")

    for name in ("a", "b"):
        dag.add_node(name, step=step(name))
    return Pipeline("m", dag, output=["a", "b"], **more), ran


@pytest.mark.parametrize(
    ("asked", "given", "runs"),
    [
        (None, ["a", "b"], "ab"),
        ([], ["a", "b"], "ab"),
        (["b", "a"], ["b", "a"], "ab"),
        (["b"], ["b"], "b"),
        ("a", ["a"], "a"),
    ],
)
async def test_only_what_the_asked_outputs_need_is_run_and_they_come_in_that_order(asked, given, runs):
    model, ran = outputs_of(schema={"outputs": {"a": "INT64[]", "b": "INT64[]"}})
    async with model:
        assert list((await model.infer({"x": 1}, outputs=asked)).outputs) == given
    assert sorted(ran) == list(runs)


async def test_an_output_that_nobody_gives_is_refused_in_kserves_words():
    model, _ = outputs_of()
    async with model:
        with pytest.raises(InvalidInput, match=r"^Unexpected inference output 'c' for model 'm'$"):
            await model.infer({"x": 1}, outputs=["a", "c"])


@pytest.mark.parametrize(
    ("returned", "declared", "says"),
    [
        ([1.5], {"y": "INT64[n]"}, r'model "m": output "y": expected INT64\[n\], got FP64\[1\]'),
        ({"y": np.array([1])}, {"y": "INT64[n]", "z": "INT64[n]"}, 'output "z": expected .*, but it is missing'),
        (
            {"y": np.array([1]), "z": np.array([1, 2])},
            {"y": "INT64[n]", "z": "INT64[n]"},
            'output "z": .* n=1 as elsewhere',
        ),
        ({"y": "text"}, {"y": "INT64[n]"}, "got JSON"),
    ],
)
async def test_an_answer_that_is_not_what_the_schema_promises_is_the_models_fault(returned, declared, says):
    async with one(lambda x: returned, schema={"outputs": declared}) as model:
        with pytest.raises(WrongAnswer, match=says):
            await model.infer({"x": 1})


async def test_explain_needs_an_explainer():
    async with one(same) as model:
        with pytest.raises(InferError) as caught:
            await model.infer({"x": 1}, verb="explain")
    assert caught.value.code is Code.UNIMPLEMENTED
    way_out = "output: {explain: STEP} in the graph says which step answers"
    assert caught.value.message == f'model "m" has no answer to explain; {way_out}'


@pytest.mark.parametrize(
    ("verb", "shown"),
    [("xplain", "'xplain'"), ("", "''"), (None, "None"), (["predict"], "a list"), (b"predict", "b'predict'")],
)
async def test_a_verb_that_there_is_not_is_refused_by_name(verb, shown):
    async with one(same) as model:
        with pytest.raises(InvalidInput) as caught:
            await model.infer({"x": 1}, verb=verb)
    assert caught.value.message == f"unknown verb {shown}; there are predict and explain"


EXPLAINED = """
schema: {inputs: {rows: "FP64[n,2]"}, outputs: {label: "BYTES[n]"}}
output: {predict: label, explain: why}
steps:
  total: app.py:total
  label: app.py:label
  why: {run: app.py:why, inputs: {rows: request.rows, sums: total}}
"""


async def test_each_verb_has_an_answer_and_a_plan_of_its_own(write):
    write("app.py", APP + "def why(rows, sums): return rows / sums[:, None]\n")
    events = []
    async with Pipeline.from_file(write("graph.yaml", EXPLAINED) / "graph.yaml") as model:
        model.observers.append(events.append)
        answer = await model.infer({"rows": [[1.0, 3.0]]})
        explanation = await model.infer({"rows": [[1.0, 3.0]]}, verb="explain")
    assert answer["label"].tolist() == [b"big"]
    assert {name: explanation[name].tolist() for name in explanation.outputs} == {"why": [[0.25, 0.75]]}
    done = [event for event in events if isinstance(event, RequestDone)]
    assert [(event.verb, [span.step for span in event.spans]) for event in done] == [
        ("predict", ["total", "label"]),
        ("explain", ["total", "why"]),
    ]


async def test_each_verb_has_a_deadline_of_its_own(autojump_clock):
    async def slow(x):
        await trio.sleep(2)
        return x

    async with one(slow, output={"predict": "s", "explain": "s"}, deadline={"predict": "1s", "explain": "5s"}) as model:
        assert (await model.infer({"x": 1}, verb="explain"))["s"] == 1
        with pytest.raises(DeadlineExceeded, match="1 s"):
            await model.infer({"x": 1})


@pytest.mark.parametrize(
    ("deadline", "timeout", "seconds", "says"),
    [
        ("2s", None, 2, "2 s"),
        ("2s", 1, 1, "1 s"),
        ("2s", 5, 2, "2 s"),
        (None, None, 60, "1 m"),
        ("none", 0.3, 0.3, "300 ms"),
        ("2s", 0, 0, "0"),
        ("2s", "300ms", 0.3, "300 ms"),
    ],
)
async def test_the_earlier_of_the_files_and_the_callers_deadline_holds(
    autojump_clock, deadline, timeout, seconds, says
):
    stopped = []

    async def step(x, context: Context):
        assert context.remaining() == pytest.approx(seconds)
        try:
            await trio.sleep_forever()
        finally:
            stopped.append(trio.current_time())

    async with one(step, **({"deadline": deadline} if deadline else {})) as model:
        start = trio.current_time()
        with pytest.raises(DeadlineExceeded, match=rf"the request took longer than its deadline of {says}"):
            await model.infer({"x": 1}, timeout=timeout)
        assert trio.current_time() - start == pytest.approx(seconds)
        assert len(stopped) <= 1
        assert model.admission.taken == 0
        assert model.state is State.READY


async def test_without_a_deadline_there_is_all_the_time_there_is(autojump_clock):
    async def step(x, context: Context):
        await trio.sleep(80_000)
        return context.remaining()

    async with one(step, deadline="none") as model:
        assert (await model.infer({"x": 1}))["s"] == float("inf")


async def test_past_limit_and_queue_it_is_overloaded_and_places_come_back(autojump_clock):
    async with one(forever, limit=1, queue=1, deadline="10s") as model:
        async with trio.open_nursery() as nursery:

            async def ask():
                with pytest.raises(DeadlineExceeded):
                    await model.infer({"x": 1})

            nursery.start_soon(ask)
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(
                Overloaded, match="Model m is at its limit and its queue is full; try again in 1 s"
            ) as caught:
                await model.infer({"x": 1})
            assert caught.value.headers == {"retry-after": "1"}
            assert caught.value.code is Code.RESOURCE_EXHAUSTED
        assert (model.admission.taken, model.admission.waiting) == (0, 0)


async def test_cancelling_the_request_cancels_its_step():
    ended = []

    async def step(x):
        try:
            await trio.sleep_forever()
        finally:
            ended.append(x)

    async with one(step) as model:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(model.infer, {"x": 1})
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert len(ended) == 1
        assert model.admission.taken == 0


async def test_a_pipeline_goes_through_its_states_and_answers_only_when_ready():
    seen = []

    class Slow:
        async def load(self):
            seen.append(model.state)
            with pytest.raises(ModelNotReady, match="Model with name m is not ready"):
                await model.infer({"x": 1})
            with pytest.raises(RuntimeError, match='model "m" is loading already'):
                await model.__aenter__()

        async def close(self):
            assert model.is_busy

        async def __call__(self, x):
            return x

    model = one(Slow)
    assert repr(model) == "<Pipeline m version 1, new>"
    assert model.state is State.NEW
    for _ in range(2):
        with pytest.raises(ModelNotReady, match=r"^Model with name m is not ready\.$"):
            await model.infer({"x": 1})
        async with model:
            assert (model.state, model.is_busy) == (State.READY, False)
            assert (await model.infer({"x": 1}))["s"] == 1
            with pytest.raises(RuntimeError, match='model "m" is ready already'):
                await model.__aenter__()
            assert (await model.infer({"x": 1}))["s"] == 1
        assert (model.state, model.is_busy) == (State.CLOSED, False)
    assert seen == [State.LOADING, State.LOADING]


async def test_a_failed_model_says_why_and_can_be_opened_when_the_cause_is_gone():
    broken = [True]

    class Moody:
        def load(self):
            if broken:
                raise OSError("no weights")

        def __call__(self, x):
            return x

    events = []
    model = one(Moody)
    model.observers.append(events.append)
    with pytest.raises(OSError, match="no weights"):
        await model.__aenter__()
    with pytest.raises(ModelNotReady, match=r"Model with name m is not ready\. OSError: no weights"):
        await model.infer({"x": 1})
    broken.clear()
    async with model:
        assert model.failure is None
    assert [type(event) for event in events] == [ModelFailed, ModelLoaded]


async def fails(x):
    raise KeyError("mine")


async def nothing(x):
    return None


async def refuses(x):
    raise InvalidInput("no")


@pytest.mark.parametrize(
    ("run", "code"),
    [
        (same, None),
        (fails, Code.INTERNAL),
        (refuses, Code.INVALID_ARGUMENT),
        (forever, Code.DEADLINE_EXCEEDED),
        (nothing, Code.INTERNAL),
    ],
)
async def test_observers_are_told_of_each_request(autojump_clock, run, code):
    events = []
    async with one(run, version=7) as model:
        model.observers.append(events.append)
        try:
            await model.infer({"x": 1}, id="42")
        except Exception as error:  # noqa: BLE001  # each of the cases has its own
            assert code is not None, error
    (event,) = events
    assert isinstance(event, RequestDone)
    assert (event.model, event.version, event.verb, event.id, event.code) == ("m", "7", "predict", "42", code)
    assert event.seconds >= 0
    assert [(span.step, span.phase) for span in event.spans] == [("s", "predict")], "however it ended"
    assert all(span.start <= span.end for span in event.spans)


async def test_a_thread_that_its_deadline_left_keeps_its_place_until_it_ends():
    leave = threading.Event()
    ended = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def slow(x):
        try:
            leave.wait(30)
            return x
        finally:
            token.run_sync_soon(ended.set)

    async with one(Step(run=slow, limit=1, queue=1)) as model:
        with pytest.raises(DeadlineExceeded):
            await model.infer({"x": 1}, timeout=0.01)
        with pytest.raises(DeadlineExceeded):
            await model.infer({"x": 1}, timeout=0.01)
        leave.set()
        await ended.wait()
        assert (await model.infer({"x": 1}))["s"] == 1


async def test_faults_of_a_python_graph_name_the_node_and_come_all_at_once():
    dag = nx.DiGraph()
    dag.add_node("a", step=Step(run=lambda x: x, timeout="3"))
    dag.add_node("b", step="not a step")
    dag.add_node("c", step=Step(run=lambda x: x, limit=0))
    dag.add_edges_from([("a", "b"), ("b", "c")])
    with pytest.raises(GraphFaults) as caught:
        Pipeline("m", dag)
    text = str(caught.value)
    assert all(f'node "{name}"' in text for name in "abc"), text


async def test_raw_bytes_are_an_answer_and_bytes_to_the_next_step():
    async def picture(x):
        return Raw(b"GIF89a")

    async def size(p: bytes):
        return len(p)

    async with linked({"a": Step(run=picture)}) as built:
        assert (await built.infer(ONE))["a"] == b"GIF89a"
    async with linked({"a": Step(run=picture), "b": Step(run=size, inputs="a")}) as built:
        assert (await built.infer(ONE))["b"] == 6


async def test_a_step_that_cannot_take_raw_bytes_is_not_the_callers_fault():
    async def picture(x):
        return Raw(b"GIF89a")

    async def total(p: np.ndarray):
        return p.sum()

    async with linked({"a": Step(run=picture), "b": Step(run=total, inputs="a")}) as built:
        with pytest.raises(WrongAnswer, match=r'step "b": its input "p" cannot be bound: .* got raw bytes \(6\)'):
            await built.infer(ONE)

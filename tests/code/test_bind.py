"""Every sentence of graph.md, "Functions as steps", about what a function gets: asked of a pipeline of one function."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any

import networkx as nx
import numpy as np
import pytest

from pipeline.errors import InvalidInput, WrongAnswer
from pipeline_serve import Context, Datatype, InferRequest, Json, Pipeline, Step, Tensor

N = np.ndarray
TWO = np.array([[1.0, 2.0], [3.0, 4.0]])


def pipeline(*steps: tuple[str, Step], **top: Any) -> Pipeline:
    """A graph of these steps: a chain, where none of them says what it reads."""
    dag: nx.DiGraph[str] = nx.DiGraph()
    for name, step in steps:
        dag.add_node(name, step=step)
    for (before, _), (name, step) in pairwise(steps):
        if step.inputs is None:
            dag.add_edge(before, name)
    for name, step in steps:
        inputs = step.inputs
        texts = (
            [inputs] if isinstance(inputs, str) else list(inputs.values() if isinstance(inputs, dict) else inputs or ())
        )
        dag.add_edges_from((text.partition(".")[0], name) for text in texts if text.partition(".")[0] in dict(steps))
    return Pipeline("m", dag, output=steps[-1][0], **top)


async def got(function, inputs, *, reads=None, **how):
    """What the function was called with: it returns its locals, one of which we look at."""
    seen: list[Any] = []

    def keep(value):
        seen.append(value)
        return 0

    step = Step(run=function(keep), inputs=reads)
    async with pipeline(("s", step)) as model:
        await model.infer(inputs, **how)
    (value,) = seen
    return value


def takes(annotation, *, name="x"):
    """A function with one parameter of that annotation, that keeps what it gets."""

    def made(keep):
        def step(x):
            return keep(x)

        step.__annotations__ = {"x": annotation}
        return step

    return made


FORMS = [
    (N, TWO, TWO),
    (N, [[1, 2]], np.array([[1, 2]])),
    (N, ["ä", b"\xff"], np.array(["ä".encode(), b"\xff"], dtype=object)),
    (N, "text", np.array(b"text", dtype=object)),
    (list, TWO, [[1.0, 2.0], [3.0, 4.0]]),
    (list, ["ä", "b"], ["ä", "b"]),
    (list, [[1], [2, 3]], [[1], [2, 3]]),
    (list[str], ["ä", "b"], ["ä", "b"]),
    (int, 3, 3),
    (int, [3.0], 3),
    (int, np.int8(3), 3),
    (float, 3, 3.0),
    (float, np.array([[2.5]], dtype=np.float32), 2.5),
    (bool, [True], True),
    (str, "ä", "ä"),
    (str, [b"b"], "b"),
    (bytes, ["ä"], "ä".encode()),
    (dict, {"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
    (Any, {"a": 1}, {"a": 1}),
    (Any, TWO, TWO),
    (N | None, TWO, TWO),
    (Annotated[N, "FP64[n,2]"], TWO, TWO),
    (Annotated[N, "FP64[n,n]"], TWO, TWO),
]


@pytest.mark.parametrize(("annotation", "sent", "expected"), FORMS)
async def test_the_type_selects_the_form(annotation, sent, expected):
    value = await got(takes(annotation), {"whatever": sent})
    assert type(value) is type(expected)
    if isinstance(expected, N):
        assert value.dtype == expected.dtype
        assert value.shape == expected.shape
        assert value.tolist() == expected.tolist()
    else:
        assert value == expected


@pytest.mark.parametrize(
    ("annotation", "sent", "says"),
    [
        (N, {"a": 1}, 'input "rows" cannot be bound: expected np.ndarray, got JSON'),
        (int, [1, 2], r'input "rows" cannot be bound: expected int \(one element\), got INT64\[2\]'),
        (int, 1.5, "expected int, got FP64"),
        (int, True, "expected int, got BOOL"),
        (float, "much", "expected float"),
        (bool, 1, "expected bool, got INT64"),
        (str, 1, "expected str, got INT64"),
        (str, b"\xff", "not UTF-8"),
        (list[str], [1], r"expected list\[str\], got INT64\[1\]"),
        (list, 3, "expected list, got INT64"),
        (Annotated[N, "FP32[n,2]"], TWO, r'input "rows" does not fit: expected FP32\[n,2\], got FP64\[2,2\]'),
        (Annotated[N, "FP64[n,4]"], TWO, r"expected FP64\[n,4\], got FP64\[2,2\]"),
        (Annotated[N, "FP64[n]"], TWO, r"expected FP64\[n\], got FP64\[2,2\]"),
        (Annotated[N, "FP64[n,n]"], TWO[:1], "n=1 as elsewhere"),
        (Annotated[Any, "FP64[n]"], {"a": 1}, "expected FP64"),
    ],
)
async def test_a_request_that_disagrees_is_refused_before_the_step_runs(annotation, sent, says):
    with pytest.raises(InvalidInput, match=says):
        await got(takes(annotation), {"rows": sent})


async def test_the_same_value_from_a_step_is_its_authors_fault():
    def one(x):
        return [1, 2]

    def two(y: int):
        return y

    async with pipeline(("one", Step(run=one)), ("two", Step(run=two))) as model:
        with pytest.raises(WrongAnswer, match=r'step "two": its input "y" cannot be bound: expected int'):
            await model.infer({"x": 1})


def two(a: N, b: N = None, *, c: int = 7):
    return {"a": a, "c": np.asarray(c), **({} if b is None else {"b": b})}


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"a": [1]}, {"a": [1], "c": 7}),
        ({"b": [2], "a": [1]}, {"a": [1], "b": [2], "c": 7}),
        ({"c": 8, "a": [1]}, {"a": [1], "c": 8}),
    ],
)
async def test_parameters_bind_by_name_and_those_with_a_default_are_optional(inputs, expected):
    async with pipeline(("s", Step(run=two))) as model:
        answer = await model.infer(inputs)
    assert {name: answer[name].tolist() for name in answer.outputs} == expected


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"b": [1]}, 'input "a" is missing; there is "b"'),
        ({}, 'input "a" is missing; there is none'),
        ({"a": [1], "bb": [2]}, 'input "bb" is read by no step of model "m"; (did you mean "b"|there are a, b and c)'),
    ],
)
async def test_a_tensor_that_is_missing_or_that_nobody_reads_is_named(inputs, says):
    async with pipeline(("s", Step(run=two))) as model:
        with pytest.raises(InvalidInput, match=says):
            await model.infer(inputs)


@pytest.mark.parametrize("name", ["x", "y"])
async def test_a_single_parameter_takes_the_only_tensor_whatever_its_name_even_beside_a_context(name):
    def alone(keep):
        return lambda x: keep(x)  # noqa: PLW0108  # its parameter is what this is about

    def only_by_name(keep):
        return lambda *, x: keep(x)

    def only_by_position(keep):
        return lambda x, /: keep(x)

    def beside(keep):
        def step(x, context: Context):
            return keep(x) if context.id else None

        return step

    for function in (alone, only_by_name, only_by_position, beside):
        assert (await got(function, {name: [1]})).tolist() == [1]


async def test_an_optional_single_parameter_may_get_nothing():
    def step(keep):
        return lambda x=5: keep(x)

    assert await got(step, {}) == 5
    assert (await got(step, {"y": 6})).item() == 6


async def test_kwargs_take_what_no_parameter_does():
    def step(keep):
        def run(a, **rest):
            return keep((a.item(), {name: value.item() for name, value in rest.items()}))

        return run

    assert await got(step, {"a": 1, "b": 2, "c": 3}) == (1, {"b": 2, "c": 3})


@pytest.mark.parametrize("name", ["x", "rows"])
@pytest.mark.parametrize("more", [{}, {"b": [2.0, 3.0]}])
async def test_all_tensors_by_name_are_all_whatever_the_parameter_is_called(name, more):
    """Also where one of them has the parameter's name."""
    inputs = {name: [0.5, 1.5], **more}
    expected = {key: list(value) for key, value in inputs.items()}
    arrays = await got(takes(dict[str, N]), inputs)
    assert {key: value.tolist() for key, value in arrays.items()} == expected
    assert all(isinstance(value, N) and not value.flags.writeable for value in arrays.values())
    plain = await got(takes(dict), inputs)
    assert {key: value.tolist() for key, value in plain.items()} == expected


async def test_all_tensors_of_a_step_that_is_named_keep_their_names():
    def many(x):
        return {"a": x, "b": x}

    def one(x):
        return x

    def names(first: dict[str, N], second: dict[str, N], third: dict[str, N]):
        return {"names": [sorted(first), sorted(second), sorted(third)]}

    reads = {"first": "many", "second": "one", "third": "request"}
    steps = ("many", Step(run=many)), ("one", Step(run=one, inputs="request")), ("s", Step(run=names, inputs=reads))
    async with pipeline(*steps) as model:
        answer = await model.infer({"x": 1})
    assert answer["s"] == {"names": [["a", "b"], ["one"], ["x"]]}


async def test_a_parameter_that_is_fed_several_tensors_says_which_to_choose():
    def many(x):
        return {"a": x, "b": x}

    def step(y):
        return y

    async with pipeline(("many", Step(run=many)), ("s", Step(run=step, inputs={"y": "many"}))) as model:
        with pytest.raises(WrongAnswer, match=r'expected one tensor, got 2: "a", "b"; say which one, as step.tensor'):
            await model.infer({"x": 1})


async def test_a_dataframe_has_a_column_per_tensor():
    pandas = pytest.importorskip("pandas")
    frame = await got(takes(pandas.DataFrame), {"a": [1, 2], "city": ["Köln", "Bonn"], "c": [[0.5], [1.5]]})
    assert frame.to_dict("list") == {"a": [1, 2], "city": ["Köln", "Bonn"], "c": [0.5, 1.5]}
    wide = await got(takes(pandas.DataFrame), {"rows": TWO})
    assert wide.to_numpy().tolist() == TWO.tolist()
    named = await got(takes(pandas.DataFrame), {"a": [1, 2]}, reads={"x": "request"})
    assert named.to_dict("list") == {"a": [1, 2]}
    with pytest.raises(InvalidInput, match='expected columns of equal length, got "a"'):
        await got(takes(pandas.DataFrame), {"a": [1, 2], "b": [1]})


async def test_the_request_and_the_context_are_given_to_those_who_ask():
    def step(keep):
        def run(request: InferRequest, context: Context):
            return keep((request, context))

        return run

    request, context = await got(step, {"a": [1]}, parameters={"k": [2]}, headers={"X-User": "ann"}, id="42", timeout=5)
    assert (request.model, request.id, request["a"].tolist(), request.parameters) == ("m", "42", [1], {"k": [2]})
    assert (context.id, context.headers, context.parameters) == ("42", {"x-user": "ann"}, {"k": [2]})
    assert 0 < context.remaining() <= 5


async def test_arrays_are_read_only_those_of_a_request_and_those_between_steps():
    mine = np.zeros(3)

    def first(x):
        assert not x.flags.writeable
        x = x.copy()
        x += 1
        return x

    def second(y):
        assert not y.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            y += 1
        return y

    async with pipeline(("first", Step(run=first)), ("second", Step(run=second))) as model:
        answer = await model.infer({"x": mine})
    assert mine.flags.writeable, "the caller's own array is left as it was"
    assert mine.tolist() == [0, 0, 0]
    assert answer["second"].tolist() == [1, 1, 1]
    assert not answer["second"].flags.writeable


WIRED = [
    ({"x": "request.a", "user": "headers.X-User"}, {"x": [1], "user": "ann"}),
    ({"x": "request.a", "user": "parameters.user"}, {"x": [1], "user": "bob"}),
    ({"x": "request.b", "user": "headers.none"}, {"x": [2], "user": "nobody"}),
    ({"x": "request.b", "user": "parameters.none"}, {"x": [2], "user": "nobody"}),
    ({"x": "request.a"}, {"x": [1], "user": "nobody"}),
]


@pytest.mark.parametrize(("reads", "expected"), WIRED)
async def test_inputs_as_a_map_read_tensors_headers_and_parameters(reads, expected):
    def step(keep):
        def run(x: list, user: str = "nobody", rest: N = None):
            return keep({"x": x, "user": user})

        return run

    reads = {**reads, "rest": "request.b" if reads["x"] == "request.a" else "request.a"}
    how = {"headers": {"x-user": "ann"}, "parameters": {"user": "bob"}}
    assert await got(step, {"a": [1], "b": [2]}, reads=reads, **how) == expected


@pytest.mark.parametrize(
    ("reads", "says"),
    [
        ("headers.x-user", 'header "x-user" is missing; step "s" reads it'),
        ("parameters.user", 'parameter "user" is missing; step "s" reads it'),
        ("request.user", 'input "user" is missing; step "s" reads it'),
    ],
)
@pytest.mark.parametrize("form", [str, lambda reads: [reads], lambda reads: {"x": reads}])
async def test_what_is_absent_and_has_no_default_is_named(reads, says, form):
    with pytest.raises(InvalidInput, match=says):
        await got(takes(str), {}, reads=form(reads))


@pytest.mark.parametrize(("text", "annotation", "expected"), [("3", int, 3), ("2.5", float, 2.5), ("true", bool, True)])
async def test_the_text_of_a_header_becomes_what_the_parameter_takes(text, annotation, expected):
    assert await got(takes(annotation), {}, reads={"x": "headers.n"}, headers={"N": text}) == expected
    with pytest.raises(InvalidInput, match='input "x" cannot be bound: expected'):
        await got(takes(annotation), {}, reads={"x": "headers.n"}, headers={"N": "many"})


async def test_inputs_as_a_list_are_merged_by_name_and_a_clash_is_whose_names_clash():
    def one(x):
        return {"a": x}

    def both(a, b):
        return a + b

    steps = ("one", Step(run=one, inputs="request.x")), ("s", Step(run=both, inputs=["one", "request.b"]))
    async with pipeline(*steps) as model:
        assert (await model.infer({"x": 1, "b": 2}))["s"] == 3
    steps = steps[0], ("s", Step(run=lambda **tensors: 0, inputs=["one", "request"]))
    async with pipeline(*steps) as model:
        with pytest.raises(InvalidInput, match='step "s" gets the tensor "a" twice'):
            await model.infer({"x": 1, "a": 2})


async def test_a_tensor_that_a_step_did_not_make_is_named_with_those_it_made():
    steps = ("one", Step(run=lambda x: {"a": x})), ("s", Step(run=lambda y: y, inputs="one.b"))
    async with pipeline(*steps) as model:
        with pytest.raises(WrongAnswer, match=r'step "s" reads "one\.b", and there is only "a"'):
            await model.infer({"x": 1})


async def test_values_of_the_engine_are_taken_as_they_are():
    assert (await got(takes(Any), {"x": Json([1, "a"])})) == [1, "a"]
    assert (await got(takes(N), {"x": Tensor(Datatype.FP64, TWO)})) is not None

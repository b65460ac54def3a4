"""``each``: a step over the items of one of its inputs."""

from __future__ import annotations

import threading
from typing import Annotated

import joblib
import networkx as nx
import numpy as np
import pytest
import trio
import trio.lowlevel
from sklearn.dummy import DummyClassifier

from pipeline.errors import DeadlineExceeded, InvalidInput, WrongAnswer
from pipeline.tensors.datatype import Datatype
from pipeline_serve import Pipeline, Raw, Step
from tests.engine.graphs import pipeline

ROWS = {"x": np.arange(6.0).reshape(3, 2)}


async def looped(run, request=ROWS, **keys):
    async with pipeline({"s": Step(run=run, each="x", **keys)}) as model:
        return await model.infer(request)


def total(x):
    return x.sum()


async def total_async(x):
    await trio.lowlevel.checkpoint()
    return x.sum()


@pytest.mark.parametrize(("run", "keys"), [(total, {}), (total_async, {}), (total_async, {"limit": 2}),
                                           (total, {"place": "loop"}), (total, {"limit": 1})])  # fmt: skip
async def test_it_runs_once_per_item_and_the_results_are_stacked_in_order(run, keys):
    assert (await looped(run, **keys))["s"].tolist() == [1, 5, 9]
    assert (await looped(run, {"x": np.array([3.0, 4.0])}, **keys))["s"].tolist() == [3, 4]


async def test_other_inputs_are_the_same_for_all_and_outputs_keep_their_names():
    def both(x, scale):
        return {"row": x * scale, "one": np.array(len(x))}

    answer = await looped(both, {**ROWS, "scale": np.array([10.0])})
    assert answer["row"].tolist() == [[0, 10], [20, 30], [40, 50]]
    assert answer["one"].tolist() == [2, 2, 2]
    assert not answer["row"].flags.writeable


async def test_items_of_text_and_of_json_are_what_their_annotation_says():
    def text(x: str):
        return x.upper()

    def record(x: dict):
        return {"name": x["name"], "tags": [[1], []]}

    assert (await looped(text, {"x": ["a", "b"]}))["s"].tolist() == [b"A", b"B"]
    found = await looped(record, {"x": [{"name": "a"}, {"name": "b"}]})
    assert found["s"] == [{"name": "a", "tags": [[1], []]}, {"name": "b", "tags": [[1], []]}]


async def test_a_loop_over_json_that_another_step_gives():
    steps = {"a": Step(run=lambda x: [[1], [2, 3]]), "b": Step(run=lambda items: items[-1], each="items")}
    async with pipeline(steps) as model:
        assert (await model.infer(ROWS))["b"].tolist() == [1, 3]


async def test_the_input_is_found_as_binding_finds_it():
    by_map = {"a": Step(run=lambda x: x), "b": Step(run=total, each="x", inputs={"x": "a"})}
    only = {"a": Step(run=lambda x: x), "b": Step(run=total, each="x")}
    for steps in (by_map, only):
        async with pipeline(steps) as model:
            assert (await model.infer(ROWS))["b"].tolist() == [1, 5, 9]


# ---- nothing, and what does not go together


def one_row(x: Annotated[np.ndarray, "FP64[2]"]) -> Annotated[np.ndarray, "FP32[4,k]"]:
    return np.zeros((4, 3), np.float32)


async def test_no_items_give_an_empty_tensor_of_the_declared_result_else_of_numbers():
    empty = {"x": np.empty((0, 2))}
    for run in (total, total_async):
        answer = await looped(run, empty)
        assert answer.outputs["s"].describe() == "FP64[0]"
    assert (await looped(one_row, empty)).outputs["s"].describe() == "FP32[0,4,0]"
    assert (await looped(one_row)).outputs["s"].describe() == "FP32[3,4,3]"


@pytest.mark.parametrize("count", [0, 2])
@pytest.mark.parametrize("datatype", Datatype, ids=lambda datatype: datatype.name)
async def test_without_items_too_the_answer_is_what_the_schema_declares(datatype, count):
    def run(x):
        return {"whatever": np.full((2, 3), "a") if datatype is Datatype.BYTES else np.zeros((2, 3), datatype.dtype)}

    async def run_async(x):
        return run(x)

    request = {"x": np.zeros((count, 4))}
    for function in (run, run_async):
        steps = {"s": Step(run=function, each="x")}
        async with pipeline(steps, schema={"outputs": {"y": f"{datatype.name}[-1,n,3]"}}) as model:
            answer = (await model.infer(request)).outputs["y"]
    assert answer.datatype is datatype
    assert answer.shape == ((2, 2, 3) if count else (0, 0, 3))


async def test_without_items_a_model_gives_what_it_has_told_of_itself(write):
    folder = write("m.joblib", b"a pickle")
    joblib.dump(DummyClassifier(constant=7, strategy="constant").fit(np.zeros((1, 2)), [7]), folder / "m.joblib")
    async with pipeline({"s": Step(model="m.joblib", each="X")}, folder=folder) as model:
        assert model.signature.outputs["s"].dims == (-1, -1)
        for count in (0, 2):
            answer = await model.infer({"X": np.zeros((count, 5, 2))})
            assert answer.outputs["s"].describe() == f"INT64[{count},{5 if count else 0}]"


async def test_what_has_no_items_is_refused_by_blame():
    with pytest.raises(InvalidInput, match='input "x" has no items to loop over: expected an axis'):
        await looped(total, {"x": 1.0})
    with pytest.raises(InvalidInput, match='input "inputs" is read as "x" and has no items to loop over'):
        await looped(total, {"inputs": "abc"})
    with pytest.raises(InvalidInput, match="got JSON"):
        await looped(total, {"x": {"a": 1}})
    steps = {"a": Step(run=lambda x: 1.0), "b": Step(run=total, each="x")}
    async with pipeline(steps) as model:
        with pytest.raises(WrongAnswer, match='step "b": its input "x" has no items'):
            await model.infer(ROWS)


async def test_an_item_that_does_not_fit_is_named():
    with pytest.raises(InvalidInput, match=r"expected FP64\[2\], got FP64\[3\]") as caught:
        await looped(one_row, {"x": np.zeros((2, 3))})
    assert 'in item 0 of "x"' in caught.value.__notes__


def framed(image: Annotated[np.ndarray, "FP32[4]"], o):
    return 1.0


async def framed_async(image: Annotated[np.ndarray, "FP32[4]"], o):
    return 1.0


def named(image: str, o):
    return 1.0


@pytest.mark.parametrize("reads", [["request", "o"], ["request.image", "o"], {"image": "request.image", "o": "o"},
                                   {"image": "handed", "o": "o"}])  # fmt: skip
@pytest.mark.parametrize(
    ("run", "image"),
    [
        (framed, np.zeros((2, 3), np.float32)),
        (framed_async, np.zeros((2, 3), np.float32)),
        (named, ["a", 1, {"b": 2}]),
    ],
)
async def test_an_item_that_the_caller_has_sent_is_the_callers_fault_beside_whatever_steps_give(run, reads, image):
    steps = {
        "o": Step(run=lambda x: np.array([1.0]), inputs=["request.x"]),
        "handed": Step(run=lambda image: image, inputs=["request.image"]),
        "s": Step(run=run, inputs=reads, each="image"),
    }
    async with pipeline(steps, output=["s", "handed"]) as model:
        with pytest.raises(InvalidInput, match=r'^item \d of "image": input "image" (does not fit|cannot be bound)'):
            await model.infer({**ROWS, "image": image})


@pytest.mark.parametrize("run", [framed, framed_async])
async def test_an_item_that_a_step_has_made_is_the_authors_fault_even_of_what_was_sent(run):
    steps = {
        "o": Step(run=lambda x: np.array([1.0]), inputs=["request.x"]),
        "cut": Step(run=lambda image: image[:, :3], inputs=["request.image"]),
        "s": Step(run=run, inputs={"image": "cut", "o": "o"}, each="image"),
    }
    async with pipeline(steps) as model:
        with pytest.raises(WrongAnswer, match='step "s": its input "image" does not fit'):
            await model.infer({**ROWS, "image": np.zeros((2, 4), np.float32)})


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda x: x[: int(x[0])], r'item 1 of "x" has FP64\[2\] as "s", and item 0 has FP64\[0\]'),
        (
            lambda x: x if x[0] else x.astype(np.float32),
            r'item 1 of "x" has FP64\[2\] as "s", and item 0 has FP32\[2\]',
        ),
        (lambda x: {"a": x} if x[0] else {"b": x}, 'item 1 of "x" gives "a", and item 0 gives "b"'),
        (lambda x: x if x[0] else {"j": 1}, r'item 1 of "x" has FP64\[2\] as "s", and item 0 has JSON'),
        (lambda x: Raw(b"x"), r'item 0 of "x" gives raw bytes \(1\), and of such there is no whole'),
        (lambda x: {"j": 1} if x[0] else x, r'item 1 of "x" has JSON \(dict\) as "s", and item 0 has FP64\[2\]'),
    ],
)
async def test_results_that_do_not_go_together_are_a_wrong_answer_that_names_the_items(run, message):
    with pytest.raises(WrongAnswer, match=message):
        await looped(run)


# ---- failures, limits, cancellation


class Boom(Exception):
    pass


async def test_the_first_failure_cancels_the_others_and_is_raised_bare(autojump_clock):
    cancelled = []

    async def run(x):
        if x[0] == 2:
            await trio.sleep(1)
            raise Boom(x[0])
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            cancelled.append(x[0])
            raise

    with pytest.raises(Boom) as caught:
        await looped(run)
    assert sorted(cancelled) == [0, 4]
    assert caught.value.__notes__ == ['in item 1 of "x"', 'in step "s"']
    assert trio.current_time() == 1


@pytest.mark.parametrize("after", [None, 0, 1])
async def test_of_two_failures_at_once_the_lower_item_is_told(after, autojump_clock):
    async def run(x):
        if after is not None:
            await trio.sleep(after)
        raise Boom(x[0])

    for _ in range(30):
        with pytest.raises(Boom) as caught:
            await looped(run)
        assert caught.value.args == (0,)


async def test_an_error_of_a_synchronous_item_stops_the_loop():
    seen = []

    def run(x):
        seen.append(x[0])
        if x[0] == 2:
            raise Boom
        return x

    with pytest.raises(Boom) as caught:
        await looped(run)
    assert seen == [0, 2]
    assert caught.value.__notes__ == ['in item 1 of "x"', 'in step "s"']


class Crowd:
    """A step of one second that counts how many of its calls are under way."""

    inside = peak = 0

    async def run(self, x):
        self.inside += 1
        self.peak = max(self.peak, self.inside)
        await trio.sleep(1)
        self.inside -= 1
        return x


@pytest.mark.parametrize(("limit", "most"), [(None, 16), (3, 3), (40, 40)])
async def test_async_items_run_beside_each_other_as_many_as_the_limit_says(limit, most, autojump_clock):
    crowd = Crowd()
    await looped(crowd.run, {"x": np.arange(40.0)}, limit=limit)
    assert crowd.peak == most


async def test_the_limit_holds_across_requests_item_by_item(autojump_clock):
    crowd = Crowd()
    async with pipeline({"s": Step(run=crowd.run, each="x", limit=3)}) as model, trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(model.infer, {"x": np.arange(5.0)})
    assert crowd.peak == 3
    assert trio.current_time() == 7  # 20 items, three at a time


async def test_the_timeout_is_of_the_whole_loop(autojump_clock):
    async def run(x):
        await trio.sleep(1)
        return x

    with pytest.raises(DeadlineExceeded, match='step "s" took longer'):
        await looped(run, limit=1, timeout="2500ms")


async def test_a_synchronous_loop_begins_no_item_once_it_is_cancelled():
    entered, left, ended, seen = threading.Event(), threading.Event(), threading.Event(), []

    def run(x):
        seen.append(x[0])
        entered.set()
        left.wait(10)
        return x

    async with pipeline({"s": Step(run=run, each="x")}) as model:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(model.infer, ROWS)
            await trio.to_thread.run_sync(entered.wait, 10)
            nursery.cancel_scope.cancel()
        left.set()
        # The step's place is free when its thread has ended.
        limit = model._opened["s"].limit
        while limit.taken:
            await trio.lowlevel.checkpoint()
    assert seen == [0]
    assert not ended.is_set()


async def test_a_step_with_handles_and_a_handle_to_a_loop():
    dag = nx.DiGraph()
    dag.add_node("score", step=Step(run=total, each="x"))
    dag.add_node("why", step=Step(run=lambda x, f: f(np.stack([x, x])), inputs="request", each="x",
                                  handles={"f": "score"}))  # fmt: skip
    async with Pipeline("m", dag) as model:
        assert (await model.infer(ROWS))["why"].tolist() == [[1, 1], [5, 5], [9, 9]]


async def test_an_async_step_that_waits_for_nothing_leaves_others_their_turns_and_can_be_cancelled():
    async def twice(x):
        return x * 2

    model = pipeline({"a": Step(run=twice, each="x")})
    turns = 0

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with model, trio.open_nursery() as nursery:
        nursery.start_soon(others)
        await model.infer({"x": np.zeros(20_000)})
        nursery.cancel_scope.cancel()
    assert turns > 3


async def test_the_caller_is_told_which_item_is_at_fault():
    def checked(x: float) -> float:
        if x < 0:
            raise InvalidInput("no length is negative")
        return x

    async with pipeline({"a": Step(run=checked, each="x")}) as model:
        with pytest.raises(InvalidInput, match=r'^item 2 of "x": no length is negative'):
            await model.infer({"x": [1.0, 2.0, -3.0, -4.0]})


async def test_an_error_that_an_author_raises_again_and_again_is_told_of_each_item_and_stays_as_it_is():
    refusal = InvalidInput("item of no use")

    def checked(x: float) -> float:
        if x < 0:
            raise refusal
        return x

    async with pipeline({"a": Step(run=checked, each="x")}) as model:
        for values, number in (([1.0, -1.0], 1), ([-1.0, 1.0], 0)):
            with pytest.raises(InvalidInput) as caught:
                await model.infer({"x": values})
            assert caught.value.message == f'item {number} of "x": item of no use'
    assert refusal.message == "item of no use"

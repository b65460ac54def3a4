"""What objects return that keep it: the answer is the request's own. What they made for one call is not copied."""

import numpy as np
import pytest

from pipeline_serve import Json, Model, Step
from tests.steps.model_graphs import Asyncio, asked, graph, streamed


def _kept(what, number):
    """The same array, or the same object, with that number in it."""
    if isinstance(what, np.ndarray):
        what[:] = number
    else:
        what["rows"][0] = number
    return what


class Class:
    def __init__(self, what):
        self.what = what

    def __call__(self, body: dict):
        return self.give(body["number"])

    def give(self, number):
        return _kept(self.what, number)


class AsyncClass(Class):
    async def __call__(self, body: dict):
        return self.give(body["number"])


class Sync(Model):
    def __init__(self, what):
        super().__init__("iris")
        self.what = what

    def predict(self, payload):
        return self.give(payload["number"])

    def give(self, number):
        return _kept(self.what, number)


class Async(Sync):
    async def predict(self, payload):
        return self.give(payload["number"])


class OnAsyncio(Async, Asyncio):
    pass


class Mixed(Sync):
    async def postprocess(self, result):
        return result


STEPS = [Class, AsyncClass, Sync, Async, OnAsyncio, Mixed]
KINDS = {"an array": lambda: np.zeros(3), "an object": lambda: {"rows": [0, "a"]}, "Json": lambda: {"rows": [0, [1]]}}


def content(value):
    return value.value["rows"][0] if isinstance(value, Json) else value.array[0]


@pytest.mark.parametrize("make", STEPS)
@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_stays_as_it_was_when_the_next_one_is_written(make, kind):
    async with graph(Step(run=make(KINDS[kind]()))) as pipeline:
        answers = [(await asked(pipeline, {"number": number})).outputs["s0"] for number in range(3)]
    assert [content(value) for value in answers] == [0, 1, 2]


@pytest.mark.parametrize("place", ["loop", "asyncio"])
async def test_so_where_the_step_says_where_it_runs(place):
    async with graph(Step(run=AsyncClass(np.zeros(3)), place=place)) as pipeline:
        answers = [(await asked(pipeline, {"number": number})).outputs["s0"] for number in range(3)]
    assert [content(value) for value in answers] == [0, 1, 2]


# What the hook after it returns again is held by who called that, too.
@pytest.mark.parametrize("make", [step for step in STEPS if step is not Mixed])
async def test_what_was_made_for_one_call_is_not_copied(make):
    made = []

    class Fresh(make):
        def give(self, number):
            if number == 0:
                answer = np.ones(3)
                made.append(answer.ctypes.data)
            else:
                answer = {"rows": [[1.0, 2.0], ["a"]], "number": 1}
                made.append(id(answer))
            return answer

    async with graph(Step(run=Fresh(None))) as pipeline:
        array = (await asked(pipeline, {"number": 0})).outputs["s0"].array
        answer = (await asked(pipeline, {"number": 1})).outputs["s0"].value
    assert made == [array.ctypes.data, id(answer)]


async def test_a_function_without_state_hands_out_what_it_has():
    held = np.zeros(3)

    def function(body: dict):
        return held

    async with graph(function) as pipeline:
        assert np.shares_memory((await asked(pipeline, {})).outputs["s0"].array, held)


async def test_the_requests_own_array_passes_through_a_class_without_a_copy():
    sent = np.arange(3.0)
    sent.setflags(write=False)

    class Passes:
        def __call__(self, x: np.ndarray):
            return {"y": x, "z": x[1:]}

    async with graph(Passes) as pipeline:
        outputs = (await pipeline.infer({"x": sent})).outputs
    assert all(np.shares_memory(value.array, sent) for value in outputs.values())


@pytest.mark.parametrize("base", [Model, Asyncio])
@pytest.mark.parametrize("is_async", [True, False])
async def test_a_buffer_that_a_generator_fills_again_is_sent_as_it_was(base, is_async):
    class Streams(base):
        def __init__(self):
            super().__init__("iris")
            self.buffer = bytearray(1)

        async def _async(self):
            for number in range(3):
                self.buffer[0] = number
                yield self.buffer

        def _sync(self):
            for number in range(3):
                self.buffer[0] = number
                yield self.buffer

        def predict(self, payload):
            return self._async() if is_async else self._sync()

    async with graph(Streams) as pipeline:
        assert await streamed((await asked(pipeline)).outputs["s0"]) == [b"\0", b"\1", b"\2"]

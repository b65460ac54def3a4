"""One request through a model's hooks: where they run, what they see and mean, how long they took."""

import asyncio
import threading

import numpy as np
import pytest
import trio

from pipeline.errors import DeadlineExceeded, InvalidInput, WrongAnswer
from pipeline.observe import LimitReached, RequestDone
from pipeline.tensors.message import InferRequest, InferResponse
from pipeline.tensors.tensor import Raw, tensor
from pipeline_serve import Model, Step
from tests.steps.model_graphs import Asyncio, Echo, answer_of, asked, graph

# ---- where its hooks run


async def test_a_sync_model_that_keeps_state_answers_right_beside_others():
    inside, most = [], []

    class Stateful(Model):
        def preprocess(self, payload):
            self.current = payload
            inside.append(1)
            most.append(len(inside))
            return payload

        def predict(self, payload):
            return self.current

        def postprocess(self, result):
            inside.pop()
            return [result, self.current]

    events = []
    async with graph(Stateful) as pipeline:
        pipeline.observers.append(events.append)
        wrong = []

        async def ask(number):
            if (await asked(pipeline, number)).outputs["s0"].value != [number, number]:
                wrong.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(ask, number)
    assert (wrong, max(most)) == ([], 1)
    assert [event for event in events if isinstance(event, LimitReached)] == [LimitReached("iris", "s0", 1)]


async def test_sync_hooks_of_an_async_model_run_one_at_a_time_and_async_ones_beside_each_other():
    most, inside, together = [], [], []
    all_in = trio.Event()

    class Mixed(Model):
        def preprocess(self, payload):
            inside.append(1)
            most.append(len(inside))
            assert threading.current_thread() is not threading.main_thread()
            inside.pop()
            return payload

        async def predict(self, payload):
            together.append(payload)
            if len(together) == 10:
                all_in.set()
            await all_in.wait()
            return payload

    async with graph(Mixed) as pipeline, trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(asked, pipeline, number)
    assert sorted(together) == list(range(10))
    assert max(most) == 1


async def test_more_may_wait_for_it_than_for_another_step():
    begun, go_on = trio.Event(), threading.Event()
    token = trio.lowlevel.current_trio_token()

    class Slow(Model):
        def predict(self, payload):
            token.run_sync_soon(begun.set)
            go_on.wait(10)
            return payload

    async with graph(Slow) as pipeline, trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(asked, pipeline, number)
        await begun.wait()
        go_on.set()


async def test_inline_it_runs_on_the_loop():
    class Where(Model):
        def predict(self, payload):
            return threading.current_thread() is threading.main_thread()

    assert (await answer_of(Step(run=Where, place="loop"))).value is True


async def test_the_graphs_limit_is_how_many_run_at_once():
    barrier = threading.Barrier(3)

    class Together(Model):
        def predict(self, payload):
            barrier.wait(10)
            return payload

    async with graph(Step(run=Together, limit=3)) as pipeline, trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(asked, pipeline, number)


async def test_adjacent_sync_hooks_share_a_thread_and_a_neighbouring_step_its_hop():
    threads = []

    class Sync(Model):
        def preprocess(self, payload):
            threads.append(threading.get_ident())
            return payload

        def predict(self, payload):
            threads.append(threading.get_ident())
            return payload

    def after(s0):
        threads.append(threading.get_ident())
        return s0

    async with graph(Sync, after) as pipeline:
        await asked(pipeline, {"a": 1})
    assert len(set(threads)) == 1
    assert len(threads) == 3


async def test_a_deadline_and_a_cancellation_reach_an_async_hook(autojump_clock):
    seen = []

    class Slow(Model):
        async def predict(self, payload):
            try:
                await trio.sleep(100)
            except trio.Cancelled:
                seen.append(payload)
                raise

    async with graph(Slow) as pipeline:
        with pytest.raises(DeadlineExceeded):
            await asked(pipeline, "late", seconds=1)
        with trio.move_on_after(1) as scope:
            await asked(pipeline, "left")
    assert scope.cancelled_caught
    assert seen == ["late", "left"]


@pytest.mark.parametrize("is_async", [True, False])
async def test_no_hook_begins_once_a_request_is_cancelled(is_async):
    begun, go_on, seen = trio.Event(), threading.Event(), []
    token = trio.lowlevel.current_trio_token()

    class Slow(Model):
        def preprocess(self, payload):
            token.run_sync_soon(begun.set)
            go_on.wait(10)
            seen.append("preprocess")
            return payload

        def predict(self, payload):
            seen.append("predict")
            return payload

    class Async(Slow):
        async def predict(self, payload):
            return super().predict(payload)

    async with graph(Async if is_async else Slow) as pipeline:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asked, pipeline)
            await begun.wait()
            nursery.cancel_scope.cancel()
        go_on.set()
        # The next one waits for the token that the thread holds until it ends.
        await asked(pipeline)
    assert seen == ["preprocess", "preprocess", "predict"]


# ---- on asyncio


async def test_ten_requests_wait_side_by_side_on_asyncio():
    waiting, all_in = [], asyncio.Event()

    class Waits(Asyncio):
        async def predict(self, payload):
            waiting.append(payload)
            if len(waiting) == 10:
                all_in.set()
            await all_in.wait()
            return payload

    async with graph(Waits) as pipeline, trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(asked, pipeline, number)
    assert sorted(waiting) == list(range(10))


async def test_a_cancellation_reaches_a_hook_on_asyncio_which_can_clean_up():
    begun, seen = trio.Event(), []
    token = trio.lowlevel.current_trio_token()

    class Slow(Asyncio):
        async def predict(self, payload):
            token.run_sync_soon(begun.set)
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(0)
                seen.append("cleaned up")

    async with graph(Slow) as pipeline, trio.open_nursery() as nursery:
        nursery.start_soon(asked, pipeline)
        await begun.wait()
        nursery.cancel_scope.cancel()
    assert seen == ["cleaned up"]


async def test_a_place_in_the_graph_is_the_hooks():
    class Where(Model):
        async def predict(self, payload):
            return {"asyncio": asyncio.get_running_loop() is not None}

    assert (await answer_of(Step(run=Where, place="asyncio"))).value == {"asyncio": True}
    with pytest.raises(RuntimeError, match="no running event loop"):
        await answer_of(Where)


# ---- what its hooks see


async def test_it_sees_the_json_as_it_was_sent_and_headers_of_its_own():
    sent = {"instances": [[1], [2, 3]], "extra": None}
    headers = {"a": "b"}

    class Writes(Echo):
        def predict(self, payload, headers):
            assert payload is sent
            headers["own"] = "1"
            return super().predict(payload, headers)

    answer = await answer_of(Writes, sent, headers=headers)
    assert answer.value["payload"] == sent
    assert answer.value["headers"] == {"a": "b", "own": "1"}
    assert headers == {"a": "b"}


async def test_it_sees_tensors_as_a_request():
    class Doubles(Model):
        def predict(self, payload):
            assert isinstance(payload, InferRequest)
            return 2 * payload["x"]

    async with graph(Doubles) as pipeline:
        assert (await pipeline.infer({"x": np.array([1, 2])}))["s0"].tolist() == [2, 4]


async def test_behind_another_step_it_sees_what_that_gave():
    seen = []

    class Sees(Model):
        def predict(self, payload):
            seen.append(payload)
            return 0

    gives = [
        lambda anything: {"instances": [1, [2]]},
        lambda anything: np.array([1, 2]),
        lambda anything: Raw(b"\xff"),
    ]
    for first in gives:
        async with graph(first, Sees) as pipeline:
            await asked(pipeline, {"anything": 1}, headers={"a": "b"})
    json, request, data = seen
    assert json == {"instances": [1, [2]]}
    assert (list(request.inputs), request["s0"].tolist()) == (["s0"], [1, 2])
    assert (request.plain, request.body, request.headers) == (False, None, {"a": "b"})
    assert data == b"\xff"


async def test_what_a_step_after_it_reads_is_what_it_gave():
    class Gives(Model):
        def predict(self, payload):
            return {"predictions": payload}

    async with graph(Gives, lambda s0: s0["predictions"]) as pipeline:
        assert (await asked(pipeline, [1, 2])).outputs["s1"].array.tolist() == [1, 2]


# ---- what they mean


async def test_an_array_is_named_as_the_only_output():
    class Typed(Model):
        def get_output_types(self):
            return [{"name": "y", "datatype": "FP64", "shape": [-1]}]

        def predict(self, payload):
            return np.array([0.5])

    async with graph(Typed) as pipeline:
        assert list((await asked(pipeline)).outputs) == ["y"]


async def test_response_headers_and_all_beside_a_response_go_into_the_reply():
    class Tells(Model):
        async def predict(self, payload, headers, response_headers):
            response_headers["X-Own"] = 1
            return InferResponse(model="m", id="own", outputs={"y": tensor(np.array([1]))}, parameters={"a": 1})

    async with graph(Tells("own", return_response_headers=True)) as pipeline:
        answer = await asked(pipeline)
    assert (answer.headers, answer.parameters, answer["y"].tolist()) == ({"x-own": "1"}, {"a": 1}, [1])
    assert answer.id == "own"


async def test_what_a_hook_raises_is_what_it_means():
    class Refuses(Model):
        def predict(self, payload):
            match payload:
                case "input":
                    raise InvalidInput("bad thing")
                case "later":
                    raise NotImplementedError("not yet")
                case _:
                    return

    async with graph(Refuses) as pipeline:
        for body, kind, text in (
            ("input", InvalidInput, "(?m)^bad thing$"),
            ("later", NotImplementedError, "(?m)^not yet$"),
            ("", WrongAnswer, "returned None"),
            ({"instances": "x"}, InvalidInput, '(?m)^Expected "instances" to be a list$'),
        ):
            with pytest.raises(kind, match=text):
                await asked(pipeline, body)


# ---- its times


async def test_its_hooks_are_phases_of_the_request():
    class Phased(Model):
        def preprocess(self, payload):
            return payload

        async def predict(self, payload):
            if payload == "fail":
                raise ValueError(payload)
            return 0

        def explain(self, payload):
            return 0

    done = []
    async with graph(lambda x: x, Phased) as pipeline:
        pipeline.observers.append(done.append)
        await asked(pipeline, ["x"])
        await asked(pipeline, ["x"], verb="explain")
    async with graph(Phased) as pipeline:
        pipeline.observers.append(done.append)
        with pytest.raises(ValueError, match="fail"):
            await asked(pipeline, "fail")
    predict, explain, failed = (
        [(span.step, span.phase) for span in event.spans] for event in done if isinstance(event, RequestDone)
    )
    hooks = [("s1.preprocess", "preprocess"), ("s1.predict", "predict")]
    assert predict == [("s0", "predict"), *hooks]
    assert explain[1:] == [hooks[0], ("s1.explain", "explain")]
    assert failed == [("s0.preprocess", "preprocess"), ("s0.predict", "predict")]

"""A Model as a step: its life, where its hooks run, what they see and mean, its health, and the servers it asks."""

import asyncio
import threading
from contextlib import aclosing

import networkx as nx
import numpy as np
import pytest
import trio

from pipeline import blueprint
from pipeline.errors import Code, DeadlineExceeded, InferError, InvalidInput, ModelNotReady, WrongAnswer
from pipeline.model import Native
from pipeline.observe import LimitReached, ModelTurned, RequestDone
from pipeline.tensors.message import InferRequest, InferResponse
from pipeline.tensors.tensor import Json, Raw, tensor
from pipeline_serve import GraphFaults, Model, Pipeline, Step
from pipeline_serve import _pipeline as ours


def graph(*steps, **top):
    dag = nx.DiGraph()
    for number, step in enumerate(steps):
        dag.add_node(f"s{number}", step=step if isinstance(step, Step) else Step(run=step))
        if number:
            dag.add_edge(f"s{number - 1}", f"s{number}")
    return Pipeline("iris", dag, **top)


async def asked(pipeline, body=0, verb="predict", seconds=60.0, headers=None, **request):
    """The answer to a plain body, as a caller on the wire has it."""
    request = InferRequest(
        model="iris",
        id="1",
        inputs={"instances": Json(body)},
        body=body,
        plain=True,
        headers=headers or {},
        **request,
    )
    await pipeline.look_ready()
    async with pipeline.admitted(verb, seconds) as allowance:
        return await pipeline.answer(request, verb, allowance)
    raise AssertionError("a request that is out of time raises")


async def answer_of(model, body=0, **how):
    async with graph(model) as pipeline:
        return (await asked(pipeline, body, **how)).outputs["s0"]


class Echo(Model):
    def predict(self, payload, headers):
        return {"payload": payload, "headers": headers}


class Ready(Model):
    def load(self):
        self.ready = True


# ---- its life


async def test_a_class_is_made_loaded_started_and_stopped_in_threads():
    seen = []

    class Lives(Ready):
        def __init__(self, name, depth):
            super().__init__(name)
            self.tell(f"init {name} {depth}")

        def tell(self, what):
            seen.append((what, threading.current_thread() is not threading.main_thread()))

        def load(self):
            self.tell("load")
            super().load()

        def start(self):
            self.tell("start")

        def stop(self):
            self.tell("stop")

        def predict(self, payload):
            self.tell("predict")
            return payload

    async with graph(Step(run=Lives, params={"depth": 3})) as pipeline:
        assert (await asked(pipeline, [1])).outputs["s0"].value == [1]
    assert seen == [(what, True) for what in ("init iris 3", "load", "start", "predict", "stop")]


async def test_its_async_life_is_awaited_on_the_loop():
    seen = []

    class Lives(Model):
        async def load(self):
            await trio.lowlevel.checkpoint()
            seen.append("load")
            self.ready = True

        async def stop(self):
            await trio.lowlevel.checkpoint()
            seen.append("stop")

        async def predict(self, payload):
            return payload

    async with graph(Lives):
        pass
    assert seen == ["load", "stop"]


async def test_a_class_that_hands_its_arguments_on_has_the_name_of_its_graph_too():
    class HandsOn(Model):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)

        def predict(self, payload):
            return self.name

    assert (await answer_of(HandsOn)).data == b"iris"


async def test_a_class_that_takes_no_name_has_its_own():
    class Own(Model):
        def __init__(self):
            super().__init__("own")

        def predict(self, payload):
            return self.name

    assert (await answer_of(Own)).data == b"own"


@pytest.mark.parametrize("parameter", ["name", "model_name"])
async def test_a_class_has_the_name_of_its_graph_unless_its_params_say_another(parameter):
    space = {"Model": Model}
    exec(  # the parameter's name is what is tested
        f"class Named(Model):\n"
        f"    def __init__(self, {parameter}):\n        super().__init__({parameter})\n"
        f"    def predict(self, payload):\n        return self.name\n",
        space,
    )
    assert (await answer_of(space["Named"])).data == b"iris"
    assert (await answer_of(Step(run=space["Named"], params={parameter: "other"}))).data == b"other"


async def test_an_instance_is_loaded_only_where_it_is_not_ready():
    loads = []

    class Counts(Echo):
        def load(self):
            loads.append(self.name)
            self.ready = True

    model = Counts("own")
    async with graph(model):
        assert loads == ["own"]
    assert not model.ready
    async with graph(model):
        assert loads == ["own", "own"]
    model.ready = True
    async with graph(model):
        assert loads == ["own", "own"]


class SaysNo(Echo):
    def load(self):
        self.ready = True
        return False


class LeavesFalse(Echo):
    def load(self):
        pass


class Raises(Echo):
    def load(self):
        raise ValueError("no weights")


@pytest.mark.parametrize(
    ("kind", "error", "note", "told"),
    [
        (SaysNo, ModelNotReady, "its load returned False", "Model with name iris is not ready."),
        (LeavesFalse, ModelNotReady, "its load left ready False", "Model with name iris is not ready."),
        (Raises, ValueError, "no weights", "Model with name iris is not ready. ValueError: no weights"),
    ],
)
async def test_one_that_cannot_be_loaded_is_not_ready_and_not_stopped(kind, error, note, told):
    stops = []

    class Tried(kind):
        def stop(self):
            stops.append(self)

    pipeline = graph(Tried)
    with pytest.raises(error) as raised:
        async with pipeline:
            raise AssertionError("it is open")
    assert note in [str(raised.value), *raised.value.__notes__]
    with pytest.raises(ModelNotReady) as refused:
        pipeline.require_ready()
    assert str(refused.value) == told
    assert stops == []


async def test_an_engine_runs_beside_the_requests(caplog):
    started, seen = trio.Event(), []

    class Engine(Echo):
        def __init__(self, name):
            super().__init__(name)
            self.engine = True

        async def start_engine(self):
            started.set()
            try:
                await trio.sleep_forever()
            finally:
                seen.append("cancelled")

        def stop_engine(self):
            seen.append("stopped")

    async with graph(Engine) as pipeline:
        await started.wait()
        await asked(pipeline)
    assert seen == ["cancelled", "stopped"]

    class Broken(Engine):
        async def start_engine(self):
            raise OSError("no GPU")

    async with graph(Broken) as pipeline:
        while pipeline.is_ready:
            await trio.lowlevel.checkpoint()
        with pytest.raises(ModelNotReady):
            await asked(pipeline)
    assert 'model "iris": start_engine failed: OSError: no GPU' in caplog.messages


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


# ---- what its hooks see


async def test_it_sees_the_json_as_it_was_sent_and_headers_of_its_own():
    sent = {"instances": [[1], [2, 3]], "extra": None}
    headers = {"a": "b"}

    class Writes(Echo):
        def predict(self, payload, headers):
            headers["own"] = "1"
            return super().predict(payload, headers)

    answer = await answer_of(Writes, sent, headers=headers)
    assert answer.value["payload"] is sent
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


# ---- streams


async def streamed(raw):
    async with aclosing(raw.data) as parts:
        return [part async for part in parts]


async def test_an_async_generator_is_streamed_and_closed():
    seen = []

    class Streams(Model):
        async def predict(self, payload):
            try:
                for number in range(payload):
                    await trio.lowlevel.checkpoint()
                    yield f"{number}\n"
            finally:
                seen.append("closed")

    async with graph(Streams) as pipeline:
        assert await streamed((await asked(pipeline, 3)).outputs["s0"]) == [b"0\n", b"1\n", b"2\n"]
        stream = (await asked(pipeline, 3)).outputs["s0"].data
        assert await anext(stream) == b"0\n"
        await stream.aclose()
    assert seen == ["closed", "closed"]


async def test_a_generator_is_streamed_from_threads_and_closed_in_one():
    seen = []

    class Streams(Model):
        def predict(self, payload):
            try:
                for number in range(payload):
                    seen.append(threading.current_thread() is threading.main_thread())
                    yield bytearray([number])
            finally:
                seen.append("closed")

    async with graph(Streams) as pipeline:
        assert await streamed((await asked(pipeline, 2)).outputs["s0"]) == [b"\0", b"\1"]
        stream = (await asked(pipeline, 2)).outputs["s0"].data
        await anext(stream)
        await stream.aclose()
    assert seen == [False, False, "closed", False, "closed"]


async def test_a_generator_in_the_middle_of_an_item_is_closed_by_its_thread():
    begun, go_on, closed = trio.Event(), threading.Event(), trio.Event()
    token = trio.lowlevel.current_trio_token()

    class Streams(Model):
        def predict(self, payload):
            try:
                token.run_sync_soon(begun.set)
                go_on.wait(10)
                yield b"x"
            finally:
                token.run_sync_soon(closed.set)

    async with graph(Streams) as pipeline:
        stream = (await asked(pipeline)).outputs["s0"].data
        async with trio.open_nursery() as nursery:
            nursery.start_soon(anext, stream)
            await begun.wait()
            nursery.cancel_scope.cancel()
        await stream.aclose()
        go_on.set()
        await closed.wait()


@pytest.mark.parametrize("postprocess", [True, False])
async def test_postprocess_sees_the_generator(postprocess):
    class Streams(Model):
        async def predict(self, payload):
            yield "a"
            yield "b"

    class Wraps(Streams):
        async def postprocess(self, result):
            async for chunk in result:
                yield chunk.upper()

    async with graph(Wraps if postprocess else Streams) as pipeline:
        chunks = await streamed((await asked(pipeline)).outputs["s0"])
    assert b"".join(chunks) == (b"AB" if postprocess else b"ab")


async def test_a_chunk_that_is_none_is_told():
    class Streams(Model):
        async def predict(self, payload):
            yield {"a": 1}

    async with graph(Streams) as pipeline:
        with pytest.raises(WrongAnswer, match='step "s0" streams a dict; a part of an answer is bytes or text'):
            await streamed((await asked(pipeline)).outputs["s0"])


# ---- on asyncio


class OnAsyncio(Native):
    place = "asyncio"


class Asyncio(Model):
    dialect = OnAsyncio()


async def test_a_dialects_async_hooks_run_on_asyncio_from_load_to_stop():
    seen = []

    def tell(what):
        seen.append((what, asyncio.get_running_loop() is not None))

    class Lives(Asyncio):
        async def load(self):
            tell("load")
            self.ready = True

        async def healthy(self):
            tell("healthy")
            return True

        async def predict(self, payload):
            tell("predict")
            await asyncio.sleep(0)
            return payload

        async def stop(self):
            tell("stop")

    async with graph(Lives) as pipeline:
        assert (await asked(pipeline, [1])).outputs["s0"].value == [1]
    assert [what for what, _ in seen] == ["load", "healthy", "healthy", "predict", "stop"]


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


async def test_a_generator_on_asyncio_is_streamed_from_there():
    class Streams(Asyncio):
        async def predict(self, payload):
            for number in range(payload):
                await asyncio.sleep(0)
                yield str(number)

    async with graph(Streams) as pipeline:
        assert await streamed((await asked(pipeline, 3)).outputs["s0"]) == [b"0", b"1", b"2"]


async def test_a_place_in_the_graph_is_the_hooks():
    class Where(Model):
        async def predict(self, payload):
            return {"asyncio": asyncio.get_running_loop() is not None}

    assert (await answer_of(Step(run=Where, place="asyncio"))).value == {"asyncio": True}
    with pytest.raises(RuntimeError, match="no running event loop"):
        await answer_of(Where)


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


# ---- explanations


async def test_a_model_that_explains_is_the_graphs_explanation():
    class Explains(Echo):
        def explain(self, payload):
            return {"explanations": payload}

        def postprocess(self, result):
            return {**result, "post": True}

    async with graph(lambda x: x, Explains, lambda s1: s1) as pipeline:
        answer = await asked(pipeline, [1, 2], verb="explain")
        assert answer.outputs["s1"].value["post"]
    async with graph(Explains, lambda s0: "other", output={"predict": "s0", "explain": "s1"}) as pipeline:
        assert (await asked(pipeline, verb="explain")).outputs["s1"].array == b"other"


async def test_one_whose_own_call_is_all_there_is_may_explain_too():
    class Whole(Echo):
        def __call__(self, body, headers=None, verb="predict"):
            return {"verb": verb}

    async with graph(Whole) as pipeline:
        assert (await asked(pipeline, verb="explain")).outputs["s0"].value == {"verb": "explain"}


async def test_one_that_does_not_is_told_in_kserves_words():
    async with graph(Echo) as pipeline:
        with pytest.raises(InferError, match=r"^Could not find explainer_host\.$") as raised:
            await asked(pipeline, verb="explain")
    assert raised.value.code is Code.UNIMPLEMENTED
    async with graph(Echo, output={"predict": "s0", "explain": "s0"}) as pipeline:
        with pytest.raises(NotImplementedError, match=r"(?m)^Could not find explainer_host\.$"):
            await asked(pipeline, verb="explain")


# ---- what it tells of itself


TYPES = [{"name": "x", "datatype": "fp32", "shape": [-1, 4]}, {"name": "y", "datatype": "BYTES", "shape": ()}]


async def test_its_types_are_the_graphs_metadata_and_refuse_nothing():
    class Typed(Echo):
        def get_input_types(self):
            return TYPES

        async def get_output_types(self):
            return TYPES[:1]

    async with graph(Typed) as pipeline:
        signature = pipeline.signature
        assert {name: str(spec) for name, spec in signature.inputs.items()} == {"x": "FP32[-1,4]", "y": "BYTES[]"}
        assert list(signature.outputs) == ["x"]
        await asked(pipeline, {"instances": "not", "x": "at all"} | {"instances": ["text"]})


async def test_types_that_cannot_be_read_are_told_and_used_for_nothing(caplog):
    class Wrong(Echo):
        def get_input_types(self):
            return {"x": "FP32"}

        def get_output_types(self):
            raise KeyError("y")

    async with graph(Wrong) as pipeline:
        assert pipeline.signature.inputs == pipeline.signature.outputs == {}
        await asked(pipeline)
    inputs, outputs = caplog.messages
    assert inputs.startswith('model "iris": get_input_types is not used: ValueError: expected a list like')
    assert outputs == "model \"iris\": get_output_types is not used: KeyError: 'y'"


# ---- its health


async def test_its_flag_is_looked_at_and_costs_nothing():
    model = Echo("m")
    async with graph(model) as pipeline:
        assert pipeline.is_ready
        model.ready = False
        assert not pipeline.is_ready
        with pytest.raises(ModelNotReady, match=r"^Model with name iris is not ready\.$"):
            await asked(pipeline)
        model.ready = True
        await asked(pipeline)


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_health_of_its_own_is_asked_each_time_and_told_when_it_turns(is_async):
    answers = [True, True, False, RuntimeError("no GPU"), True]

    def answer():
        if isinstance(now := answers.pop(0), Exception):
            raise now
        return now

    class Async(Echo):
        async def healthy(self):
            return answer()

    class Sync(Echo):
        def healthy(self):
            assert threading.current_thread() is not threading.main_thread()
            return answer()

    events = []
    async with graph(Async if is_async else Sync) as pipeline:
        pipeline.observers.append(events.append)
        await pipeline.look_ready()
        for _ in range(2):
            with pytest.raises(ModelNotReady, match=r"^Model with name iris is not ready\.$"):
                await pipeline.look_ready()
        await pipeline.look_ready()
    turned = [event.reason for event in events if isinstance(event, ModelTurned)]
    assert turned == ["its healthy says no", None]


async def test_one_that_hangs_is_not_ready(autojump_clock):
    calls = []

    class Hangs(Echo):
        async def healthy(self):
            calls.append(trio.current_time())
            if len(calls) > 1:
                await trio.sleep_forever()
            return True

    events = []
    async with graph(Hangs) as pipeline:
        pipeline.observers.append(events.append)
        for seconds in (0.5, 60):
            start = trio.current_time()
            with pytest.raises(ModelNotReady):
                await pipeline.look_ready(seconds)
            assert trio.current_time() - start == min(seconds, 2.0)
    assert [event.reason for event in events if isinstance(event, ModelTurned)] == ["no answer within 0.5 s"]


async def test_one_that_is_loaded_and_not_healthy_keeps_no_server_waiting():
    class Warms(Echo):
        async def healthy(self):
            return False

    async with graph(Warms) as pipeline:
        assert (pipeline.is_ready, pipeline.loaded_once) == (False, True)


# ---- faults, and a graph around one


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (Step(run=Echo, params={"depth": 1}), 'has no parameter "depth"'),
        (
            Step(run=Echo("own"), params={"name": "x"}),
            "params are for a class, and own is a Model that is made already",
        ),
        (Step(run=Echo, handles={"m": "s0"}), 'handle "m" can reach no hook of a Model'),
    ],
)
def test_what_a_model_cannot_be_told_is_a_fault(step, says):
    with pytest.raises(GraphFaults, match=says):
        graph(step)


async def test_a_blueprint_is_made_of_one():
    def drawn(model, name=None):
        return ours.Pipeline.from_blueprint(blueprint.from_model(model, storage=None, name=name))

    async with drawn(Echo("my-model")) as pipeline:
        assert pipeline.name == "my-model"
        assert (await asked(pipeline, [1])).outputs["predict"].value["payload"] == [1]
    assert drawn(Echo("m"), "alias").name == "alias"
    with pytest.raises(GraphFaults):
        drawn(Echo("a/b"))

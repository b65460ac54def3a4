"""A Model as a step: its life, what it tells of itself, its health, and what is a fault."""

import asyncio
import threading

import pytest
import trio

from pipeline import blueprint
from pipeline.errors import Code, DeadlineExceeded, InferError, ModelNotReady
from pipeline.observe import ModelTurned
from pipeline_serve import GraphFaults, Model, Step
from pipeline_serve import _pipeline as ours
from tests.steps.model_graphs import Asyncio, Echo, Ready, answer_of, asked, graph

# ---- its life


async def test_asyncios_loop_is_there_from_the_first_request_on_as_where_a_script_starts_it():
    seen = {}

    class Looks(Asyncio):
        def look(self, hook):
            seen[hook] = asyncio._get_running_loop() is not None

        def load(self):
            self.look("load")
            return super().load()

        def start(self):
            self.look("start")

        def get_input_types(self):
            self.look("get_input_types")
            return []

        def healthy(self):
            self.look("healthy")
            return asyncio.get_running_loop().run_until_complete(self.ask())

        async def ask(self):
            return True

        def predict(self, payload):
            return payload

        def stop(self):
            self.look("stop")

    async with graph(Looks) as pipeline:
        await asked(pipeline)
    assert seen == {"load": False, "start": False, "get_input_types": True, "healthy": True, "stop": True}


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


LEFT_UNREADY = "its load left self.ready False; load sets self.ready = True, whatever it returns"


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
        (
            LeavesFalse,
            ModelNotReady,
            LEFT_UNREADY,
            "Model with name iris is not ready.",
        ),
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


class Hangs(Echo):
    """Healthy when it opens, and then without an answer."""

    opened = False

    async def healthy(self):
        if self.opened:
            await trio.sleep_forever()
        self.opened = True
        return True


async def test_one_that_hangs_is_not_ready(autojump_clock):
    events = []
    async with graph(Hangs) as pipeline:
        pipeline.observers.append(events.append)
        for ask in (pipeline.look_ready, lambda: asked(pipeline)):
            start = trio.current_time()
            with pytest.raises(ModelNotReady):
                await ask()
            assert trio.current_time() - start == 2.0
    assert [event.reason for event in events if isinstance(event, ModelTurned)] == ["no answer within 2 s"]


@pytest.mark.parametrize("graphs_own", [True, False])
async def test_whose_time_is_up_before_it_answers_is_told_that_and_nothing_is_known_of_its_health(
    autojump_clock, graphs_own
):
    async with graph(Hangs, deadline="500ms" if graphs_own else "1h") as pipeline:
        with pytest.raises(DeadlineExceeded, match="its deadline of 500 ms") as raised:
            await asked(pipeline, seconds=3600 if graphs_own else 0.5)
        assert (trio.current_time(), pipeline.is_ready) == (0.5, True)
    assert raised.value.internals == "time was up while the model was asked whether it is healthy"


async def test_what_its_health_takes_is_of_the_request_s_time(autojump_clock):
    class Slow(Echo):
        async def healthy(self):
            await trio.sleep(0.9)
            return True

        async def predict(self, payload):
            await trio.sleep(0.9)

    async with graph(Slow, deadline="1s") as pipeline:
        start = trio.current_time()
        with pytest.raises(DeadlineExceeded, match="its deadline of 1 s"):
            await pipeline.infer({"x": 1})
        assert trio.current_time() - start == pytest.approx(1)


async def test_several_are_asked_beside_each_other(autojump_clock):
    class Never(Echo):
        async def healthy(self):
            await trio.sleep_forever()

    async with graph(Never, Never, Never) as pipeline:
        assert trio.current_time() == 2.0
        with pytest.raises(ModelNotReady):
            await pipeline.look_ready()
        assert (trio.current_time(), pipeline.is_ready) == (4.0, False)


async def test_a_health_that_never_ends_takes_one_thread_and_none_of_others(autojump_clock):
    release = threading.Event()
    begun = []

    class Stuck(Echo):
        def healthy(self):
            begun.append(self)
            release.wait()
            return True

    release.set()
    async with graph(Stuck) as pipeline:
        release.clear()
        for _ in range(3):
            # The second and third wait for the end of one that nobody waits for any more.
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(refused, pipeline)
        assert trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
        assert len(begun) <= 2
        release.set()


async def refused(pipeline):
    with pytest.raises(ModelNotReady):
        await pipeline.look_ready()


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

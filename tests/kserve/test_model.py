"""KServe's models in a pipeline: hooks on asyncio, requests beside each other, cancellation, a predictor."""

import asyncio
import json
import threading

import httpx
import numpy as np
import pytest
import trio

from pipeline import blueprint
from pipeline.errors import Code, DeadlineExceeded, InferError
from pipeline.tensors import message
from pipeline.tensors.tensor import Json
from pipeline_serve import Pipeline
from pipeline_serve.kserve import (
    InferenceRESTClient,
    InferInput,
    InferOutput,
    InferRequest,
    InferResponse,
    Model,
    ModelServer,
    RESTConfig,
)
from pipeline_serve.kserve.context import get_predictor_config, set_predictor_config
from pipeline_serve.kserve.model import BaseKServeModel, InferenceModel, InferenceVerb
from pipeline_serve.kserve.predictor_config import PredictorConfig
from pipeline_serve.kserve.utils.utils import get_predict_input, get_predict_response
from storage import Storage
from tests.raw import answer, answering, raw_server
from tests.tls import over_tls, self_signed
from tests.waiting import idle


class Iris(Model):
    def __init__(self):
        super().__init__("iris")


def opened(model):
    return Pipeline.from_blueprint(blueprint.from_model(model, Storage({})))


async def asked(pipeline, body, verb="predict", seconds=60.0):
    """The answer to a plain body, as a caller on the wire has it."""
    inputs = {"instances": Json(body)}
    request = message.InferRequest(model="iris", id="1", inputs=inputs, body=body, plain=True, headers={"x-own": "1"})
    async with pipeline.admitted(verb, seconds) as allowance:
        response = await pipeline.answer(request, verb, allowance)
        (value,) = response.outputs.values()
        return value.value
    raise AssertionError("a request that is out of time raises")


async def test_ten_requests_wait_side_by_side():
    class Waits(Iris):
        def __init__(self):
            super().__init__()
            self.barrier = asyncio.Barrier(10)

        async def predict(self, payload, headers=None):
            await self.barrier.wait()
            return payload

    async with opened(Waits()) as pipeline, trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(asked, pipeline, number)


async def cut_short(pipeline, begun, way):
    """A request that is cancelled once its hook has ``begun``, or out of time."""
    if way == "deadline":
        with pytest.raises(DeadlineExceeded):
            await asked(pipeline, 0, seconds=0.05)
    else:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asked, pipeline, 0)
            await trio.to_thread.run_sync(begun.wait)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("way", ["cancelled", "deadline"])
async def test_a_cancellation_reaches_the_hook_which_can_clean_up(way):
    class Sleeps(Iris):
        cleaned = False

        def __init__(self):
            super().__init__()
            self.begun = threading.Event()

        async def predict(self, payload, headers=None):
            try:
                self.begun.set()
                await asyncio.sleep(3600)
            finally:
                # What an asyncio library does there: waits again.
                await asyncio.sleep(0.01)
                self.cleaned = True

    model = Sleeps()
    async with opened(model) as pipeline:
        await cut_short(pipeline, model.begun, way)
    assert model.cleaned


@pytest.mark.parametrize("way", ["cancelled", "deadline"])
async def test_a_cancellation_reaches_what_a_synchronous_hook_waits_for(way):
    class Waits(Iris):
        def __init__(self):
            super().__init__()
            self.begun, self.told, self.cleaned = threading.Event(), threading.Event(), False

        def predict(self, payload, headers=None):
            try:
                return asyncio.get_event_loop().run_until_complete(self.sleep())
            except trio.Cancelled:
                assert self.cleaned
                self.told.set()
                raise

        async def sleep(self):
            try:
                self.begun.set()
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(0)
                self.cleaned = True

    model = Waits()
    async with opened(model) as pipeline:
        await cut_short(pipeline, model.begun, way)
        assert await trio.to_thread.run_sync(model.told.wait, 10)


async def test_the_deadline_of_a_synchronous_predict_travels_with_what_it_asks(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Asks(Iris):
        def predict(self, payload, headers=None):
            return asyncio.get_running_loop().run_until_complete(super().predict(payload, headers))

    seen, reply = [], answer(b'{"predictions":[2]}', head="content-type: application/json\r\n")
    with raw_server(answering(reply, seen=seen)) as server:
        model = Asks()
        model.predictor_host = server.url
        async with opened(model) as pipeline:
            assert await asked(pipeline, {"instances": [1]}) == {"predictions": [2]}
    assert b"x-request-timeout: 59." in seen[0].lower()


async def test_a_thread_has_no_loop_once_its_hook_has_ended():
    class Looks(Iris):
        def predict(self, payload, headers=None):
            seen.append((threading.current_thread(), asyncio.get_running_loop()))
            raise RuntimeError("mine")

    def looks(last):
        return threading.current_thread(), asyncio._get_running_loop()

    seen = []
    async with opened(Looks()) as pipeline:
        with pytest.raises(RuntimeError, match="mine"):
            await asked(pipeline, 0)
        await idle(pipeline._threads)
        assert await pipeline._threads.run(looks) == (seen[0][0], None)


async def test_a_library_of_asyncio_asks_another_server():
    class Asks(Iris):
        async def predict(self, payload, headers=None):
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(payload["url"])).json()

    with raw_server(answering(answer(b'{"a":1}'))) as server:
        async with opened(Asks()) as pipeline:
            assert await asked(pipeline, {"url": server.url}) == {"a": 1}


async def test_a_loop_that_is_entered_again_as_nest_asyncio_does_it():
    class Nests(Iris):
        async def predict(self, payload, headers=None):
            loop, outer = asyncio.get_running_loop(), asyncio.current_task()
            inner = loop.create_task(self.inner(payload))
            asyncio.tasks._leave_task(loop, outer)
            while not inner.done():
                loop._run_once()
            asyncio.tasks._enter_task(loop, outer)
            return inner.result()

        async def inner(self, payload):
            await asyncio.sleep(0)
            return payload + 1

    async with opened(Nests()) as pipeline:
        assert await asked(pipeline, 1) == 2


async def test_kserves_own_client_in_a_hook():
    class Asks(Iris):
        async def predict(self, payload, headers=None):
            async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
                return await client.infer(payload["url"], {"instances": [1]}, model_name="other")

    with raw_server(answering(answer(b'{"predictions":[2]}'))) as server:
        async with opened(Asks()) as pipeline:
            assert await asked(pipeline, {"url": server.url}) == {"predictions": [2]}


async def test_in_process_a_request_is_kserves():
    class Adds(Iris):
        def predict(self, payload, headers=None):
            assert isinstance(payload, InferRequest)
            return get_predict_response(payload, get_predict_input(payload) + 1, self.name)

    async with opened(Adds()) as pipeline:
        response = await pipeline.infer({"x": np.array([1, 2])})
    assert response["output-0"].tolist() == [2, 3]


async def test_the_callers_array_is_not_written_into():
    class Writes(Iris):
        def predict(self, payload, headers=None):
            array = payload.inputs[0].as_numpy()
            array += 1
            return {"sum": int(array.sum())}

    array = np.array([1, 2])
    async with opened(Writes()) as pipeline:
        await pipeline.infer({"x": array})
    assert array.tolist() == [1, 2]


async def test_a_buffer_that_a_model_fills_again_changes_no_answer():
    class Fills(Iris):
        buffer = np.zeros(1)

        def predict(self, payload, headers=None):
            self.buffer[:] = payload.inputs[0].as_numpy()
            output = InferOutput("y", [1], "FP64")
            output.set_data_from_numpy(self.buffer)
            return InferResponse(payload.id, self.name, [output])

    async with opened(Fills()) as pipeline:
        answers = [await pipeline.infer({"x": np.array([float(number)])}) for number in range(3)]
    assert [each["y"][0] for each in answers] == [0, 1, 2]


async def test_a_call_of_its_own_explains_too():
    class Whole(InferenceModel):
        def __init__(self):
            super().__init__("iris")
            self.ready = True

        async def __call__(self, body, headers=None, verb=InferenceVerb.PREDICT):
            return {"verb": verb.name}

    async with opened(Whole()) as pipeline:
        assert await asked(pipeline, 0) == {"verb": "PREDICT"}
        assert await asked(pipeline, 0, verb="explain") == {"verb": "EXPLAIN"}


async def test_called_by_hand_it_goes_through_its_hooks():
    class Hooks(Iris):
        def preprocess(self, payload, headers=None):
            return [*payload, "pre"]

        def predict(self, payload, headers=None):
            return [*payload, "predict"]

        async def explain(self, payload, headers=None):
            return [*payload, "explain"]

        def postprocess(self, result, headers=None):
            return [*result, "post"]

    model = Hooks()
    assert isinstance(model, BaseKServeModel)
    assert await model([]) == (["pre", "predict", "post"], {})
    assert await model([], verb=InferenceVerb.EXPLAIN) == (["pre", "explain", "post"], {})


# ---- predictors


@pytest.fixture
def config():
    """Sets the server's, as a ModelServer does; put back at the end."""
    before = get_predictor_config()
    yield set_predictor_config
    set_predictor_config(before)


def test_whom_a_transformer_asks(config):
    model = Iris()
    assert (model.predictor_config.predictor_host, model.predictor_config.protocol) == (None, "v1")
    model.predictor_host, model.predictor_protocol = "own:1", "v2"
    assert (model.predictor_config.predictor_base_url, model.predictor_config.protocol) == ("http://own:1", "v2")
    config(PredictorConfig(None, "v1"))
    assert model.predictor_config.predictor_base_url == "http://own:1"
    config(PredictorConfig("server:2", "v1", predictor_use_ssl=True))
    assert model.predictor_config.predictor_base_url == "https://server:2"


def test_a_server_tells_its_models_from_its_making_on(config, monkeypatch):
    monkeypatch.setattr("sys.argv", ["model.py", "--predictor_protocol", "v2", "--predictor_request_retries", "4"])
    ModelServer()
    told = Iris().predictor_config
    assert (told.predictor_host, told.protocol, told.retries) == (None, "v2", 4)
    ModelServer(predictor_config=PredictorConfig("server:2"))
    assert (Iris().predictor_config.predictor_host, Iris().predictor_config.protocol) == ("server:2", "v1")


async def test_without_a_predictor_there_is_no_answer():
    async with opened(Iris()) as pipeline:
        with pytest.raises(NotImplementedError, match=r"Could not find predictor_host\."):
            await asked(pipeline, {"instances": []})


async def test_the_predictors_refusal_passes_through_without_its_address(config):
    with raw_server(answering(answer(b'{"error":"no"}', status="422 Oh"))) as server:
        config(PredictorConfig(server.url.removeprefix("http://")))
        async with opened(Iris()) as pipeline:
            with pytest.raises(InferError) as raised:
                await asked(pipeline, {"instances": [1]})
    assert raised.value.status == 422
    assert server.url not in raised.value.message


async def test_a_predictor_that_is_not_there_is_a_bad_gateway(config):
    config(PredictorConfig("127.0.0.1:1"))
    async with opened(Iris()) as pipeline:
        with pytest.raises(InferError) as raised:
            await asked(pipeline, {"instances": [1]})
    assert raised.value.code is Code.BAD_UPSTREAM


@pytest.mark.parametrize("binary", [True, False])
async def test_tensors_go_to_a_predictor_in_the_form_that_the_model_set(config, binary):
    class Sends(Iris):
        def preprocess(self, payload, headers=None):
            x = InferInput("x", [1], "FP32")
            x.set_data_from_numpy(np.ones(1, np.float32), binary_data=binary)
            return InferRequest(self.name, [x])

        def postprocess(self, result, headers=None):
            return {"predictions": result.outputs[0].data}

    reply = json.dumps(
        {"model_name": "iris", "outputs": [{"name": "y", "shape": [1], "datatype": "FP32", "data": [2]}]}
    )
    seen = []
    with raw_server(answering(answer(reply.encode()), seen=seen)) as server:
        config(PredictorConfig(server.url.removeprefix("http://"), "v2"))
        async with opened(Sends()) as pipeline:
            assert await asked(pipeline, {}) == {"predictions": [2]}
    head, _, body = seen[0].partition(b"\r\n\r\n")
    media = b"content-type: application/octet-stream" if binary else b"content-type: application/json"
    assert media in head.lower()
    assert body.endswith(b"\0\0\x80?") == binary


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", ""])
async def test_a_predictors_certificate_is_vouched_for_by_the_bundle_of_the_environment(
    config, monkeypatch, tmp_path, variable
):
    certificate = tuple(map(str, self_signed(tmp_path)))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, certificate[0])
    with raw_server(over_tls(certificate, lambda _: answering(answer(b'{"predictions":[1]}')))) as server:
        config(PredictorConfig(server.url.removeprefix("http://"), predictor_use_ssl=True))
        async with opened(Iris()) as pipeline:
            if variable:
                assert await asked(pipeline, {"instances": [1]}) == {"predictions": [1]}
                return
            with pytest.raises(InferError) as raised:
                await asked(pipeline, {"instances": [1]})
    assert raised.value.code is Code.BAD_UPSTREAM

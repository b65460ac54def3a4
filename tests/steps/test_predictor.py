"""What a transformer asks its predictor, and what its failures mean; on trio's loop and on asyncio's."""

import json
import logging

import networkx as nx
import numpy as np
import pytest
import trio

from pipeline.errors import Code, InferError, InvalidInput, ModelNotReady
from pipeline.model import Native
from pipeline.tensors.message import InferRequest
from pipeline.tensors.tensor import Json, tensor
from pipeline_serve import Model, Pipeline, Step
from tests.raw import answer, answering, raw_server

V1_ANSWER = answer(b'{"predictions":[[1,2],[3]]}', head="content-type: application/json\r\nx-own: 1\r\n")
V2_ANSWER = answer(
    b'{"model_name":"m","outputs":[{"name":"y","shape":[1],"datatype":"FP32","data":[1.5]}]}',
    head="content-type: application/json\r\n",
)


class OnAsyncio(Native):
    place = "asyncio"


class Asyncio(Model):
    dialect = OnAsyncio()


@pytest.fixture(params=[Model, Asyncio], ids=["trio", "asyncio"])
def kind(request, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return request.param


def pipeline_of(model, **top):
    dag = nx.DiGraph()
    dag.add_node("predict", step=Step(run=model))
    return Pipeline("front", dag, **top)


def plain(body, **more):
    return InferRequest(model="front", id="7", inputs={"instances": Json(body)}, body=body, plain=True, **more)


TENSORS = InferRequest(
    model="front", id="7", inputs={"x": tensor(np.array([1.5], dtype=np.float32))}, parameters={"timeout": 1, "a": 2}
)


def asked(model, request, verb="predict", seconds=60.0):
    async def ask():
        async with pipeline_of(model) as pipeline, pipeline.admitted(verb, seconds) as allowance:
            return await pipeline.answer(request, verb, allowance)
        raise AssertionError("a request that is out of time raises")

    return trio.run(ask)


def sent_by(model_of, request, reply=V1_ANSWER, **how):
    """((path, headers, body) of the one request that the model makes, the answer)"""
    seen = []
    with raw_server(answering(reply, seen=seen)) as server:
        response = asked(model_of(server.url), request, **how)
    head, _, body = seen[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
    return (first, headers, body), response


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_json_goes_as_it_is_with_the_trace_and_comes_back_as_it_is(kind):
    headers = {"x-request-id": "r1", "traceparent": TRACE, "authorization": "Bearer x", "cookie": "c", "host": "h"}
    sent = {"instances": [[1], [2, 3]], "signature_name": "s"}

    def model(url):
        return kind("own", predictor_host=url)

    (first, found, body), response = sent_by(model, plain(sent, headers=headers))
    assert first == "POST /v1/models/own:predict HTTP/1.1"
    assert json.loads(body) == sent
    assert response["predict"] == {"predictions": [[1, 2], [3]]}
    assert (found["x-request-id"], found["traceparent"], found["content-type"]) == ("r1", TRACE, "application/json")
    assert 59 < float(found["x-request-timeout"]) <= 60
    assert {"authorization", "cookie"}.isdisjoint(found)


def test_a_header_that_the_class_names_travels_too(kind):
    class Passes(kind):
        forwards = ("authorization",)

    def model(url):
        return Passes("own", predictor_host=url.removeprefix("http://"))

    (_, found, _), _ = sent_by(model, plain([], headers={"authorization": "Bearer x"}))
    assert found["authorization"] == "Bearer x"


@pytest.mark.parametrize(("payload", "sent"), [(b"\xff", b"\xff"), ("tëxt", "tëxt".encode())])
def test_bytes_go_as_they_are(kind, payload, sent):
    (_, found, body), _ = sent_by(lambda url: kind("own", predictor_host=url), plain(payload))
    assert (found["content-type"], body) == ("application/octet-stream", sent)


def test_tensors_go_in_the_predictors_protocol_and_come_back_as_tensors(kind):
    (first, found, body), response = sent_by(
        lambda url: kind("own", predictor_host=url, predictor_protocol="v2"), TENSORS, V2_ANSWER
    )
    assert first == "POST /v2/models/own/infer HTTP/1.1"
    assert "inference-header-content-length" in found
    head = json.loads(body[: int(found["inference-header-content-length"])])
    assert (head["id"], head["parameters"]["a"]) == ("7", 2)
    assert "timeout" not in head["parameters"]
    assert body.endswith(np.float32(1.5).tobytes())
    assert (list(response.outputs), response["y"].tolist()) == (["y"], [1.5])


def test_tensors_reach_a_predictor_that_names_none_and_its_answer_has_the_steps_name(kind):
    (_, _, body), response = sent_by(
        lambda url: kind("own", predictor_host=url), TENSORS, answer(b'{"predictions":[3]}')
    )
    assert json.loads(body)["instances"] == [1.5]
    assert (list(response.outputs), response["predict"].tolist()) == (["predict"], [3])


def test_hooks_stand_around_the_call_and_see_the_predictors_headers(kind):
    class Transformer(kind):
        def preprocess(self, payload):
            return {"instances": [payload["raw"]]}

        async def postprocess(self, result, headers, response_headers):
            return {**result, "seen": response_headers}

    def model(url):
        return Transformer("own", return_response_headers=True, predictor_host=url)

    (_, _, body), response = sent_by(model, plain({"raw": 5}))
    assert json.loads(body) == {"instances": [5]}
    assert response["predict"] == {"predictions": [[1, 2], [3]], "seen": {"x-own": "1"}}
    assert response.headers == {"x-own": "1"}


def test_an_explanation_is_asked_of_the_explainer(kind):
    (first, _, _), response = sent_by(
        lambda url: kind("own", explainer_host=url), plain([]), answer(b'{"explanations":[1]}'), verb="explain"
    )
    assert first == "POST /v1/models/own:explain HTTP/1.1"
    assert response["predict"] == {"explanations": [1]}


def test_an_explainer_asks_its_predictor_by_its_own_predict(kind):
    class Explainer(kind):
        async def explain(self, payload, headers):
            answer = await self.predict(payload, headers)
            return {"explanations": answer["predictions"]}

    (first, _, _), response = sent_by(lambda url: Explainer("own", predictor_host=url), plain([]), verb="explain")
    assert first == "POST /v1/models/own:predict HTTP/1.1"
    assert response["predict"] == {"explanations": [[1, 2], [3]]}


def failure(model, request=None, **how):
    with pytest.raises(InferError) as caught:
        asked(model, request or plain([]), **how)
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind_of", "code", "shown"),
    [
        (400, InvalidInput, Code.INVALID_ARGUMENT, 400),
        (404, InferError, None, 404),
        (429, InferError, None, 429),
        (503, InferError, None, 503),
        (500, InferError, Code.BAD_UPSTREAM, None),
    ],
)
def test_a_refusals_status_passes_and_its_url_does_not(kind, status, kind_of, code, shown):
    with raw_server(answering(answer(b'{"error":"at home"}', status=f"{status} X"))) as server:
        error = failure(kind("own", predictor_host=server.url))
    told = f'the predictor of model "own" answered {status}'
    assert isinstance(error, kind_of)
    assert code in (None, error.code)
    assert shown in (None, error.status) or error.status is None
    assert error.message == (told if status == 500 else "at home")
    assert told in error.internals or status == 500
    assert f"POST {server.url}/v1/models/own:predict was answered {status}" in error.internals


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"error": "bad\nthing"}, "bad thing"),
        ({"error": "at URL/v1 (HOST), see ftp://a.b/c"}, "at … (…), see …"),
        ({"error": "x" * 600}, "x" * 500 + "…"),
        ({"error": {"code": 3}}, 'the predictor of model "own" answered 400'),
        ({"detail": "no"}, 'the predictor of model "own" answered 400'),
        ([], 'the predictor of model "own" answered 400'),
    ],
)
def test_a_refusal_is_in_the_predictors_words_in_one_line_without_addresses(kind, body, says):
    def refusing(connection):
        host = "{}:{}".format(*connection.getsockname())
        text = json.dumps(body).replace("URL", f"http://{host}").replace("HOST", host)
        answering(answer(text.encode(), status="400 X"))(connection)

    with raw_server(refusing) as server:
        assert failure(kind("own", predictor_host=server.url)).message == says


def test_nobody_there_is_a_502(kind):
    error = failure(kind("own", predictor_host="127.0.0.1:1"))
    assert (error.code, error.message) == (
        Code.BAD_UPSTREAM,
        'the predictor of model "own" gave no answer that can be used',
    )
    assert "cannot connect to http://127.0.0.1:1" in error.internals


def test_an_answer_that_is_none_is_a_502(kind):
    with raw_server(answering(answer(b"<html>"))) as server:
        assert failure(kind("own", predictor_host=server.url)).code is Code.BAD_UPSTREAM


def silent(connection):
    connection.recv(65536)


def test_a_predictor_that_takes_longer_than_its_time_is_a_504(kind):
    class Impatient(kind):
        predictor_request_timeout_seconds = 0.01

    with raw_server(silent) as server:
        error = failure(Impatient("own", predictor_host=server.url))
        assert server.left.get(timeout=10) == "left"
    assert error.code is Code.DEADLINE_EXCEEDED
    assert error.message == 'the predictor of model "own" did not answer within 10 ms'
    assert server.url in error.internals


def test_a_request_that_is_out_of_time_closes_the_connection(kind):
    with raw_server(silent) as server:
        assert failure(kind("own", predictor_host=server.url), seconds=0.05).code is Code.DEADLINE_EXCEEDED
        assert server.left.get(timeout=10) == "left"


async def test_a_connection_that_fails_is_tried_again(autojump_clock, caplog):
    class Tries(Model):
        predictor_request_retries = 3
        # The clock jumps while sockets of the real world are waited for.
        predictor_request_timeout_seconds = 0

    caplog.set_level(logging.DEBUG, "httpcore.connection")
    async with pipeline_of(Tries("own", predictor_host="127.0.0.1:1"), deadline="none") as pipeline:
        with pytest.raises(InferError):
            await pipeline.infer({"x": [1]})
    assert sum("connect_tcp.started" in message for message in caplog.messages) == 4


async def test_without_a_host_it_is_told_in_kserves_words():
    async with pipeline_of(Model("own")) as pipeline:
        with pytest.raises(NotImplementedError, match=r"(?m)^Could not find predictor_host\.$"):
            await pipeline.infer({"x": [1]})


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (
            {"predictor_host": "h", "predictor_protocol": "v9"},
            "model \"own\": predictor_protocol is v1 or v2, not 'v9'",
        ),
        ({"predictor_host": "http://"}, "is no URL of a server"),
    ],
)
async def test_what_is_no_server_fails_to_open(how, says):
    pipeline = pipeline_of(Model("own", **how))
    with pytest.raises(ValueError, match=says):
        async with pipeline:
            raise AssertionError("it is open")
    with pytest.raises(ModelNotReady):
        pipeline.require_ready()

"""The class by itself: its hooks in order, what they are given, what the default ones say, and its dialect."""

import enum

import numpy as np
import pytest

from pipeline.engine.step import Answering
from pipeline.errors import InvalidInput, WrongAnswer
from pipeline.model import Native, asking, has_own, hooks_of
from pipeline.tensors.message import InferRequest, InferResponse
from pipeline.tensors.tensor import Json, Raw, Tensor, tensor
from pipeline_serve import Model


class Traced(Model):
    def preprocess(self, payload, headers):
        return [*payload, "pre"]

    async def predict(self, payload, headers):
        headers["seen"] = "yes"
        return [*payload, "predict"]

    def explain(self, payload):
        return [*payload, "explain"]

    async def postprocess(self, result, headers, response_headers=None):
        return [*result, "post", headers.get("seen")]


class Verb(enum.Enum):
    EXPLAIN = 1
    PREDICT = 2


@pytest.mark.parametrize(
    ("verb", "answer"),
    [
        ("predict", ["pre", "predict", "post", "yes"]),
        ("explain", ["pre", "explain", "post", None]),
        (Verb.PREDICT, ["pre", "predict", "post", "yes"]),
        (Verb.EXPLAIN, ["pre", "explain", "post", None]),
    ],
)
async def test_its_hooks_run_in_order(verb, answer):
    assert await Traced("m")([], {"a": "b"}, verb) == (answer, {})


async def test_headers_are_one_dict_that_all_hooks_share():
    headers = {}
    await Traced("m")([], headers)
    assert headers == {"seen": "yes"}
    assert await Traced("m")([]) == (["pre", "predict", "post", "yes"], {})


async def test_response_headers_are_given_where_they_are_asked_for():
    class Told(Model):
        def predict(self, payload, headers, response_headers=None):
            if response_headers is not None:
                response_headers["x"] = "1"
            return 1

        def postprocess(self, result, headers, response_headers=None):
            return result, response_headers is not None

    assert await Told("m")(0) == ((1, False), {})
    assert await Told("m", return_response_headers=True)(0) == ((1, True), {"x": "1"})


async def test_by_default_it_is_kserves():
    model = Model("iris")
    assert (model.name, model.ready, model.engine, await model.healthy()) == ("iris", False, False, False)
    assert model.load() is True
    assert await model.healthy()
    model.stop()
    assert not model.ready
    model.start()
    assert model.ready
    assert model.get_input_types() == model.get_output_types() == []
    with pytest.raises(NotImplementedError, match=r"^Could not find predictor_host\.$"):
        await model({"instances": [1]})
    with pytest.raises(NotImplementedError, match=r"^Could not find explainer_host\.$"):
        await model({"instances": [1]}, verb="explain")


def test_what_a_class_says_of_its_predictor_is_kept_but_for_what_is_given():
    class Transformer(Model):
        predictor_host = "host:1"
        predictor_protocol = "v2"

    assert Transformer("m").predictor_config.predictor_host == "host:1"
    model = Transformer("m", predictor_host="other:2")
    assert (model.predictor_host, model.predictor_protocol) == ("other:2", "v2")


@pytest.mark.parametrize(
    ("protocol", "payload", "refused"),
    [
        ("v1", {"instances": "x"}, "instances"),
        ("v1", {"instances": []}, None),
        ("v1", {"inputs": 3}, None),
        ("v1", b"instances", None),
        ("v2", {"inputs": 3}, "inputs"),
        ("v2", {"instances": 3}, None),
    ],
)
def test_what_the_predictors_protocol_has_no_place_for_is_refused(protocol, payload, refused):
    model = Model("m", predictor_protocol=protocol)
    if refused is None:
        assert model.validate(payload) is payload
        return
    with pytest.raises(InvalidInput, match=f'^Expected "{refused}" to be a list$'):
        model.validate(payload)


async def test_validate_sees_what_preprocess_made():
    class Repairs(Model):
        def preprocess(self, payload):
            return {"instances": [payload["instances"]]}

        def predict(self, payload):
            return payload

    assert await Repairs("m")({"instances": 1}) == ({"instances": [1]}, {})


async def test_a_transformer_asks_through_whoever_holds_it_open():
    async def upstream(verb, payload, headers, response_headers):
        """That of the name that was opened first."""
        if response_headers is not None:
            response_headers["from"] = "predictor"
        return verb, payload, headers

    async def another(verb, payload, headers, response_headers):
        return "another"

    model = Model("m", return_response_headers=True, predictor_host="p", explainer_host="e")
    with pytest.raises(RuntimeError, match="while it is open"):
        await model(1)
    with asking(model, upstream):
        with asking(model, another):
            assert await model(1) == ("another", {})
        assert await model(1, {"a": "b"}) == (("predict", 1, {"a": "b"}), {"from": "predictor"})
        assert await model(1, verb="explain") == (("explain", 1, {}), {})
    with pytest.raises(RuntimeError, match="while it is open"):
        await model(1)


async def test_a_call_of_ones_own_is_all_that_runs():
    class Whole(Model):
        async def __call__(self, body, headers=None, verb="predict"):
            return {"body": body, "verb": verb}, {"x": "1"}

        def preprocess(self, payload):
            raise AssertionError("nobody asked")

    class Bare(Model):
        def __call__(self, body, headers=None):
            return [body, headers]

    told = {}
    (hook,) = hooks_of(Whole("m"), "explain")
    assert await hook.call(1, {}, told) == {"body": 1, "verb": "explain"}
    assert told == {"x": "1"}
    (hook,) = hooks_of(Bare("m"), "predict")
    assert hook.call(1, {"a": "b"}, told) == [1, {"a": "b"}]


def test_a_hook_is_its_authors_own_wherever_it_was_written():
    model = Model("m")
    assert not has_own(model, "predict")
    assert not has_own(Model, "__call__")
    model.predict = lambda payload: payload
    assert has_own(model, "predict")
    assert has_own(Traced, "explain")
    assert not has_own(Traced, "healthy")


# ---- the dialect of this project

ONE = tensor(np.array([1.5], dtype=np.float32))


def test_a_payload_is_json_as_it_was_sent_or_the_request():
    sent = {"instances": [1]}
    assert Native().payload(InferRequest(model="m", inputs={}, body=sent, plain=True)) is sent
    request = InferRequest(model="m", inputs={"x": ONE})
    assert Native().payload(request) is request
    assert Native().asked(request) is request
    assert Native().asked(sent) is None
    response = InferResponse(model="m", outputs={})
    assert Native().answered(response) is response


@pytest.mark.parametrize(
    ("result", "value"),
    [
        ({"predictions": [1]}, Json({"predictions": [1]})),
        ([1, 2], Json([1, 2])),
        (3, Json(3)),
        (True, Json(True)),
        (b"\x89PNG", Raw(b"\x89PNG")),
        (bytearray(b"x"), Raw(b"x")),
        ("tëxt", Raw("tëxt".encode())),
        (Raw(b"x"), Raw(b"x")),
        (np.array([1.5], dtype=np.float32), ONE),
        (ONE, ONE),
    ],
)
def test_an_answer_is_what_the_hooks_mean_by_it(result, value):
    found = Native().answer(result, InferRequest(model="m", inputs={}), Answering())
    assert type(found) is type(value)
    match found:
        case Tensor(datatype, array):
            assert (datatype, array.tolist()) == (value.datatype, value.array.tolist())
        case Json(inner):
            assert inner == value.value
        case Raw(data):
            assert data == value.data


def test_a_response_is_its_outputs_with_all_that_is_beside_them():
    answering = Answering()
    response = InferResponse(
        model="m",
        outputs={"y": ONE},
        parameters={"a": 1},
        headers={"x": "1"},
        output_parameters={"y": {"b": 2}},
    )
    found = Native().answer(response, InferRequest(model="m", inputs={}), answering)
    assert list(found) == ["y"]
    assert (answering.parameters, answering.headers) == ({"a": 1}, {"x": "1"})
    assert answering.output_parameters == {"y": {"b": 2}}


@pytest.mark.parametrize("result", [None, object()])
def test_what_is_no_answer_is_told(result):
    with pytest.raises(WrongAnswer, match="returned"):
        Native().answer(result, InferRequest(model="m", inputs={}), Answering())

"""Models on the wire, over both protocols: one server with a graph for each kind of them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.serving import serving

APP = """
import numpy as np
from pipeline_serve import InferenceError, InferResponse, InvalidInput, Json, Model

class Stateful(Model):
    def __init__(self, name, factor=2):
        super().__init__(name)
        self.factor = factor
    def load(self):
        self.ready = True
    def preprocess(self, payload, headers):
        self.rows = payload["instances"] if isinstance(payload, dict) else payload["x"]
        return payload
    def predict(self, payload):
        return self.factor * np.asarray(self.rows)
    def postprocess(self, result):
        same = np.array_equal(result, self.factor * np.asarray(self.rows))
        return {"predictions": result.tolist() if same else None}
    def explain(self, payload):
        return self.factor * np.asarray(self.rows)

class Typed(Model):
    def get_input_types(self):
        return [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
    def get_output_types(self):
        return [{"name": "y", "datatype": "FP32", "shape": [-1]}]
    async def predict(self, payload, headers, response_headers):
        response_headers["x-seen"] = headers["user-agent"]
        rows = payload["instances"] if isinstance(payload, dict) else payload["x"]
        return np.asarray(rows, np.float32).sum(axis=1)
    async def postprocess(self, result, headers, response_headers):
        response_headers["content-length"] = "3"
        return {"predictions": result.tolist()} if headers.get("x-json") else result

class Says(Model):
    async def predict(self, payload):
        if isinstance(payload, bytes):
            return payload[::-1]
        match payload.get("instances", payload):
            case "stream": return self.streamed()
            case "text": return "text"
            case ["input"]: raise InvalidInput("bad thing")
            case ["model"]: raise InferenceError("model broke")
            case ["later"]: raise NotImplementedError("not yet")
            case ["crash"]: raise KeyError("secret")
            case other: return other
    def validate(self, payload):
        return payload
    async def streamed(self):
        for number in range(3):
            yield f"{number};"

class Sick(Model):
    async def healthy(self):
        return False

class Empty(Model):
    def load(self):
        return False
"""
KINDS = {"stateful": "Stateful", "typed": "Typed", "says": "Says", "sick": "Sick", "empty": "Empty"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    graphs = {f"{name}.yaml": f"steps: {{predict: app.py:{kind}}}\n" for name, kind in KINDS.items()}
    graphs["typed.yaml"] = "steps: {predict: {run: app.py:Typed, params: {return_response_headers: true}}}\n"
    with serving(
        tmp_path_factory.mktemp("models"), {"app.py": APP, **graphs}, "--ready", "any", graphs=graphs
    ) as server:
        server.wait_for_log('model "empty" version 1 failed to load')
        yield server


def v2(**tensors):
    return {
        "inputs": [
            {"name": name, "shape": list(array.shape), "datatype": "FP32", "data": array.ravel().tolist()}
            for name, array in tensors.items()
        ]
    }


def test_v1_is_json_as_it_was_sent_and_answered(server):
    answer = server.post("/v1/models/stateful:predict", {"instances": [[1, 2]]})
    assert (answer.status_code, answer.json()) == (200, {"predictions": [[2, 4]]})
    answer = server.post("/v1/models/stateful:explain", {"instances": [[1, 2]]})
    assert answer.json() == {"predictions": [[2, 4]]}
    found = server.get("/metrics").text
    assert all(
        f'request_{phase}_seconds_count{{model_name="stateful"}}' in found for phase in ("preprocess", "explain")
    )


def test_v2_is_tensors_and_plain_json_is_text_in_one(server):
    answer = server.post("/v2/models/stateful/infer", v2(x=np.array([[1.0, 2.0]]))).json()
    (output,) = answer["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("predict", "BYTES", [1])
    assert output["data"] == ['{"predictions":[[2.0,4.0]]}']


def test_a_sync_model_that_keeps_state_answers_right_under_load(server):
    with server.client() as client, ThreadPoolExecutor(16) as threads:

        def ask(number):
            answer = client.post("/v1/models/stateful:predict", json={"instances": [number] * 50})
            return answer.json() == {"predictions": [2 * number] * 50}

        assert all(threads.map(ask, range(200)))


def test_types_are_the_metadata_and_an_array_is_the_only_output(server):
    known = server.get("/v2/models/typed").json()
    assert known["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
    assert known["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [-1]}]
    answer = server.post("/v2/models/typed/infer", v2(x=np.array([[1.0, 2.0]])))
    (output,) = answer.json()["outputs"]
    assert (output["name"], output["datatype"], output["data"]) == ("y", "FP32", [3.0])
    assert answer.headers["x-seen"].startswith("python-httpx")


def test_response_headers_are_the_replys_but_for_its_length(server):
    body = {"instances": [[1, 2], [3, 4]]}
    answer = server.post("/v1/models/typed:predict", body, headers={"x-json": "1"})
    assert (answer.json(), answer.headers["x-seen"][:12]) == ({"predictions": [3.0, 7.0]}, "python-httpx")
    assert answer.headers["content-length"] == str(len(answer.content))


@pytest.mark.parametrize(
    ("instances", "status", "body"),
    [
        (["input"], 400, {"error": "bad thing"}),
        (["model"], 500, {"error": "model broke"}),
        (["later"], 501, {"error": "not yet"}),
        ({"not": ["a", "list"]}, 200, {"not": ["a", "list"]}),
        ([1, "mixed", None], 200, [1, "mixed", None]),
    ],
)
def test_what_a_hook_says_is_what_a_caller_reads(server, instances, status, body):
    answer = server.post("/v1/models/says:predict", {"instances": instances})
    assert (answer.status_code, answer.json()) == (status, body)


def test_what_it_did_not_mean_to_say_is_told_in_the_log_only(server):
    answer = server.post("/v1/models/says:predict", {"instances": ["crash"]})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    server.wait_for_log("KeyError: 'secret'")


def test_bytes_and_text_go_out_as_they_are(server):
    answer = server.post("/v1/models/says:predict", content=b"\x01\x02", headers={"content-type": "image/png"})
    assert (answer.status_code, answer.content) == (200, b"\x02\x01")
    answer = server.post("/v1/models/says:predict", {"instances": "text"})
    assert (answer.text, answer.headers.get("content-type")) == ("text", None)


def test_an_iterator_is_streamed(server):
    answer = server.post("/v1/models/says:predict", {"instances": "stream"})
    assert (answer.text, answer.headers["transfer-encoding"]) == ("0;1;2;", "chunked")


def test_an_explanation_that_there_is_not_is_a_501(server):
    answer = server.post("/v1/models/says:explain", {"instances": []})
    assert (answer.status_code, answer.json()) == (501, {"error": "Could not find explainer_host."})


@pytest.mark.parametrize("name", ["sick", "empty"])
def test_one_that_says_it_is_not_ready_is_a_503_whatever_was_sent(server, name):
    expected = (503, {"error": f"Model with name {name} is not ready."})
    for answer in (
        server.get(f"/v1/models/{name}"),
        server.get(f"/v2/models/{name}/ready"),
        server.post(f"/v1/models/{name}:predict", content=b"{"),
        server.post(f"/v2/models/{name}/infer", content=b"{"),
    ):
        assert (answer.status_code, answer.json()) == expected

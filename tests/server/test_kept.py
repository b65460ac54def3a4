"""Models that keep what they return and write there at the next call: every caller has its own reply."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.serving import serving

CALLERS, CALLS = 8, 40
SIZE = 20_000

SCRIPT = """
import networkx as nx
import numpy as np
from pipeline_serve import ModelServer, Pipeline, Step
from pipeline_serve.kserve import InferOutput, InferResponse, Model

class Buffer:
    def __init__(self):
        self.out = np.empty((1, %(size)d), np.float32)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.multiply(x, 2, out=self.out)

class Listed:
    def __init__(self):
        self.answer = {"rows": []}

    def __call__(self, x: np.ndarray):
        self.answer["rows"] = (2 * x).tolist()
        return self.answer

class Kept(Model):
    def __init__(self, name):
        super().__init__(name)
        self.answer = {}
        self.ready = True

    def predict(self, payload, headers=None):
        self.answer["predictions"] = [[2 * x for x in row] for row in payload["instances"]]
        return self.answer

class Mixed(Kept):
    async def postprocess(self, result, headers=None):
        return result

class Output(Model):
    def __init__(self, name):
        super().__init__(name)
        self.out = np.empty((1, %(size)d), np.float32)
        self.ready = True

    def predict(self, request, headers=None):
        np.multiply(request.inputs[0].as_numpy(), 2, out=self.out)
        return InferResponse(request.id, self.name, [InferOutput("y", [1, %(size)d], "FP32", self.out)])

def graph(name, step):
    dag = nx.DiGraph()
    dag.add_node("y", step=Step(run=step))
    return Pipeline(name, dag)

ModelServer().start([graph("buffer", Buffer), graph("listed", Listed), Kept("kept"), Mixed("mixed"), Output("output")])
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    files = {"model.py": SCRIPT % {"size": SIZE}}
    with serving(folder, files, graphs=["model.py"], command=(sys.executable,)) as found:
        yield found


def binary(client, model, number):
    row = np.full((1, SIZE), number, np.float32)
    entry = {"name": "x", "shape": [1, SIZE], "datatype": "FP32", "parameters": {"binary_data_size": row.nbytes}}
    head = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()
    length = {"inference-header-content-length": str(len(head))}
    reply = client.post(f"/v2/models/{model}/infer", content=head + row.tobytes(), headers=length)
    said = reply.content[int(reply.headers["inference-header-content-length"]) :]
    return reply.status_code == 200 and (np.frombuffer(said, np.float32) == 2 * number).all()


def as_json(client, model, number):
    reply = client.post(f"/v1/models/{model}:predict", json={"instances": [[number] * 4]})
    return list(reply.json().values()) == [[[2 * number] * 4]]


@pytest.mark.parametrize(
    ("ask", "model"),
    [(binary, "buffer"), (binary, "output"), (as_json, "listed"), (as_json, "kept"), (as_json, "mixed")],
)
def test_every_caller_has_its_own_reply(server, ask, model):
    def calls(caller):
        with server.client() as client:
            return [ask(client, model, 1000 * caller + call) for call in range(CALLS)]

    with ThreadPoolExecutor(CALLERS) as callers:
        assert all(all(own) for own in callers.map(calls, range(CALLERS)))

"""A transformer that counts on its predictor: ready while that is, and in its own words where it is not itself."""

from __future__ import annotations

import networkx as nx
import pytest
import trio

from pipeline.errors import ModelNotReady
from pipeline.observe import RemoteTurned
from pipeline_serve import Model, Pipeline, PredictorConfig, Step
from tests.raw import answer, answering, raw_server

NOT_READY = answer(b'{"error":"Model with name m is not ready."}', status="503 Service Unavailable")
READY = {
    "v1": answer(b'{"name":"m","ready":true}'),
    "v2": answer(b'{"name":"m","ready":true}'),
}
PATHS = {"v1": b"GET /v1/models/m ", "v2": b"GET /v2/models/m/ready "}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def transformer(url, protocol="v1", *, counts=True):
    model = Model("m")
    model.predictor = PredictorConfig(url, protocol, predictor_request_timeout_seconds=5, predictor_health_check=counts)
    dag = nx.DiGraph()
    dag.add_node("front", step=Step(run=model))
    return model, Pipeline("front", dag)


@pytest.mark.parametrize("protocol", ["v1", "v2"])
async def test_it_is_ready_once_its_predictor_is_and_says_so(protocol):
    seen, turned, happened = [], [], trio.Event()

    def observe(event):
        match event:
            case RemoteTurned():
                turned.append(event.reason)
                if event.reason is None:
                    happened.set()

    with raw_server(answering(NOT_READY, READY[protocol], seen=seen)) as server:
        model, pipeline = transformer(server.url, protocol)
        pipeline.observers.append(observe)
        async with pipeline:
            assert not pipeline.is_ready
            with pytest.raises(ModelNotReady, match='The server that step "front" calls is not ready'):
                pipeline.require_ready()
            with trio.fail_after(10):
                await happened.wait()
            assert pipeline.is_ready
            assert pipeline.loaded_once
            model.ready = False
            with pytest.raises(ModelNotReady, match=r"Model with name front is not ready\.$"):
                pipeline.require_ready()
    assert all(request.startswith(PATHS[protocol]) for request in seen)
    assert server.url in turned[0]
    assert turned[1:] == [None]


async def test_a_predictor_that_is_not_there_counts_only_where_the_settings_say_so():
    for counts in (True, False):
        _, pipeline = transformer("127.0.0.1:1", counts=counts)
        async with pipeline:
            assert pipeline.is_ready is not counts

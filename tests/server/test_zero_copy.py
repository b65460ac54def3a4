"""A tensor is not copied between the socket and its step, either way: what a step sees is what was received into."""

from __future__ import annotations

import json

import networkx as nx
import numpy as np
import pytest

from pipeline.engine.deadlines import Again, Deadlines
from pipeline.repository import Repository
from pipeline_serve import Pipeline, Step
from server.company import Company
from server.connected import Connected
from server.conversation import by_handle
from server.handle import Service
from server.http1 import Http1
from tests.server.memory import Memory, refusal


@pytest.mark.parametrize("megabytes", [1, 16])
async def test_the_step_sees_the_buffer_that_was_received_into_and_its_array_is_what_is_sent(nursery, megabytes):
    seen = []

    async def step(x: np.ndarray) -> np.ndarray:
        seen.append(x)
        return x

    dag = nx.DiGraph()
    dag.add_node("step", step=Step(run=step))
    tensor = np.arange(megabytes << 18, dtype=np.float32)
    entry = {"name": "x", "datatype": "FP32", "shape": tensor.shape, "parameters": {"binary_data_size": tensor.nbytes}}
    asked = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()
    sizes = b"inference-header-content-length: %d\r\ncontent-length: %d" % (len(asked), len(asked) + tensor.nbytes)
    head = b"POST /v2/models/m/infer HTTP/1.1\r\nhost: h\r\n%b\r\n\r\n" % sizes
    sent = head + asked + tensor.tobytes()
    memory, state = Memory(sent[:16384], sent[16384:70_000], sent[70_000:]), Connected()
    async with Pipeline("m", dag) as pipeline:
        service = Service(Repository([pipeline]), ready="all", name="n", version="9")
        with Again(Deadlines()) as timer:
            answer = by_handle(service)(None, "http", timer)
            http1 = Http1(memory, state, answer, refusal, lambda: "", service.max_body, Company())
            await http1.converse(may_upgrade=False)
    (array,) = seen
    assert np.array_equal(array, tensor)
    # One buffer, for all of it.
    assert memory.buffers
    assert all(np.shares_memory(array, np.frombuffer(buffer, np.uint8)) for buffer in memory.buffers)
    (parts,) = memory.out
    assert [np.shares_memory(array, np.frombuffer(part, np.uint8)) for part in parts].count(True) == 1
    assert sum(len(part) for part in parts) < tensor.nbytes + 1000
    assert b"".join(bytes(part) for part in parts).endswith(tensor.tobytes())

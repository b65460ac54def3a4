"""Binary tensors over a real socket: what is sent comes back, byte for byte, and what is short is a 400."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.serving import serving

FILES = {
    "app.py": "def echo(x): return x\n",
    "graph.yaml": "name: echo\nsteps:\n  echo: app.py:echo\n",
}
PATH = "/v2/models/echo/infer"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("binary"), FILES) as server:
        yield server


def ask(server, array, tail, datatype="FP32"):
    entry = {"name": "x", "shape": array.shape, "datatype": datatype, "parameters": {"binary_data_size": len(tail)}}
    head = json.dumps({"id": "7", "parameters": {"binary_data_output": True}, "inputs": [entry]}).encode()
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
    return head, headers


@pytest.mark.parametrize("shape", [(2, 3), (0, 4), (1024, 2048)])
def test_a_tensor_comes_back_in_binary_with_type_and_length_19(server, shape):
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    head, headers = ask(server, array, array.tobytes())
    reply = server.post(PATH, content=head + array.tobytes(), headers=headers)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/octet-stream"
    assert int(reply.headers["content-length"]) == len(reply.content)
    length = int(reply.headers["inference-header-content-length"])
    (output,) = json.loads(reply.content[:length])["outputs"]
    assert output["shape"] == list(shape)
    assert reply.content[length:] == array.tobytes()


def test_bytes_that_are_no_text_come_back_16(server):
    raw = b"\x02\0\0\0\xff\xfe"
    head, headers = ask(server, np.zeros(1), raw, "BYTES")
    reply = server.post(PATH, content=head + raw, headers=headers)
    length = int(reply.headers["inference-header-content-length"])
    assert reply.content[length:] == raw


def test_a_truncated_tensor_is_a_400_that_names_it_14(server):
    array = np.ones((2, 3), np.float32)
    head, headers = ask(server, array, array.tobytes())
    reply = server.post(PATH, content=head + array.tobytes()[:-1], headers=headers)
    assert reply.status_code == 400
    assert reply.json() == {"error": 'input "x" (FP32[2,3]): its binary_data_size is 24, and 23 bytes are left'}

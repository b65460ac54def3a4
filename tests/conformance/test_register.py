"""The rows of the register (kserve-contract.md, section 12) that are about the wire: a test each, named after its row.

Many stand where their subject is tested; here are those that need a model of their own, and the check that none is
missing.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.serving import Server, serving

# 4, 8 and 13 to 22 of the register: the wire. The others are the process's, the graph's, gRPC's and storage's.
ROWS = {4, 8, *range(13, 23)}

APP = """
import gc
import logging
from typing import Annotated

import numpy as np

log = logging.getLogger("of.the.user")


def score(rows: Annotated[np.ndarray, "FP32[n,2]"]) -> Annotated[np.ndarray, "FP32[n]"]:
    log.info("in a thread")
    return rows.sum(axis=1)


async def why(rows: np.ndarray, score: np.ndarray) -> np.ndarray:
    log.info("on the loop")
    return rows / score[:, None]


def backing(x: np.ndarray) -> dict:
    owner = x
    while isinstance(owner, np.ndarray) and owner.base is not None:
        owner = owner.base
    body = owner.obj if isinstance(owner, memoryview) else owner
    return {"owner": type(body).__name__, "size": len(body), "writeable": x.flags.writeable}


def same(x):
    return x


def bits(x):
    return np.concatenate([x.view(np.uint16)])


def raw(x) -> Annotated[np.ndarray, "BF16[n]"]:
    return x.view(np.uint16)
"""
FILES = {
    "app.py": APP,
    "explained.yaml": "schema: {inputs: {rows: 'FP32[n,2]'}}\noutput: {predict: score, explain: why}\n"
    # They write into the log, where only lines of requests are looked for.
    "steps:\n  score: {run: app.py:score, warmup: false}\n"
    "  why: {run: app.py:why, inputs: {rows: request.rows, score: score}, warmup: false}\n",
    "backing.yaml": "steps: {answer: app.py:backing}",
    "same.yaml": "steps: {answer: app.py:same}",
    "raw.yaml": "steps: {answer: app.py:raw}",
    "declared.yaml": "schema: {outputs: {y: 'BF16[n]'}}\nsteps: {answer: 'app.py:bits'}",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    graphs = [name for name in FILES if name.endswith(".yaml")]
    with serving(tmp_path_factory.mktemp("register"), FILES, graphs=graphs) as server:
        yield server


def test_every_row_of_the_wire_has_a_test_named_after_it():
    found: set[int] = set()
    for file in Path(__file__).parents[1].rglob("test_*.py"):
        names = [node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)]
        names += [node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.AsyncFunctionDef)]
        for name in names:
            if rows := re.search(r"(?:_\d+)+$", name):
                found.update(map(int, rows[0].strip("_").split("_")))
    assert found >= ROWS, ROWS - found


@pytest.mark.parametrize("path", ["/v1/models/explained:explain", "/v2/models/explained/explain"])
def test_explain_never_echoes_the_callers_headers_8(server, path):
    entry = {"name": "rows", "datatype": "FP32", "shape": [1, 2], "data": [1, 3]}
    body = {"inputs": [entry]} if "v2" in path else {"instances": [[1, 3]]}
    sent = {"authorization": "Bearer secret", "cookie": "secret=1", "x-tenant": "secret", "user-agent": "secret"}
    reply = server.post(path, json=body, headers=sent)
    assert reply.status_code == 200
    assert "secret" not in str(reply.headers) + reply.text
    assert set(reply.headers) == {"content-type", "content-length", "x-request-id", "date"}


def test_a_binary_tensor_is_a_view_of_the_body_15(server):
    array = np.arange(6, dtype=np.float64).reshape(2, 3)
    entry = {"name": "x", "shape": [2, 3], "datatype": "FP64", "parameters": {"binary_data_size": array.nbytes}}
    head = json.dumps({"inputs": [entry]}).encode()
    body = head + array.tobytes()
    reply = server.post(
        "/v2/models/backing/infer", content=body, headers={"inference-header-content-length": str(len(head))}
    ).json()
    told = json.loads(reply["outputs"][0]["data"][0])
    # What came with the head of the request, or what the rest was received into.
    assert told in ({"owner": owner, "size": len(body), "writeable": False} for owner in ("bytes", "ndarray"))


@pytest.mark.parametrize("model", ["same", "raw", "declared"])
def test_bf16_is_a_datatype_in_json_and_in_binary_17(server, model):
    raw = b"\x80\x3f\x00\xc0"  # 1.0 and -2.0, little-endian
    entry = {"name": "x", "shape": [2], "datatype": "BF16", "parameters": {"binary_data_size": 4}}
    head = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()
    sent = {"inference-header-content-length": str(len(head))}
    reply = server.post(f"/v2/models/{model}/infer", content=head + raw, headers=sent)
    length = int(reply.headers["inference-header-content-length"])
    assert reply.content[length:] == raw
    assert json.loads(reply.content[:length])["outputs"][0]["datatype"] == "BF16"
    entry = {"name": "x", "shape": [2], "datatype": "BF16", "data": [1, -2]}
    (output,) = server.post(f"/v2/models/{model}/infer", json={"inputs": [entry]}).json()["outputs"]
    assert (output["datatype"], output["data"]) == ("BF16", [1.0, -2.0])


def test_explain_works_in_both_protocols_22(server):
    reply = server.post("/v1/models/explained:explain", json={"instances": [[1, 3], [2, 2]]})
    assert (reply.status_code, reply.json()) == (200, {"explanations": [[0.25, 0.75], [0.5, 0.5]]})
    entry = {"name": "rows", "datatype": "FP32", "shape": [1, 2], "data": [1, 3]}
    for path in ("/v2/models/explained/explain", "/v2/models/explained/versions/1/explain"):
        (output,) = server.post(path, json={"inputs": [entry]}).json()["outputs"]
        assert (output["name"], output["data"]) == ("why", [0.25, 0.75])
    assert server.post("/v1/models/explained:predict", json={"instances": [[1, 3]]}).json() == {"predictions": [4.0]}


@pytest.mark.parametrize("form", ["text", "json"])
def test_every_line_that_a_request_writes_has_its_id_23(tmp_path, form):
    path = "/v1/models/explained:explain"
    with serving(tmp_path, FILES, "--log-format", form, graphs=["explained.yaml"]) as server:
        for request in ("r0", "r1"):
            server.post(path, json={"instances": [[1, 3]]}, headers={"x-request-id": request})
        server.wait_until("both have their line", lambda: server.stderr.count(f"POST {path}") == 2)
        lines = [line for line in server.stderr.splitlines() if "of.the.user" in line or f"POST {path}" in line]
    found = []
    for line in lines:
        told = json.loads(line) if form == "json" else {}
        message = told.get("message") or line.split(": ", 1)[1]
        found.append((told.get("request_id") or line.rpartition("[")[2].rstrip("]"), re.split(r" \[| 200", message)[0]))
    said = ["in a thread", "on the loop", f"POST {path}"]
    # The access lines come a moment later.
    assert sorted(found, key=lambda own: own[0]) == [(request, text) for request in ("r0", "r1") for text in said]

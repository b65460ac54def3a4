"""The ASGI app, by Quart's own client: everything goes to ``handle``, and a body is as large as ours allows."""

from __future__ import annotations

import networkx as nx
import pytest

from pipeline.repository import Repository
from pipeline.wire.codec import Reply
from pipeline_serve import Pipeline, Step
from server.app import make_app
from server.service import Service


def size(rows) -> int:
    return len(rows)


@pytest.fixture
async def client(nursery):
    dag = nx.DiGraph()
    dag.add_node("answer", step=Step(run=size))
    pages = {"/page": lambda headers: Reply(200, {"content-type": "text/plain"}, (b"two ", b"parts"))}
    async with Pipeline("m", dag) as pipeline:
        service = Service(Repository([pipeline]), ready="all", name="n", version="9", max_body=1000, pages=pages.get)
        yield make_app(service).test_client()


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        (
            "GET",
            "/v2",
            200,
            b'{"name":"n","version":"9","extensions":["binary_tensor_data","model_repository","explain"]}',
        ),
        ("GET", "/page", 200, b"two parts"),
        ("HEAD", "/page", 200, b""),
        ("POST", "/page", 405, b'{"error":"Method Not Allowed"}'),
        ("GET", "/page/", 200, b"two parts"),
        ("BREW", "/v2", 405, b'{"error":"Method Not Allowed"}'),
        ("OPTIONS", "/x", 404, b'{"error":"Not Found"}'),
        ("GET", "/static/app.py", 404, b'{"error":"Not Found"}'),
        ("GET", "/v2/models/m%C3%BC", 404, '{"error":"Model with name mü does not exist."}'.encode()),
    ],
)
async def test_every_method_and_path_is_answered_by_our_own_routes(client, method, path, status, body):
    reply = await client.open(path, method=method)
    assert (reply.status_code, await reply.get_data()) == (status, body)
    assert reply.headers["x-request-id"]


@pytest.mark.parametrize(("length", "status"), [(1000, 200), (1001, 413), (100_000, 413)])
async def test_a_body_may_be_as_large_as_max_body_and_not_a_byte_more(client, length, status):
    body = b'{"instances": [1]' + b" " * (length - 18) + b"}"
    assert len(body) == length
    reply = await client.post("/v1/models/m:predict", data=body)
    assert reply.status_code == status
    said = b'{"predictions":1}' if status == 200 else b'{"error":"the body is larger than 1000 bytes (--max-body)"}'
    assert await reply.get_data() == said

"""The document is true: it is valid, its examples are answered, and every reply is what it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import networkx as nx
import numpy as np  # noqa: TC002  # a step's annotations are evaluated
import openapi_spec_validator
import pytest
from jsonschema import Draft202012Validator

from pipeline.repository import Repository
from pipeline_serve import Pipeline, Step
from server.openapi import document
from tests.server.odd import FILES, GRAPHS
from tests.serving import Server, serving

if TYPE_CHECKING:
    import httpx


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("odd")
    with serving(folder, FILES, "--ready=any", graphs=list(GRAPHS)) as server:
        states = [f'model "{name}" version' for name in ("fails", "größe-1.0", "untyped")]
        for state in states:
            server.wait_for_log(state)
        yield server
        assert server.stop() == 0


@pytest.fixture(scope="module")
def api(server: Server):
    return server.get("/openapi.json").json()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def operations(api):
    """(path, method, operation) of everything in the document."""
    return [(path, method, own) for path, methods in api["paths"].items() for method, own in methods.items()]


def example_of(operation):
    return operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")


def conforms(api, operation, reply: httpx.Response) -> None:
    """The status is documented, and so are the media type, the headers and the body."""
    responses = operation["responses"]
    found = responses.get(str(reply.status_code)) or responses["default"]
    found = resolved(api, found)
    for name, given in found["headers"].items():
        header = resolved(api, given)
        assert name in reply.headers or not header.get("required"), name
        if name in reply.headers and header["schema"]["type"] == "string":
            Draft202012Validator(header["schema"]).validate(reply.headers[name])
    media = reply.headers["content-type"].partition(";")[0]
    schema = found["content"][media]["schema"]
    body = reply.json() if media == "application/json" else reply.text
    Draft202012Validator({**schema, "components": api["components"]}).validate(body)


def resolved(api, value):
    if "$ref" not in value:
        return value
    _, _, kind, name = value["$ref"].split("/")
    return api["components"][kind][name]


def test_it_is_a_valid_document_whose_operations_have_names_of_their_own(api):
    openapi_spec_validator.validate(api)
    names = [own["operationId"] for _, _, own in operations(api)]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)
    tags = {tag["name"] for tag in api["tags"]}
    assert {own["tags"][0] for _, _, own in operations(api)} == tags
    assert tags > {"server", "many", "größe-1.0", "untyped"}


def test_every_example_is_answered_and_is_what_its_own_schema_says(api, client):
    for path, method, operation in operations(api):
        example = example_of(operation)
        if example is None or operation["tags"] == ["fails"]:
            continue
        content = operation["requestBody"]["content"]["application/json"]
        Draft202012Validator(content["schema"]).validate(example)
        reply = client.request(method, path, json=example)
        if operation["tags"] == ["raw"] and reply.status_code == 400:  # its BYTES are no text, which is for binary
            assert "binary" in reply.json()["error"]
        else:
            assert reply.status_code == 200, (path, example, reply.text)
        conforms(api, operation, reply)


def test_every_model_that_can_be_shown_has_an_example_in_each_protocol(api):
    without = {own["tags"][0] for _, method, own in operations(api) if method == "post" and example_of(own) is None}
    assert without == {"image", "server"}


def test_every_get_is_answered_as_it_says(api, client):
    statuses = set()
    for path, method, operation in operations(api):
        if method == "get":
            reply = client.get(path)
            conforms(api, operation, reply)
            statuses.add(reply.status_code)
    assert statuses == {200, 503}  # the model that cannot be loaded


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b"{}", {"x-request-timeout": "soon"}, 400),
        (b"{}", {"content-encoding": "br"}, 415),
        (b" " * (65 << 20), {}, 413),
        (b'{"inputs": [[0, 0, 0]], "instances": []}', {"inference-header-content-length": "9999"}, 400),
        (b'{"inputs": {"x": [1, 2, 3, 4]}}', {}, 400),
    ],
)
def test_every_refusal_is_answered_as_it_says(api, client, content, headers, status):
    for path, method, operation in operations(api):
        if operation["tags"] == ["fixed"] and method == "post":
            reply = client.post(path, content=content, headers=headers)
            assert reply.status_code == status
            assert str(status) in operation["responses"]
            conforms(api, operation, reply)


def test_time_that_is_up_and_a_model_that_is_not_ready_are_answered_as_it_says(api, client):
    for path, method, operation in operations(api):
        if operation["tags"] in (["fixed"], ["fails"]) and method == "post":
            reply = client.post(path, json=example_of(operation), headers={"x-request-timeout": "0"})
            assert reply.status_code == (504 if operation["tags"] == ["fixed"] else 503)
            conforms(api, operation, reply)


def test_a_reply_in_binary_has_the_media_type_and_the_header_that_it_says(api, client):
    for path, method, operation in operations(api):
        if operation["tags"] == ["fixed"] and "application/octet-stream" in operation["responses"]["200"]["content"]:
            body = {**example_of(operation), "parameters": {"binary_data_output": True}}
            reply = client.request(method, path, json=body)
            assert reply.headers["content-type"] == "application/octet-stream"
            (name,) = operation["responses"]["200"]["headers"].keys() - {"x-request-id"}
            assert int(reply.headers[name]) < len(reply.content)
            break
    else:
        raise AssertionError("no operation speaks binary")


def test_explain_is_there_only_where_a_graph_answers_it(api):
    explains = [path for path in api["paths"] if path.endswith("explain")]
    assert explains == [
        "/v1/models/explained:explain", "/v2/models/explained/explain", "/v2/models/explained/versions/1/explain",
    ]  # fmt: skip


def test_paths_escape_what_a_url_cannot_hold(api):
    assert any(path.endswith("/gr%C3%B6%C3%9Fe-1.0") for path in api["paths"])


def test_what_the_page_shows_of_a_model_is_in_its_tag(api):
    shown = {tag["name"]: tag["x-versions"] for tag in api["tags"] if "x-versions" in tag}
    (fails,) = shown["fails"]
    assert (fails["state"], fails["reason"]) == ("failed", "RuntimeError: the weights are missing")
    (scaled,) = shown["scaled"]
    assert scaled["inputs"] == [
        {"name": "x", "datatype": "FP32", "dims": ["n"], "optional": False},
        {"name": "scale", "datatype": "FP32", "dims": [], "optional": True},
    ]
    assert [own["version"] for own in shown["untyped"]] == ["old.er", "1"]


# ---- in process


def made(name="m", *, schema=None, version="1"):
    dag = nx.DiGraph()
    dag.add_node("answer", step=Step(run=lambda rows: rows))
    return Pipeline(name, dag, version=version, **({"schema": schema} if schema else {}))


SCHEMA = {"inputs": {"rows": "FP64[n,2]"}, "outputs": {"rows": "FP64[n,2]"}}


def examples(*bodies, schema=SCHEMA):
    """Protocol's word → example, for a model beside which these bodies lie."""
    api = document(Repository([made(schema=schema)]), title="t", version="9", examples={("m", "1"): list(bodies)})
    found = {path: example_of(own) for path, method, own in operations(api) if method == "post"}
    return found["/v1/models/m:predict"], found["/v2/models/m/infer"]


ROWS = {"instances": [[1.5, 2.0]], "signature_name": "s"}
TENSORS = {"id": "mine", "inputs": [{"name": "rows", "datatype": "FP64", "shape": [1, 2], "data": [[3.5, 4]]}]}
FLAT = {"name": "rows", "shape": [1, 2], "datatype": "FP64"}


@pytest.mark.parametrize(
    ("bodies", "rows", "tensors"),
    [
        ([], {"instances": [[0.0, 0.0]]}, {"inputs": [{**FLAT, "data": [0.0, 0.0]}]}),
        ([ROWS], ROWS, {"inputs": [{**FLAT, "data": [1.5, 2.0]}]}),
        ([TENSORS], {"instances": [[3.5, 4.0]]}, TENSORS),
        ([ROWS, TENSORS], ROWS, TENSORS),
        ([{"instances": [[1]]}, b"{", [], {"instances": [["a", "b"]]}], {"instances": [[0.0, 0.0]]}, None),
        ([{"instances": [{"other": [1, 2]}]}], {"instances": [[0.0, 0.0]]}, None),
    ],
)
def test_the_authors_own_request_is_the_example_where_it_fits_in_the_other_protocol_too(bodies, rows, tensors):
    written = [own if isinstance(own, bytes) else json.dumps(own).encode() for own in bodies]
    found = examples(*written)
    assert found[0] == rows
    assert found[1] == (tensors or {"inputs": [{**FLAT, "data": [0.0, 0.0]}]})


def test_outputs_of_which_some_are_unknown_are_not_told_as_all():
    def known(x) -> Annotated[np.ndarray, "FP32[n]"]:
        return x

    def unknown(x):
        return x

    dag = nx.DiGraph()
    dag.add_node("known", step=Step(run=known))
    dag.add_node("unknown", step=Step(run=unknown))
    both = document(Repository([Pipeline("m", dag, output=["known", "unknown"])]), title="t", version="9", examples={})
    one = document(Repository([Pipeline("m", dag, output={"predict": "known", "explain": "unknown"})]), title="t",
                   version="9", examples={})  # fmt: skip
    schemas = [
        api["paths"]["/v1/models/m:predict"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        for api in (both, one)
    ]
    assert schemas[0] == {}
    assert schemas[1] != {}


async def test_the_document_follows_the_models_as_they_load_and_close():
    pipeline = made()
    repository = Repository([pipeline])

    def state():
        api = document(repository, title="t", version="9", examples={})
        openapi_spec_validator.validate(json.loads(json.dumps(api)))
        return next(tag["x-versions"][0]["state"] for tag in api["tags"] if tag["name"] == "m")

    assert state() == "new"
    async with pipeline:
        assert state() == "ready"
    assert state() == "closed"


def test_names_that_differ_in_what_an_identifier_cannot_hold_stay_apart():
    models = [made(name) for name in ("a-b", "a.b", "a_b")]
    api = document(Repository(models), title="t", version="9", examples={})
    names = [own["operationId"] for _, _, own in operations(api)]
    assert len(set(names)) == len(names)

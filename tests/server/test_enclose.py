"""Replies to events, through THE function: in both modes and protocols, with what is new in each pinned."""

from __future__ import annotations

import datetime
import json
import uuid

import pytest

from pipeline.errors import InvalidInput
from pipeline.repository import Repository
from pipeline.wire.cloudevents import Sender, Stamp
from pipeline_serve import Context, Step
from server.enclose import enclose_by, now
from server.handle import handle
from server.service import Service
from tests.engine.graphs import pipeline

CE = {"ce-specversion": "1.0", "ce-id": "a", "ce-source": "/here", "ce-type": "t"}
EVENT = {name.removeprefix("ce-"): text for name, text in CE.items()}
V1 = {"instances": [1, 2]}
V2 = {"inputs": [{"name": "x", "datatype": "INT64", "shape": [2], "data": [1, 2]}]}
PATHS = {"v1": "/v1/models/test:predict", "v2": "/v2/models/test/infer"}
STRUCTURED = {"content-type": "application/cloudevents+json"}


def test_each_stamp_is_new_and_its_time_is_one():
    one, two = now(), now()
    assert uuid.UUID(one.id) != uuid.UUID(two.id)
    assert datetime.datetime.fromisoformat(one.time).utcoffset() == datetime.timedelta(0)


async def told(x, context: Context):
    if context.headers["ce-id"] == "bad":
        raise InvalidInput("no")
    context.answer.headers["x-of"] = context.headers["ce-id"]
    return x


async def ask(path, body, headers):
    async def read_body():
        return json.dumps(body).encode()

    async with pipeline({"s": Step(run=told)}) as built:
        enclose = enclose_by(Sender(), lambda: Stamp("new", "then"))
        service = Service(Repository([built]), ready="all", name="n", version="9", enclose=enclose)
        reply = await handle(service, "POST", path, headers, read_body)
    return reply.status, json.loads(b"".join(reply.body)), reply.headers


@pytest.mark.parametrize(("protocol", "body"), [("v1", V1), ("v2", V2)])
async def test_a_binary_event_is_answered_by_one(protocol, body):
    status, answer, headers = await ask(PATHS[protocol], body, {**CE, "content-type": "application/json"})
    assert (status, headers["content-type"], headers["x-of"]) == (200, "application/json", "a")
    assert answer.keys() >= {"predictions" if protocol == "v1" else "outputs"}
    assert {name: text for name, text in headers.items() if name.startswith("ce-")} == {
        "ce-specversion": "1.0", "ce-id": "new", "ce-source": "io.kserve.inference.test",
        "ce-type": "io.kserve.inference.response", "ce-time": "then",
    }  # fmt: skip


@pytest.mark.parametrize(("protocol", "body"), [("v1", V1), ("v2", V2)])
async def test_a_structured_event_is_answered_by_one(protocol, body):
    status, answer, headers = await ask(PATHS[protocol], {**EVENT, "data": body}, STRUCTURED)
    assert (status, headers["content-type"], headers["x-of"]) == (200, STRUCTURED["content-type"], "a")
    assert (answer["id"], answer["source"]) == ("new", "io.kserve.inference.test")
    assert answer["data"].keys() >= {"predictions" if protocol == "v1" else "outputs"}


async def test_an_error_is_no_event():
    for sent, body in ((STRUCTURED, {**EVENT, "id": "bad", "data": V1}), ({**CE, "ce-id": "bad"}, V1)):
        status, answer, headers = await ask(PATHS["v1"], body, sent)
        assert (status, answer, headers["content-type"]) == (400, {"error": "no"}, "application/json")
        assert not any(name.startswith("ce-") for name in headers)


async def test_an_event_that_is_not_said_to_be_one_is_answered_by_none():
    body = {**EVENT, "time": "t", "data": V1}
    status, answer, _ = await ask(PATHS["v1"], body, {"content-type": "application/json", "ce-id": "a"})
    assert (status, answer) == (200, {"predictions": [1, 2]})


async def test_several_in_one_are_415():
    status, _, headers = await ask(PATHS["v1"], [EVENT], {"content-type": "application/cloudevents-batch+json"})
    assert (status, headers["accept"]) == (415, "application/json, application/cloudevents+json")

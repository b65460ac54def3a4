"""THE function, in process and in virtual time: what it asks of the body, when, and what becomes of a failure."""

from __future__ import annotations

import gzip
import json
import logging
import threading
import zlib

import networkx as nx
import numpy as np
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from pipeline.errors import Code, InferError
from pipeline.observe import ModelLoaded
from pipeline.pipeline import State
from pipeline.repository import Repository
from pipeline.wire.codec import Reply
from pipeline.wire.numbers import with_orjson
from pipeline_serve import Context, Model, Pipeline, Step
from server.access import Answered
from server.graphs import graphs
from server.handle import handle, refuse
from server.log import _with_request, answered
from server.metrics import Metrics
from server.service import Service

ROWS = b'{"instances": [1, 2]}'
PREDICT = "/v1/models/m:predict"


async def rest(rows: list) -> list:
    await trio.sleep(3)
    return rows


async def at_once(rows: list) -> list:
    return rows


async def broken(rows: list) -> list:
    raise KeyError("the secret")


def service(function, **top) -> tuple[Pipeline, Service]:
    dag = nx.DiGraph()
    dag.add_node("answer", step=Step(run=function))
    pipeline = Pipeline("m", dag, **top)
    return pipeline, Service(Repository([pipeline]), ready="all", name="n", version="9")


async def whose(rows: list, context: Context) -> list:
    return [context.headers.get("x-request-id")]


class Body:
    """A request's body that arrives ``after`` seconds, and whether it was asked for."""

    def __init__(self, data: bytes = ROWS, after: float = 0) -> None:
        self._data = data
        self._after = after
        self.asked = False

    async def __call__(self) -> bytes:
        self.asked = True
        await trio.sleep(self._after)
        return self._data


async def ask(own: Service, body: Body, path: str = PREDICT, method: str = "POST", **headers: str):
    reply = await handle(own, method, path, {key.replace("_", "-"): text for key, text in headers.items()}, body)
    return reply.status, json.loads(b"".join(reply.body)), reply.headers


@pytest.mark.parametrize(
    ("path", "method", "headers", "status"),
    [
        ("/nope", "POST", {}, 404),
        (PREDICT, "PUT", {}, 405),
        ("/v1/models/nope:predict", "POST", {}, 404),
        ("/v2/models/m/versions/2/infer", "POST", {}, 404),
        ("/v1/models/m:explain", "POST", {}, 501),
        (PREDICT, "POST", {"x_request_timeout": "soon"}, 400),
        ("/v2/health/live", "GET", {}, 200),
        ("/v2/models/m", "GET", {}, 200),
    ],
)
async def test_what_the_head_decides_never_asks_for_the_body(path, method, headers, status):
    pipeline, own = service(at_once)
    async with pipeline:
        body = Body()
        assert (await ask(own, body, path, method, **headers))[0] == status
        assert not body.asked


async def test_a_large_body_is_read_beside_the_loop_by_what_the_server_was_given():
    loop, threads = threading.get_ident(), []

    def read(pieces, dtype):
        threads.append(threading.get_ident())
        return with_orjson(pieces, dtype)

    async def twice(rows: np.ndarray) -> np.ndarray:
        return rows * 2

    dag = nx.DiGraph()
    dag.add_node("answer", step=Step(run=twice))
    pipeline = Pipeline("m", dag)
    own = Service(Repository([pipeline]), ready="all", name="n", version="9", numbers=read)
    async with pipeline:
        small, large = list(range(10)), list(range(100_000))
        for rows in (small, large):
            status, body, _ = await ask(own, Body(json.dumps({"instances": rows}).encode()))
            assert (status, body) == (200, {"predictions": [row * 2 for row in rows]})
    assert len(threads) == 1
    assert threads[0] != loop


async def test_where_all_of_trios_threads_are_taken_a_model_is_opened_and_large_bodies_are_read_and_coded():
    class Pulse(Model):
        def load(self):
            self.ready = True

        def healthy(self):
            return True

        def predict(self, payload):
            return {"predictions": payload["instances"]}

    taken = trio.to_thread.current_default_thread_limiter()
    for _ in range(int(taken.total_tokens)):
        taken.acquire_on_behalf_of_nowait(object())
    pipeline, own = service(Pulse)
    own.find_page = graphs(own.repository)
    rows = json.dumps({"instances": [1] * 2**18}).encode()
    async with pipeline:
        reply = await handle(own, "POST", PREDICT, {"accept-encoding": "gzip"}, Body(rows))
        assert (reply.status, reply.headers["content-encoding"]) == (200, "gzip")
        assert (await handle(own, "GET", "/graph/m", {}, Body(b""))).status == 200


async def test_a_model_that_is_not_open_and_a_full_one_refuse_before_the_body(autojump_clock):
    pipeline, own = service(rest, limit=1, queue=0)
    body = Body()
    assert (await ask(own, body))[:2] == (503, {"error": "Model with name m is not ready."})
    async with pipeline, trio.open_nursery() as nursery:
        nursery.start_soon(ask, own, Body())
        await trio.testing.wait_all_tasks_blocked()
        status, _, headers = await ask(own, body)
        assert (status, headers["retry-after"]) == (503, "1")
    assert not body.asked


@pytest.mark.parametrize(
    ("body", "headers", "status", "at"),
    [
        (Body(after=2), {}, 200, 5.0),
        (Body(after=8), {}, 504, 10.0),  # the file's deadline counts from the head, not from the body's end
        (Body(), {"x_request_timeout": "1"}, 504, 1.0),
        (Body(), {"x_request_timeout": "99"}, 200, 3.0),
        (Body(after=1e9), {}, 504, 10.0),
        (Body(after=1e9), {"x_request_timeout": "0"}, 504, 0.0),
    ],
)
async def test_the_deadline_covers_the_body_and_the_steps(autojump_clock, body, headers, status, at):
    pipeline, own = service(rest, deadline="10s")
    async with pipeline:
        start = trio.current_time()
        assert (await ask(own, body, **headers))[0] == status
        assert trio.current_time() - start == pytest.approx(at)
        assert pipeline.admission.taken == 0


async def test_a_request_that_is_cancelled_gives_its_place_back_and_has_its_line(autojump_clock):
    pipeline, own = service(rest, limit=1)
    told: list[Answered] = []
    own.on_answer.append(told.append)
    async with pipeline:
        with trio.move_on_after(1):
            await ask(own, Body())
        assert pipeline.admission.taken == 0
        assert (await ask(own, Body()))[0] == 200
        lines = [(own.method, own.path, own.status, own.size) for own in told]
        assert lines == [("POST", PREDICT, 499, 0), ("POST", PREDICT, 200, 21)]


async def test_a_failure_that_is_not_for_the_caller_is_in_the_log_beside_the_id_the_caller_has(caplog):
    pipeline, own = service(broken)
    async with pipeline:
        with caplog.at_level(logging.ERROR, "pipeline_serve"):
            status, body, headers = await ask(own, Body(), x_request_id="r-1")
    assert (status, headers["x-request-id"]) == (500, "r-1")
    assert "r-1" in body["error"]
    assert "secret" not in body["error"]
    (record,) = (own for own in caplog.records if own.name == "pipeline_serve")
    assert (record.request_id, record.exc_info[0]) == ("r-1", KeyError)


async def test_readiness_ends_when_draining_begins_and_liveness_does_not():
    pipeline, own = service(at_once)
    assert (await ask(own, Body(), "/v2/health/ready", "GET"))[0] == 503
    async with pipeline:
        assert (await ask(own, Body(), "/v2/health/ready", "GET"))[0] == 200
        own.draining = True
        status, body, _ = await ask(own, Body(), "/v2/health/ready", "GET")
        assert (status, body) == (503, {"error": "Server is not ready. It is draining."})
        assert (await ask(own, Body(), "/v2/health/live", "GET"))[0] == 200
        assert (await ask(own, Body()))[0] == 200


@pytest.mark.parametrize("sent", ["r-1", None, "two words"])
async def test_a_step_sees_the_id_that_the_log_and_the_reply_have(autojump_clock, sent):
    pipeline, own = service(whose)
    async with pipeline:
        reply = await handle(own, "POST", PREDICT, {"x-request-id": sent} if sent else {}, Body())
    assert json.loads(b"".join(reply.body)) == {"predictions": [reply.headers["x-request-id"]]}
    assert (reply.headers["x-request-id"] == sent) == (sent == "r-1")


@pytest.mark.parametrize("sent", [{"x-request-id": "r-1"}, {}], ids=["with an id", "without"])
async def test_what_a_step_writes_into_the_headers_is_in_no_other_request(autojump_clock, sent):
    async def writes(rows, context: Context):
        assert "x-mine" not in context.headers
        context.headers["x-mine"] = "yes"
        return rows

    pipeline, own = service(writes)
    async with pipeline:
        for _ in range(2):
            assert (await handle(own, "POST", PREDICT, sent, Body())).status == 200


class Wordless(Exception):
    status_code = 418

    def __str__(self):
        raise ValueError("no words")


class WordlessNotBuilt(NotImplementedError):
    def __str__(self):
        raise ValueError("no words")


class BadProperty(Exception):
    @property
    def status_code(self):
        raise ValueError("no status")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Wordless(), 418),
        (WordlessNotBuilt(), 501),
        (BadProperty(), 500),
        (InferError(Code.INVALID_ARGUMENT, "w", status=np.int64(422)), 422),
        (InferError(Code.INVALID_ARGUMENT, "w", status=422.0), 400),
        (InferError(Code.INVALID_ARGUMENT, "w", status=np.array([1, 2])), 400),
        (InferError(Code.INVALID_ARGUMENT, "w", headers={"x-a": "b\r\nx-evil: 1"}), 400),
        (InferError(Code.INVALID_ARGUMENT, "w", headers=5), 400),
        (InferError(Code.INVALID_ARGUMENT, Wordless()), 400),
        (KeyboardInterrupt(), 500),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
@pytest.mark.parametrize("blocking", [True, False])
async def test_whatever_an_author_raises_is_a_reply_with_an_error_and_an_id(error, status, blocking):
    def fails(x):
        raise error

    async def fails_async(x):
        raise error

    pipeline, own = service(fails if blocking else fails_async)
    own.owns_interrupts = True
    async with pipeline:
        got, body, headers = await ask(own, Body())
    assert got == status
    assert set(body) == {"error"}
    assert headers["x-request-id"]
    assert "x-evil" not in str(headers)


class Full(Exception):
    """As Starlette's HTTPException, which KServe's models raise."""

    def __init__(self, headers):
        self.status_code, self.detail, self.headers = 429, "slow down", headers


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"Retry-After": "7", "x-why": "busy"}, {"retry-after": "7", "x-why": "busy"}),
        ({"Content-Type": "text/html", "content-length": "1", "Connection": "close", "date": "now"}, {}),
        ({"transfer-encoding": "chunked", "server": "x", "x-request-id": "mine"}, {}),
        ({"x-a": 5, 7: "x", "x-b": "b\r\nx-evil: 1", "x-c": "c"}, {"x-c": "c"}),
        (["retry-after"], {}),
        (None, {}),
    ],
)
async def test_the_headers_of_an_authors_http_error_travel_but_for_those_of_the_body_and_the_connection(given, kept):
    async def full(x):
        raise Full(given)

    pipeline, own = service(full)
    async with pipeline:
        status, body, headers = await ask(own, Body())
    assert (status, body) == (429, {"error": "slow down"})
    assert headers.pop("content-type") == "application/json"
    assert headers.pop("x-request-id") != "mine"
    assert headers == kept


@pytest.mark.parametrize(
    ("encoding", "status", "says"),
    [
        ("identity", 200, ""),
        ("", 200, ""),
        ("br", 415, 'no content-encoding "br"; there are gzip and deflate'),
        ("gzip", 400, "the body is no gzip: Error -3 while decompressing data: incorrect header check"),
    ],
)
async def test_a_body_of_an_encoding_that_is_not_there_is_refused_by_name_20(encoding, status, says):
    pipeline, own = service(at_once)
    async with pipeline:
        got, body, _ = await ask(own, Body(), content_encoding=encoding)
    assert (got, body.get("error", "")) == (status, says)


async def test_a_compressed_body_is_read_within_the_limit_20():
    pipeline, own = service(at_once)
    async with pipeline:
        assert (await ask(own, Body(gzip.compress(ROWS)), content_encoding="gzip"))[0] == 200
        own.max_body = 10
        assert (await ask(own, Body(gzip.compress(ROWS)), content_encoding="gzip"))[0] == 413


LARGE = b'{"instances": [' + b"1," * 600_000 + b"1]}"


@pytest.mark.parametrize(
    ("body", "headers", "threads"),
    [
        (ROWS, {}, 0),
        (LARGE, {}, 2),
        (gzip.compress(ROWS), {"content-encoding": "gzip"}, 1),
        (ROWS, {"content-type": "application/json; charset=iso-8859-1"}, 1),
        (ROWS, {"content-type": "application/json; charset=utf-8"}, 0),
        (LARGE, {"accept-encoding": "gzip"}, 3),
        (b'{"instances": [' + b"1," * 2_000 + b"1]}", {"accept-encoding": "gzip"}, 0),
    ],
    ids=["short", "large", "gzip", "latin-1", "utf-8", "large to gzip", "short to gzip"],
)
async def test_what_takes_long_is_done_beside_the_loop(monkeypatch, body, headers, threads):
    pipeline, own = service(at_once)
    trips = []
    run_sync = trio.to_thread.run_sync

    async def counted(*arguments, **how):
        trips.append(how)
        return await run_sync(*arguments, **how)

    async with pipeline:
        monkeypatch.setattr(trio.to_thread, "run_sync", counted)
        reply = await handle(own, "POST", PREDICT, headers, Body(body))
    assert reply.status == 200
    assert [how["abandon_on_cancel"] for how in trips] == [True] * threads


async def test_a_request_id_ends_with_its_request():
    pipeline, own = service(at_once)
    seen = logging.LogRecord("user", logging.INFO, "", 0, "", (), None)
    async with pipeline:
        await handle(own, "POST", PREDICT, {"x-request-id": "r1"}, Body())
        assert _with_request(seen)
    assert seen.request_id == ""


async def test_ctrl_c_is_a_steps_own_only_where_it_is_heard_elsewhere():
    def interrupted(x):
        raise KeyboardInterrupt

    _, own = service(at_once)
    own.find_page = {"/page": interrupted}.get
    with pytest.raises(KeyboardInterrupt):
        await handle(own, "GET", "/page", {}, Body())
    own.owns_interrupts = True
    assert (await handle(own, "GET", "/page", {}, Body())).status == 500


async def test_the_line_of_a_head_counts_no_body():
    _, own = service(at_once)
    told: list[Answered] = []
    own.on_answer.append(told.append)
    for method in ("GET", "HEAD"):
        await handle(own, method, "/v2/health/live", {}, Body())
    assert [line.size for line in told] == [13, 0]


def test_what_is_no_call_has_its_count_its_line_and_an_id_too(caplog):
    _, own = service(at_once)
    told: list[Answered] = []
    metrics = Metrics()
    own.on_answer += [told.append, metrics.answered]
    refused = InferError(Code.INVALID_ARGUMENT, "no", status=431)
    replies = [refuse(own, refused, "GET", "/a\nb"), refuse(own, refused, "HEAD", "-")]
    assert [(line.id, line.status, line.size, line.received) for line in told] == [
        (replies[0].headers["x-request-id"], 431, len(b"".join(replies[0].body)), 0),
        (replies[1].headers["x-request-id"], 431, 0, 0),
    ]
    assert told[0].id != told[1].id
    assert b'\nhttp_requests_total{status="431"} 2.0\n' in b"".join(metrics.page({}).body)
    with caplog.at_level(logging.INFO, "pipeline_serve.access"):
        answered(told[0])
    assert caplog.messages == [f"GET /a\\nb 431 0.0 ms {told[0].size} B"]


async def test_a_large_body_leaves_the_loop_to_others():
    pipeline, own = service(at_once)
    large = LARGE
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await trio.lowlevel.checkpoint()
            beats += 1

    async with pipeline, trio.open_nursery() as nursery:
        nursery.start_soon(beat)
        got, body, _ = await ask(own, Body(large))
        nursery.cancel_scope.cancel()
    assert (got, len(body["predictions"])) == (200, 600_001)
    # On the loop it would be none; a thread that decodes JSON holds Python's lock, and gives few turns.
    assert beats > 0


@pytest.mark.parametrize("rows", [1_000, 100_000])  # on the loop, and in a thread
async def test_a_reply_is_coded_as_its_caller_accepts_where_that_is_worth_it_20(rows):
    pipeline, own = service(at_once)
    large = b'{"instances": [' + b"1," * rows + b"1]}"
    async with pipeline:
        reply = await handle(own, "POST", PREDICT, {"accept-encoding": "br, gzip"}, Body(large))
        assert (reply.headers["content-encoding"], reply.headers["vary"]) == ("gzip", "accept-encoding")
        assert len(json.loads(gzip.decompress(b"".join(reply.body)))["predictions"]) == rows + 1
        small = await handle(own, "POST", PREDICT, {"accept-encoding": "gzip"}, Body())
        assert "content-encoding" not in small.headers
        plain = await handle(own, "POST", PREDICT, {}, Body(large))
        assert "content-encoding" not in plain.headers


async def test_a_page_is_coded_like_any_reply():
    _, own = service(at_once)
    own.find_page = {"/page": lambda headers: Reply(200, {"content-type": "text/plain"}, (b"page " * 1000,))}.get
    reply = await handle(own, "GET", "/page", {"accept-encoding": "deflate"}, Body())
    assert zlib.decompress(b"".join(reply.body)) == b"page " * 1000


async def test_a_server_that_stops_loads_nothing_more_and_may_be_rid_of_a_model(nursery):
    pipeline, own = service(at_once)
    loaded = trio.Event()
    pipeline.observers.append(lambda event: loaded.set() if isinstance(event, ModelLoaded) else None)
    await nursery.start(own.repository.serve)
    await loaded.wait()
    load, unload = (f"/v2/repository/models/m/{what}" for what in ("load", "unload"))
    assert (await ask(own, Body(b""), load))[:2] == (200, {"name": "m", "load": True})
    own.draining = True
    assert (await ask(own, Body(b""), load))[:2] == (503, {"error": "Server is not ready. It is draining."})
    assert (await ask(own, Body(b""), unload))[:2] == (200, {"name": "m", "unload": True})
    assert pipeline.state is State.CLOSED


async def test_the_caller_s_time_covers_what_a_model_is_asked_of_its_health(autojump_clock):
    class Hangs(Model):
        async def healthy(self):
            await trio.sleep_forever()

        async def predict(self, payload):
            return payload

    pipeline, own = service(Hangs("m"))
    async with pipeline:
        for path, method in ((PREDICT, "POST"), ("/v1/models/m", "GET"), ("/v2/models/m/ready", "GET")):
            for headers, status, seconds in ({"x_request_timeout": "50ms"}, 504, 0.05), ({}, 503, 2):
                body, start = Body(), trio.current_time()
                assert (await ask(own, body, path, method, **headers))[0] == status
                assert (trio.current_time() - start, body.asked) == (pytest.approx(seconds), False)


async def test_a_change_of_what_is_served_is_waited_for_as_long_as_its_caller_says(nursery, autojump_clock):
    pipeline, own = service(rest)
    await nursery.start(own.repository.serve)
    await wait_all_tasks_blocked()
    nursery.start_soon(ask, own, Body())
    await wait_all_tasks_blocked()
    status, said, _ = await ask(own, Body(b""), "/v2/repository/models/m/unload", x_request_timeout="1s")
    assert (status, said) == (504, {"error": "this takes longer than 1 s, and goes on; the index has its end"})
    assert (await ask(own, Body()))[0] == 404
    assert (await ask(own, Body(b"{}"), "/v2/repository/index"))[1] == [
        {"name": "m", "version": "1", "state": "UNLOADING", "reason": "its last requests are inside"}
    ]
    await trio.sleep(3)
    assert pipeline.state is State.CLOSED

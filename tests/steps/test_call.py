"""``call``: what travels to the other server and what comes back, over real sockets and real server processes."""

from __future__ import annotations

import json
import queue
import subprocess
from functools import partial

import numpy as np
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from pipeline.errors import Code, InferError, InvalidInput, WrongAnswer
from pipeline.graph.source import GraphFaults
from pipeline.observe import RemoteTurned
from pipeline.tensors.signature import Signature
from pipeline_serve import Pipeline
from tests.raw import answer, answering, open_files, raw_server, read_request, wait_for_files
from tests.serving import serving
from tests.tls import over_tls, self_signed

APP = """
def same(x): return x
def double(x): return x * 2
def pair(a, b): return {"sum": a + b, "difference": a - b}
def ragged(x): return {"free": [[1], [2, 3]]}
def body(body: dict): return {"instances": [[2 * n for n in row] for row in body["instances"]], "signature_name": "s"}
def seen(body: dict): return {"seen": body}
async def ask(x, f): return await f(x)
def same_array(x: np.ndarray): return x
def typed_array(x: Annotated[np.ndarray, "FP64[n]"]): return x
def infinite(x): return x + float('inf')
async def who(x, context: "Context"):
    return {"id": context.id, "headers": dict(context.headers), "left": context.remaining()}
""".replace('"Context"', "Context")
APP = "from typing import Annotated\nimport numpy as np\nfrom pipeline_serve import Context\n" + APP
REMOTE = {
    "app.py": APP,
    "double.yaml": "schema: {inputs: {x: 'FP32[n]'}, outputs: {double: 'FP32[n]'}}\nsteps: {double: app.py:double}\n",
    "pair.yaml": "steps: {pair: app.py:pair}\n",
    "ragged.yaml": "steps: {ragged: app.py:ragged}\n",
    "seen.yaml": "steps: {seen: app.py:seen}\n",
    "why.yaml": "steps: {double: app.py:double, why: {run: app.py:double, inputs: [double]}}\n"
    "output: {predict: double, explain: why}\n",
}
LOCAL = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
V2_ANSWER = answer(
    b'{"model_name":"m","outputs":[{"name":"y","shape":[1],"datatype":"FP32","data":[1.5]}]}',
    head="content-type: application/json\r\n",
)
V1_ANSWER = answer(b'{"predictions":[[1,2],[3,4]]}')


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    """A call goes by the proxies of the environment, and what is called here is on this machine."""
    for name, text in LOCAL.items():
        monkeypatch.setenv(name, text)


@pytest.fixture(scope="module")
def remote(tmp_path_factory):
    folder = tmp_path_factory.mktemp("remote")
    graphs = [name for name in REMOTE if name.endswith(".yaml")]
    with serving(folder, REMOTE, graphs=graphs) as server:
        yield server


@pytest.fixture
def graph(write):
    """``graph("predict: {call: …}")`` is the pipeline of these steps."""
    folder = write("app.py", APP)

    def graph(steps, top="", storage=None):
        text = f"name: front\n{top}\nsteps:\n" + "".join(f"  {line}\n" for line in steps.splitlines())
        write("graph.yaml", text)
        return Pipeline.from_file(folder / "graph.yaml")

    return graph


def infer(pipeline, inputs, **how):
    async def ask():
        async with pipeline:
            return await pipeline.infer(inputs, **how)

    return trio.run(ask)


def failure(pipeline, inputs, **how):
    async def ask():
        async with pipeline:
            with pytest.raises(InferError) as caught:
                await pipeline.infer(inputs, **how)
        return caught.value

    return trio.run(ask)


def sent_to(behave_with, pipeline_of, inputs, **how):
    """(path, headers, body) of the one request that the call makes of a server that answers so."""
    seen = []
    with raw_server(answering(behave_with, seen=seen)) as server:
        infer(pipeline_of(server.url), inputs, **how)
    head, _, body = seen[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return first, {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}, body


# ---- what travels, and comes back


def test_a_v2_remote_gets_tensors_in_binary_and_its_outputs_keep_their_names(graph, remote):
    response = infer(
        graph(f"predict: {{call: {remote.url}/v2/models/double/infer}}"), {"x": np.array([1, 2], np.float32)}
    )
    assert response["double"].tolist() == [2, 4]
    assert response["double"].dtype == np.float32


@pytest.mark.parametrize(("params", "is_binary"), [("", True), (", params: {binary: false}", False)])
def test_binary_is_what_a_v2_remote_gets_unless_told_otherwise(graph, params, is_binary):
    def front(url):
        return graph(f"predict: {{call: {url}/v2/models/m/infer{params}}}")

    first, headers, body = sent_to(V2_ANSWER, front, {"x": np.array([1.5], np.float32)})
    assert first == "POST /v2/models/m/infer HTTP/1.1"
    assert ("inference-header-content-length" in headers) == is_binary
    assert body.endswith(np.float32(1.5).tobytes()) == is_binary
    assert b"outputs" not in body


@pytest.mark.parametrize(
    "path",
    ["/v2/models/m/versions/3/infer", "/v2/models/m/explain", "/gate/way/v2/models/m/infer", "/v2/models/a%20b/infer/"],
)
def test_versions_explanations_and_a_gateways_prefix_are_in_the_path(graph, path):
    first, _, _ = sent_to(V2_ANSWER, lambda url: graph(f'predict: {{call: "{url}{path}"}}'), {"x": [1.0]})
    assert first == f"POST {path.rstrip('/')} HTTP/1.1"


def test_one_answer_of_a_v1_remote_is_named_as_the_step(graph, remote):
    pipeline = graph(f"predict: {{call: {remote.url}/v1/models/double:predict}}")
    response = infer(pipeline, {"x": np.array([1, 2], np.float32)})
    assert {name: value.array.tolist() for name, value in response.outputs.items()} == {"predict": [2, 4]}


def test_an_explanation_is_asked_for_by_the_url(graph, remote):
    response = infer(graph(f"why: {{call: {remote.url}/v1/models/why:explain}}"), {"x": np.array([1.0])})
    assert response["why"].tolist() == [4]


def test_several_tensors_go_to_a_v1_remote_in_rows_and_come_back_by_name(graph, remote):
    inputs = {"a": np.array([3, 4]), "b": np.array([1, 1])}
    response = infer(graph(f"predict: {{call: {remote.url}/v1/models/pair:predict}}"), inputs)
    assert {name: value.array.tolist() for name, value in response.outputs.items()} == {
        "sum": [4, 5],
        "difference": [2, 3],
    }
    seen = infer(graph(f"predict: {{call: {remote.url}/v1/models/seen:predict}}"), inputs)
    assert seen["predict"] == {"seen": {"instances": [{"a": 3, "b": 1}, {"a": 4, "b": 1}]}}


def test_a_v1_body_that_a_step_made_travels_as_it_is(graph, remote):
    def front(url):
        return graph(f"pre: {{run: app.py:body}}\npredict: {{call: {url}/v1/models/m:predict}}")

    _, _, body = sent_to(V1_ANSWER, front, {"body": {"instances": [[1, 2]]}})
    assert json.loads(body) == {"instances": [[2, 4]], "signature_name": "s"}
    _, _, body = sent_to(V1_ANSWER, front, {"body": {"instances": [[1, 2]]}}, parameters={"factor": 3})
    assert json.loads(body) == {"instances": [[2, 4]], "signature_name": "s"}, "and nothing beside it"


def test_a_request_that_forms_no_tensor_reaches_a_v1_remote_as_it_came(tmp_path, remote):
    body = {"instances": [[1], [2, 3]]}
    text = f"name: front\nsteps: {{predict: {{call: '{remote.url}/v1/models/seen:predict'}}}}\n"
    with serving(tmp_path, {"graph.yaml": text}, env=LOCAL) as server:
        assert server.post("/v1/models/front:predict", body).json() == {"seen": body}
        body["signature_name"] = "s"
        assert server.post("/v1/models/front:predict", body).json() == {"seen": body}
        assert server.post("/v1/models/front:predict", {"free": "form"}).json() == {"seen": {"free": "form"}}


def test_an_answer_that_is_no_tensor_stays_json(graph, remote):
    response = infer(graph(f"predict: {{call: {remote.url}/v1/models/ragged:predict}}"), {"x": [1]})
    assert response["predict"] == {"free": [[1], [2, 3]]}


def test_a_header_and_a_parameter_are_tensors_of_one_element(graph):
    def front(url):
        return graph(
            f"predict: {{call: {url}/v2/models/m/infer, params: {{binary: false}},"
            " inputs: {x: request.x, user: headers.x-user, k: parameters.k}}"
        )

    _, _, body = sent_to(V2_ANSWER, front, {"x": [1.0]}, headers={"X-User": "anna"}, parameters={"k": 3})
    entries = {entry["name"]: (entry["datatype"], entry["data"]) for entry in json.loads(body)["inputs"]}
    assert entries == {"x": ("FP64", [1.0]), "user": ("BYTES", ["anna"]), "k": ("INT64", [3])}


@pytest.mark.parametrize("answered", [[{"a": 1}, {"a": 2}], [{"a": 1}, {"a": [2]}], [[1], [2]], [], 3])
def test_with_answer_json_whatever_came_is_what_the_next_step_gets(graph, answered):
    body = json.dumps({"predictions": answered}).encode()
    with raw_server(answering(answer(body))) as server:
        call = f"predict: {{call: {server.url}/v1/models/m:predict, params: {{answer: json}}}}\npost: app.py:seen"
        assert infer(graph(call), {"x": [1.0]})["post"] == {"seen": {"predictions": answered}}


def test_with_answer_json_what_is_no_json_and_what_failed_are_as_without(graph):
    for reply, code, says in (
        (answer(b"<p>"), Code.BAD_UPSTREAM, "cannot be read"),
        (answer(b"{}", status="404 Not Found"), Code.NOT_FOUND, "answered 404"),
    ):
        with raw_server(answering(reply)) as server:
            pipeline = graph(f"predict: {{call: {server.url}/v1/models/m:predict, params: {{answer: json}}}}")
            error = failure(pipeline, {"x": [1.0]})
        assert (error.code, says in error.message) == (code, True)


def test_large_tensors_travel_too(graph, remote):
    big = np.arange(600_000, dtype=np.float32)
    response = infer(graph(f"predict: {{call: {remote.url}/v2/models/double/infer}}"), {"x": big})
    assert np.array_equal(response["double"], big * 2)


def test_a_connection_that_is_idle_for_long_is_closed_though_nobody_calls_again(graph):
    clock = MockClock()
    with raw_server(answering(V2_ANSWER)) as server:

        async def ask():
            async with graph(f"predict: {{call: {server.url}/v2/models/m/infer}}") as pipeline:
                await pipeline.infer({"x": [1.0]})
                for _ in range(5):
                    await wait_all_tasks_blocked()
                    clock.jump(1)
                await trio.to_thread.run_sync(server.wait_until_left)

        trio.run(ask, clock=clock)


# ---- what travels beside them


SENT = {
    "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
    "tracestate": "a=b",
    "authorization": "Bearer t",
    "x-user": "anna",
}


@pytest.mark.parametrize(
    ("forward", "travel"),
    [
        ("", {"traceparent", "tracestate"}),
        (", forward: [Authorization, x-user]", {"authorization", "x-user"}),
        (", forward: []", set()),
    ],
)
def test_the_headers_that_are_named_travel_and_the_id_always_does(graph, forward, travel):
    def front(url):
        return graph(f"predict: {{call: {url}/v2/models/m/infer{forward}}}")

    _, headers, _ = sent_to(V2_ANSWER, front, {"x": [1.0]}, headers=SENT, id="asked")
    assert {name for name in SENT if name in headers} == travel
    assert headers["x-request-id"] == "asked"


OF_THE_CALLER = {
    "factor": 3, "rate": 0.5, "lang": "de", "exact": True, "timeout": 5_000_000, "binary_data_output": True,
    "binary_data": True, "free": {"a": [1]}, "inputs": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "answered", "stay"),
    [("/v1/models/m:predict", V1_ANSWER, {"inputs"}), ("/v2/models/m/infer", V2_ANSWER, {"free"})],
)
def test_the_callers_parameters_travel_but_for_those_of_its_own_hop(graph, path, answered, stay):
    def front(url):
        params = "" if "v1" in path else ", params: {binary: false}"
        return graph(f"predict: {{call: '{url}{path}'{params}}}")

    _, _, body = sent_to(answered, front, {"x": [1.0]}, parameters=OF_THE_CALLER)
    sent = json.loads(body)
    found = sent["parameters"] if "parameters" in sent else {key: sent[key] for key in sent if key != "instances"}
    left = stay | {"timeout", "binary_data_output", "binary_data"}
    assert found == {name: value for name, value in OF_THE_CALLER.items() if name not in left}


@pytest.mark.parametrize("path", ["/v1/models/m:predict", "/v2/models/m/infer"])
def test_a_parameter_that_json_cannot_carry_is_the_callers_fault(graph, path):
    pipeline = graph(f"predict: {{call: 'http://127.0.0.1:1{path}'}}")
    error = failure(pipeline, {"x": [1.0]}, parameters={"k": np.inf})
    assert type(error) is InvalidInput
    assert error.message == (
        'the request cannot be sent on by step "predict": parameter "k" holds an infinity, for which JSON has no word'
    )


def test_a_header_that_no_call_can_carry_is_the_callers_fault(graph):
    pipeline = graph("predict: {call: 'http://127.0.0.1:1/v2/models/m/infer', forward: [x-user]}")
    error = failure(pipeline, {"x": [1.0]}, headers={"x-user": "a\r\nb: c"})
    assert type(error) is InvalidInput
    assert 'header "x-user"' in error.message


def test_the_time_that_is_left_travels(graph):
    def front(url):
        return graph(f"predict: {{call: {url}/v2/models/m/infer, timeout: 5s}}", top="deadline: 50s")

    _, headers, _ = sent_to(V2_ANSWER, front, {"x": [1.0]})
    assert 0 < float(headers["x-request-timeout"]) <= 5


def test_a_user_in_the_url_is_basic_authentication_and_in_no_line(graph, caplog):
    caplog.set_level("DEBUG")

    def front(url):
        return graph(f'predict: {{call: "{url.replace("//", "//anna:secret@")}/v2/models/m/infer"}}')

    _, headers, _ = sent_to(V2_ANSWER, front, {"x": [1.0]})
    assert headers["authorization"] == "Basic YW5uYTpzZWNyZXQ="
    error = failure(front("http://127.0.0.1:1"), {"x": [1.0]})
    assert "secret" not in caplog.text + error.message + str(error.internals)


@pytest.mark.parametrize(
    ("top", "timeout", "internals"),
    [("deadline: 300ms", "", 'time was up in step "why" (it calls {})'), ("", ", timeout: 300ms", "it calls {}")],
)
def test_who_calls_a_server_that_hangs_by_a_handle_is_told_with_its_url(graph, top, timeout, internals):
    with raw_server(lambda connection: read_request(connection) and connection.recv(1)) as server:
        url = f"{server.url}/v1/models/m:predict"
        call = f"predict: {{call: '{url}', inputs: request}}"
        pipeline = graph(
            f"{call}\nwhy: {{run: app.py:ask, inputs: request, handles: {{f: predict}}{timeout}}}", top=top
        )
        error = failure(pipeline, {"x": [1.0]})
    assert (error.code, error.internals) == (Code.DEADLINE_EXCEEDED, internals.format(url))
    assert error.__notes__[0] == error.internals


def test_two_requests_use_one_connection_and_nothing_stays_open(graph):
    before = open_files()
    with raw_server(answering(V2_ANSWER)) as server:
        pipeline = graph(f"predict: {{call: {server.url}/v2/models/m/infer}}")

        async def ask():
            async with pipeline:
                for _ in range(3):
                    await pipeline.infer({"x": [1.0]})
            assert server.connections == 1

        trio.run(ask)
    wait_for_files(before)


# ---- whose fault it is


@pytest.mark.parametrize(("source", "kind"), [("request", InvalidInput), ("pre", WrongAnswer)])
def test_what_json_cannot_carry_is_the_fault_of_who_gave_it(graph, source, kind):
    pipeline = graph(
        f"pre: app.py:{'infinite' if source == 'pre' else 'double'}\n"
        f"predict: {{call: 'http://127.0.0.1:1/v1/models/m:predict', inputs: [{source}]}}\n"
        "last: {run: app.py:pair, inputs: {a: pre, b: predict}}"
    )
    error = failure(pipeline, {"x": [np.inf if source == "request" else 1.0]})
    assert type(error) is kind
    assert "infinity" in error.message


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"predictions":[[1],[2,3]]}', "row 1 has shape [2], row 0 has [1]"),
        (b'{"predictions":[1.0,"secret"]}', "row 1 holds 'secret'"),
        (b'{"free":"form"}', 'it has no list "predictions"'),
    ],
)
@pytest.mark.parametrize("reader", ["same", "typed"])
def test_who_wants_a_tensor_of_an_answer_that_is_none_is_told_whose_it_is_and_why(graph, reader, body, why):
    with raw_server(answering(answer(body))) as server:
        pipeline = graph(f"predict: {{call: {server.url}/v1/models/m:predict}}\npost: app.py:{reader}_array")
        error = failure(pipeline, {"x": [1.0]})
    assert type(error) is WrongAnswer
    assert 'the answer of step "predict" is no tensor: ' in error.message
    assert why in error.message


def test_an_answer_of_nothing_but_nan_is_a_tensor(graph):
    with raw_server(answering(answer(b'{"predictions":[null]}'))) as server:
        pipeline = graph(f"predict: {{call: {server.url}/v1/models/m:predict}}\npost: app.py:same_array")
        response = infer(pipeline, {"x": [1.0]})
    assert np.isnan(response["post"]).all()
    assert response["post"].shape == (1,)


def test_a_step_with_several_tensors_is_no_one_input(graph):
    pipeline = graph("pre: app.py:pair\npredict: {call: 'http://127.0.0.1:1/v2/models/m/infer', inputs: {x: pre}}")
    error = failure(pipeline, {"a": [1], "b": [1]})
    assert type(error) is WrongAnswer
    assert "say which one, as step.tensor" in error.message


# ---- readiness


def saying(states: queue.SimpleQueue[bytes]):
    """Answers each request with the next of these; without one, with the one before."""

    def behave(connection):
        last = b""
        while True:
            read_request(connection)
            while not states.empty():
                last = states.get()
            connection.sendall(last)

    return behave


YES = answer(b'{"name":"m","ready":true}')
NO = answer(b'{"error":"loading"}', status="503 Service Unavailable")


def test_a_model_is_ready_only_while_its_remote_is(graph):
    states: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    states.put(NO)
    events = []
    with raw_server(saying(states)) as server:
        pipeline = graph(f"predict: {{call: {server.url}/v2/models/m/infer, ready: true}}")

        turned, hear = trio.open_memory_channel(10)

        def observe(event):
            events.append(event)
            if isinstance(event, RemoteTurned):
                turned.send_nowait(event)

        async def ask():
            pipeline.observers.append(observe)
            async with pipeline:
                assert (pipeline.is_ready, pipeline.loaded_once) == (False, False)
                with pytest.raises(InferError) as caught:
                    await pipeline.infer({"x": [1.0]})
                assert caught.value.code is Code.UNAVAILABLE
                assert caught.value.message == (
                    'Model with name front is not ready. The server that step "predict" calls is not ready.'
                )
                await hear.receive()
                states.put(YES)
                await hear.receive()
                assert (pipeline.is_ready, pipeline.loaded_once) == (True, True)
                states.put(NO)
                await hear.receive()
                assert (pipeline.is_ready, pipeline.loaded_once) == (False, True)

        trio.run(ask)
    told = [event.reason for event in events if isinstance(event, RemoteTurned)]
    assert [reason is None for reason in told] == [False, True, False]
    assert told[0] == f"{server.url}/v2/models/m/ready: loading"


def test_a_ready_remote_makes_a_model_ready_at_once_and_errors_inside_stay_themselves(graph, remote):
    pipeline = graph(f"predict: {{call: {remote.url}/v1/models/double:predict, ready: true}}")

    async def ask():
        async with pipeline:
            assert (pipeline.is_ready, pipeline.loaded_once) == (True, True)
            raise KeyError("the caller's own")

    with pytest.raises(KeyError, match="the caller's own"):
        trio.run(ask)


def test_a_step_that_cannot_be_opened_beside_a_watched_one_says_so_itself(graph, remote):
    pipeline = graph(
        f"predict: {{call: {remote.url}/v1/models/double:predict, ready: true}}\nlast: {{model: nowhere.joblib}}"
    )

    async def ask():
        async with pipeline:
            raise AssertionError("it is open")

    with pytest.raises(OSError, match="nowhere"):
        trio.run(ask)


@pytest.mark.parametrize("ready", ["true", "false"])
def test_closing_while_cancelled_leaves_nothing(graph, remote, ready):
    before = open_files()
    pipeline = graph(f"predict: {{call: {remote.url}/v2/models/double/infer, ready: {ready}}}")

    async def ask():
        with trio.CancelScope() as scope:
            async with pipeline:
                await pipeline.infer({"x": np.ones(1, np.float32)})
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught

    trio.run(ask)
    wait_for_files(before)


# ---- faults of the file

V1 = "http://h/v1/models/m:predict"
V2 = "http://h/v2/models/m/infer"
LIKE = "call is a URL like http://host:8080/v1/models/MODEL:predict"


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            f"{{call: '{V1}', place: §asyncio}}",
            "place: asyncio is for code of your own, and a call is ours; leave it out",
        ),
        ("{call: §5}", f"{LIKE}, not a number"),
        ("{call: §localhost/v1/models/m:predict}", f"{LIKE}, over http or https"),
        ("{call: §'http://h/v1/models/a b:predict'}", f"{LIKE}, without spaces"),
        ("{call: §'http:///v1/models/m:predict'}", f"{LIKE}; this one names no server"),
        ("{call: §'http://u:secret@h:port/v2/models/m/infer'}", f"{LIKE}; this one names no server"),
        ("{call: §'http://u:secret@h:65536/v2/models/m/infer'}", f"{LIKE}; a port is a number from 1 to 65535"),
        ("{call: §'http://h:0/v2/models/m/infer'}", f"{LIKE}; a port is a number from 1 to 65535"),
        ("{call: §'http://[::1]:99999/v2/models/m/infer'}", f"{LIKE}; a port is a number from 1 to 65535"),
        ("{call: §'grpc://h:8081/m'}", "call grpc://… is known but not built yet"),
        (f"{{call: §'{V2}?a=b'}}", 'a call has neither "?" nor "#": what is asked stands in the request'),
        (f"{{call: §'{V2}#a'}}", 'a call has neither "?" nor "#": what is asked stands in the request'),
        ("{call: §'http://h/v2/models/a%2Fb/infer'}", 'a model is named by a text without "/", not "a/b"'),
        (
            f"{{call: '{V1}', params: {{binary: §true}}}}",
            "binary does not go with this URL, whose protocol is JSON; leave it out",
        ),
        (f"{{call: '{V2}', params: {{binary: §1}}}}", "binary is true or false, not a number"),
        (f"{{call: '{V2}', params: {{ca: §app.py}}}}", "ca is about https, and the URL is one of http"),
        (f"{{call: '{V2}', params: {{binry: §true}}}}", 'a call has no parameter "binry"; did you mean "binary"?'),
        (f"{{call: '{V2}', params: {{max_reply: §5}}}}", "max_reply: 5 has no unit; write 5B or 5MiB"),
        (
            f"{{call: '{V2}', params: §5}}",
            "params is a map with the keys answer, binary, ca, cert, key, max_reply and verify",
        ),
        (
            f"{{call: '{V2}', forward: §x-user}}",
            "forward is a list of the names of headers, like [traceparent, authorization]",
        ),
        (
            f"{{call: '{V2}', forward: §[Content-Length]}}",
            'forward cannot name "Content-Length": it is about one connection or one body, and each call has its own',
        ),
        (
            f"{{call: '{V2}', forward: §[X-Request-Timeout]}}",
            'forward cannot name "X-Request-Timeout": the time that is left travels by itself',
        ),
        (
            f"{{call: '{V2}', forward: §['a b']}}",
            'forward cannot name "a b": the name of a header is one word, like x-user',
        ),
        (
            "{call: 'http://u:p@h/v2/models/m/infer', forward: §[authorization]}",
            "forward names authorization, and the URL has a user of its own; leave one of them out",
        ),
        (f"{{call: '{V2}', ready: §5}}", "ready is true or false, not a number"),
        ("{call: 'https://h/v2/models/m/infer', params: {ca: §no.pem}}", 'ca: there is no file "no.pem"'),
        (
            "{call: 'https://h/v2/models/m/infer', params: {key: §app.py}}",
            "key goes with cert, the certificate that it belongs to",
        ),
        (
            "{call: 'http://h/v2/models/m/infer', params: {answer: §json}}",
            "answer does not go with this URL, whose protocol answers in tensors; leave it out",
        ),
        (
            "{call: 'http://h/v1/models/m:predict', params: {answer: §lists}}",
            'answer is tensors or json, not "lists"',
        ),
        (
            "{call: 'https://h/v2/models/m/infer', params: {ca: app.py, verify: §false}}",
            "verify: false checks no certificate, and ca says by whom; leave one out",
        ),
    ],
)
def test_a_fault_is_told_where_it_stands(graph, step, message):
    """§ stands before the place."""
    line = f"predict: {step}"
    with pytest.raises(GraphFaults) as caught:
        graph(line.replace("§", ""))
    (told,) = str(caught.value).splitlines()
    assert told.partition("graph.yaml:")[2] == f'4:{line.index("§") + 3}: step "predict": {message}'


@pytest.mark.parametrize("url", [V1, V2])
def test_a_call_takes_whatever_there_is(graph, url):
    top = "schema: {inputs: {x: 'FP32[n]?', y: 'BYTES[n]'}}"
    assert graph(f"predict: {{call: '{url}'}}", top).expectation.only_input == "y"


@pytest.mark.parametrize("path", ["", "/", "/v2/models/m", "/v1/models/m", "/v2/health/live", "/v1/models/m:classify"])
def test_a_path_that_asks_nothing_is_told_what_it_must_look_like(graph, path):
    with pytest.raises(GraphFaults) as caught:
        graph(f"predict: {{call: 'http://u:secret@h{path}'}}")
    text = str(caught.value)
    assert "ends in one of /v1/models/MODEL:predict, /v1/models/MODEL:explain, /v2/models/MODEL/infer" in text
    assert text.endswith(f"this one has {json.dumps(path)}" if path.strip("/") else "this one has no path")
    assert "secret" not in text


@pytest.mark.parametrize("key", ["ca", "cert"])
def test_a_file_that_is_no_certificate_fails_the_load_by_its_name(graph, key):
    pipeline = graph(f"predict: {{call: 'https://h/v2/models/m/infer', params: {{{key}: app.py}}}}")

    async def load():
        async with pipeline:
            raise AssertionError("it is open")

    with pytest.raises(ValueError, match=rf"^{key}: .*app\.py cannot be used"):
        trio.run(load)


# ---- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize(
    ("params", "answered"),
    [
        ("{ca: tls/cert.pem}", "anonymous"),
        ("{ca: tls/cert.pem, cert: tls/cert.pem, key: tls/key.pem}", "known"),
        ("{verify: false, cert: tls/both.pem}", "known"),
        ("{}", None),
        ("{cert: tls/cert.pem, key: tls/key.pem}", None),
    ],
)
def test_certificates_are_verified_and_shown_as_params_say(graph, write, certificate, params, answered):
    cert, key = (file.read_bytes() for file in certificate)
    for name, text in {"cert": cert, "key": key, "both": cert + key}.items():
        write(f"tls/{name}.pem", text)

    def behave(shown):
        return answering(answer(json.dumps({"predictions": ["known" if shown else "anonymous"]}).encode()))

    with raw_server(over_tls(certificate, behave)) as server:
        url = server.url.replace("http:", "https:")
        pipeline = graph(f"predict: {{call: '{url}/v1/models/m:predict', params: {params}}}")
        if answered is None:
            error = failure(pipeline, {"x": [1.0]})
            assert error.code is Code.BAD_UPSTREAM
            assert "self-signed certificate" in str(error.internals)
        else:
            assert infer(pipeline, {"x": [1.0]})["predict"].tolist() == [answered.encode()]


def test_a_key_that_needs_a_password_is_refused_and_asks_nobody(graph, write, certificate):
    key = certificate[1].with_name("locked.pem")
    subprocess.run(
        ["openssl", "rsa", "-aes256", "-in", certificate[1], "-out", key, "-passout", "pass:word"],
        check=True, capture_output=True,
    )  # fmt: skip
    write("cert.pem", certificate[0].read_bytes())
    write("key.pem", key.read_bytes())
    pipeline = graph("predict: {call: 'https://h/v2/models/m/infer', params: {cert: cert.pem, key: key.pem}}")

    async def load():
        async with pipeline:
            raise AssertionError("it is open")

    with pytest.raises(ValueError, match=r"cert\.pem and .*key\.pem cannot be used"):
        trio.run(load)


# ---- in a server


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("", 'the request took longer than its deadline of 300 ms (time was up in step "predict" ({url}))'),
        (", timeout: 200ms", 'step "predict" took longer than its timeout of 200 ms ({url})'),
        (", detached: true, timeout: 200ms", 'step "predict" took longer than its timeout of 200 ms ({url})'),
    ],
)
def test_where_a_call_hung_is_in_the_log_and_in_no_reply(tmp_path, step, told):
    with raw_server(lambda connection: read_request(connection) and connection.recv(1)) as remote:
        url = f"{remote.url}/v2/models/m/infer"
        secret = url.replace("//", "//anna:secret@")
        predict = f"{{call: '{secret}'{step}}}"
        text = f"name: front\ndeadline: 300ms\nsteps:\n  same: {{run: app.py:same}}\n  predict: {predict}\n"
        with serving(tmp_path, {"app.py": APP, "graph.yaml": text}, env=LOCAL) as server:
            headers = {"x-request-id": "mine-7"}
            reply = server.post("/v1/models/front:predict", {"instances": [1.0]}, headers=headers)
            assert reply.status_code == (200 if "detached" in step else 504)
            server.wait_for_log(f"failed: {told.format(url=url)} [mine-7]")
            assert "127.0.0.1" not in reply.text
            assert "secret" not in server.stderr


def test_a_server_is_ready_once_the_remotes_are_that_it_counts_on(tmp_path):
    states: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    states.put(NO)
    with raw_server(saying(states)) as remote:
        text = f"name: front\nsteps: {{predict: {{call: '{remote.url}/v1/models/m:predict', ready: true}}}}\n"
        with serving(tmp_path, {"graph.yaml": text}, wait="bound", env=LOCAL) as server:
            server.wait_for_log(
                f'is not ready: the server that step "predict" calls is not: {remote.url}/v1/models/m: loading'
            )
            assert server.get("/v2/health/ready").status_code == 503
            assert server.get("/v1/models/front").status_code == 503
            states.put(YES)
            server.wait_until_ready()
            assert server.get("/v1/models/front").json() == {"name": "front", "ready": True}
            states.put(NO)
            server.wait_until("the model is not ready", lambda: server.get("/v1/models/front").status_code == 503)
            assert server.get("/v2/health/ready").status_code == 200


# ---- metadata


def test_metadata_is_learned_where_the_protocol_has_it(graph, remote):
    def learned(path):
        pipeline = graph(f"predict: {{call: {remote.url}{path}}}").blueprint
        (step,) = pipeline.graph.steps
        return trio.run(partial(pipeline.kinds["call"].learn, step, pipeline.home))

    signature = learned("/v2/models/double/infer")
    assert isinstance(signature, Signature)
    assert {name: str(spec) for name, spec in signature.inputs.items()} == {"x": "FP32[-1]"}
    assert learned("/v1/models/double:predict") is None
    with pytest.raises(InferError, match="nope"):
        learned("/v2/models/nope/infer")

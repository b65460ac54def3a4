"""One real server process, asked by independent clients: httpx, curl, and raw sockets where those are too polite.

Numbers in brackets are rows of the register in kserve-contract.md, section 12: what KServe does and we do better.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conformance.zoo import FILES, GRAPHS
from tests.serving import Server, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("zoo"), FILES, graphs=GRAPHS) as server:
        yield server
        assert server.stop() == 0
        assert "Traceback" not in server.stderr.rpartition("draining")[2]


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@contextmanager
def asking(client: httpx.Client, model: str, name: str, **how):
    """A predict request that is on its way while the block runs; yields its future reply."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(client.post, f"/v1/models/{model}:predict", json={"instances": [name]}, **how)


def began(server: Server, name: str) -> None:
    server.wait_until(f"{name} began", (server.folder / f"{name}.began").exists)


def go(server: Server, name: str) -> None:
    (server.folder / f"{name}.go").touch()


def raw(server: Server, data: bytes) -> bytes:
    """What the server answers to these bytes until it closes, which it may do before it has read them all."""
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                answer += chunk
        except TimeoutError:
            raise
        except OSError:  # reset, a broken pipe, or no longer connected: it is closed
            return answer
    return answer


# ---- routes and bodies, section 1.1

SUCCESS = [
    ("/", '{"status":"alive"}'),
    ("/v1/models/echo", '{"name":"echo","ready":true}'),
    ("/v2/health/live", '{"live":true}'),
    ("/v2/health/ready", '{"ready":true}'),
    ("/v2/models/echo/ready", '{"name":"echo","ready":true}'),
    ("/v2/models/versions/versions/2/ready", '{"name":"versions","ready":true}'),
    (
        "/v2/models/echo",
        '{"name":"echo","versions":["1"],"platform":"","inputs":[%s],"outputs":[%s]}'
        % (('{"name":"rows","datatype":"FP32","shape":[-1,2]}',) * 2),
    ),
    ("/v2/models/versions", '{"name":"versions","versions":["1","2"],"platform":"","inputs":[],"outputs":[]}'),
]


@pytest.mark.parametrize(("path", "body"), SUCCESS)
def test_a_question_is_answered_with_kserves_keys_in_kserves_order(client, path, body):
    reply = client.get(path)
    assert (reply.status_code, reply.headers["content-type"], reply.text) == (200, "application/json", body)


def test_the_models_are_listed_in_the_order_of_the_command_line(client):
    names = ["block", "wait", "brief", "narrow", "fail", "fail_on_loop", "count", "echo", "who", "heard", "versions"]
    assert client.get("/v1/models").json() == client.get("/v2/models").json() == {"models": names}


def test_the_server_metadata_is_the_truth_about_itself(client):
    body = client.get("/v2").json()
    assert list(body) == ["name", "version", "extensions"]
    assert body["name"] == "pipeline-serve"
    assert body["version"][:1].isdigit()


@pytest.mark.parametrize("path", ["/v2/", "/v2/health/live/", "/v2/models/echo/", "/openapi.json/"])
def test_a_slash_at_the_end_is_none(client, path):
    assert client.get(path).text == client.get(path.rstrip("/")).text


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/models/echo", "/metrics", "/nope", "/v2/models/nope"])
def test_head_is_get_without_a_body(client, path):
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    if path != "/metrics":
        assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize(
    ("method", "path", "status", "error", "allow"),
    [
        ("GET", "/nope", 404, "Not Found", None),
        ("POST", "/v2/repository", 404, "Not Found", None),
        ("GET", "/v2//health/live", 404, "Not Found", None),
        ("GET", "/static/x", 404, "Not Found", None),
        ("GET", "/v2/models/a%2Fb", 404, "Not Found", None),
        ("GET", "/v2/models/nope", 404, "Model with name nope does not exist.", None),
        ("GET", "/v1/models/nope", 404, "Model with name nope does not exist.", None),
        ("GET", "/v2/models/nope/ready", 404, "Model with name nope does not exist.", None),
        ("POST", "/v1/models/nope:predict", 404, "Model with name nope does not exist.", None),
        ("POST", "/v2/models/nope/infer", 404, "Model with name nope does not exist.", None),
        ("GET", "/v1/models/echo:predict", 404, "Model with name echo:predict does not exist.", None),
        ("GET", "/v2/models/echo/versions/7", 404, "Model with name echo and version 7 does not exist.", None),
        ("POST", "/v2/models/echo/versions/7/infer", 404, "Model with name echo and version 7 does not exist.", None),
        ("POST", "/v1/models/echo:explain", 501, "Could not find explainer_host.", None),
        ("POST", "/v2/health/live", 405, "Method Not Allowed", "GET, HEAD"),
        ("OPTIONS", "/v2", 405, "Method Not Allowed", "GET, HEAD"),
        ("TRACE", "/v2", 405, "Method Not Allowed", "GET, HEAD"),
        ("BREW", "/v2", 405, "Method Not Allowed", "GET, HEAD"),
        ("POST", "/metrics", 405, "Method Not Allowed", "GET, HEAD"),
        ("OPTIONS", "/metrics", 405, "Method Not Allowed", "GET, HEAD"),
        ("GET", "/v2/models/echo/infer", 405, "Method Not Allowed", "POST"),
        ("GET", "/v2/repository/index", 405, "Method Not Allowed", "POST"),
        ("POST", "/v1/models/echo:foo", 405, "Method Not Allowed", "GET, HEAD"),
    ],
)
def test_what_is_not_there_or_not_so_is_an_error_in_kserves_form(client, method, path, status, error, allow):
    reply = client.request(method, path)
    assert (reply.status_code, reply.json(), reply.headers.get("allow")) == (status, {"error": error}, allow)
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"]


def test_a_version_is_addressed_and_without_one_the_highest_answers(client):
    body = {"inputs": [{"name": "rows", "datatype": "INT64", "shape": [1], "data": [0]}]}

    def answer(path):
        reply = client.post(path, json=body).json()
        return reply["model_version"], reply["outputs"][0]["data"]

    assert answer("/v2/models/versions/infer") == ("2", [2])
    assert answer("/v2/models/versions/versions/1/infer") == ("1", [1])
    assert answer("/v2/models/versions/versions/2/infer") == ("2", [2])
    assert client.post("/v1/models/versions:predict", json={"instances": [0]}).json() == {"predictions": 2}


# ---- requests and replies


def test_a_version_1_and_a_version_2_request_are_answered_in_their_own_form(client):
    rows = [[1.0, 2.5], [3.0, -4.0]]
    assert client.post("/v1/models/echo:predict", json={"instances": rows}).text == (
        '{"predictions":[[1.0,2.5],[3.0,-4.0]]}'
    )
    assert client.post("/v1/models/echo%3Apredict", json={"inputs": rows}).json() == {"outputs": rows}
    request = {"id": "7", "inputs": [{"name": "rows", "datatype": "fp32", "shape": [2, 2], "data": rows}]}
    assert client.post("/v2/models/echo/infer", json=request).text == (
        '{"model_name":"echo","model_version":"1","id":"7","parameters":null,"outputs":[{"name":"rows","shape":[2,2],'
        '"datatype":"FP32","parameters":null,"data":[1.0,2.5,3.0,-4.0]}]}'
    )


@pytest.mark.parametrize(
    "content_type",
    [None, "application/json; charset=utf-8", "application/x-www-form-urlencoded", "application/ld+json"],
)
def test_json_is_read_whatever_media_type_a_client_says_20(client, content_type):
    headers = {} if content_type is None else {"content-type": content_type}
    reply = client.post("/v1/models/echo:predict", content=b'{"instances": [[1, 2]]}', headers=headers)
    assert (reply.status_code, reply.json()) == (200, {"predictions": [[1.0, 2.0]]})


@pytest.mark.parametrize(
    ("model", "body", "says"),
    [
        ("v2/models/echo/infer", b'{"inputs": [nonsense', r"Unrecognized request format: .*line 1 column 13"),
        ("v2/models/echo/infer", b"", r"Unrecognized request format: .*empty"),
        ("v2/models/echo/infer", b"\xff\xfe", "Unrecognized request format"),
        ("v2/models/echo/infer", b"[1]", "an inference request is an object"),
        ("v2/models/echo/infer", b'{"inputs": 1}', 'expected "inputs" to be a list'),
        ("v2/models/echo/infer", b'{"inputs":[{"name":"rows","datatype":"FP32","shape":[2,2],"data":[1]}]}',
         r'input "rows".*FP32\[2,2\].*1'),
        ("v2/models/echo/infer", b'{"inputs":[{"name":"rows","datatype":"INT8","shape":[1,2],"data":[300,1]}]}', "300"),
        ("v2/models/echo/infer", b'{"inputs":[{"name":"rows","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]}',
         r'input "rows".*FP32\[n,2\].*FP32\[1,3\]'),
        ("v1/models/echo:predict", b'{"instances": [[1, 2], [3]]}', "row"),
        ("v1/models/echo:predict", b'{"foo": 1}', 'Expected "instances" or "inputs"'),
        ("v1/models/echo:predict", b'{"instances": {}}', 'Expected "instances" to be a list'),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_served_is_a_400_that_says_why_and_never_repeats_the_body_13_21(
    client, model, body, says
):
    secret = b" " * 9 + b'"the-secret-of-the-caller"' if body.endswith(b"nonsense") else b""
    reply = client.post(f"/{model}", content=body + secret)
    assert (reply.status_code, list(reply.json())) == (400, ["error"])
    assert re.search(says, reply.json()["error"])
    assert "secret" not in reply.text


def test_a_body_above_quarts_own_limit_works_under_the_default_of_max_body(client):
    body = b'{"instances":[' + b"1.25," * 3_500_000 + b"1]}"
    assert len(body) > 17_000_000
    assert client.post("/v1/models/count:predict", content=body).json() == {"predictions": 3_500_001}


def test_expect_100_continue_is_answered_before_the_body_is_sent(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/models/echo:predict HTTP/1.1\r\nhost: h\r\ncontent-length: 22\r\nexpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b'{"instances": [[1,2]]}')
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\n\r\n",
        b"POST /v1/models/echo:predict HTTP/1.1\r\nhost: h\r\ncontent-length: x\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nhost: h\r\n" + b"a: " + b"b" * 200_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"",
        b"GET /v2/health/li",
    ],
    ids=["no-http", "no-host", "no-length", "huge-header", "tls-hello", "nothing", "half"],
)
def test_what_is_no_request_ends_its_own_connection_and_nothing_else(server, client, data):
    answer = raw(server, data)
    assert answer == b"" or re.match(rb"HTTP/1.1 4\d\d ", answer)
    assert client.get("/v2/health/live").json() == {"live": True}


def test_a_client_that_is_done_takes_its_idle_connection_along(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        answer = b""
        while not answer.endswith(b'{"status":"alive"}'):
            answer += connection.recv(65536)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b"", "closed long before the idle time of 65 s is over"


def test_an_h2c_request_with_a_non_ascii_path_does_not_end_the_process(server, client):
    import h2.config  # noqa: PLC0415  # comes with hypercorn
    import h2.connection  # noqa: PLC0415
    import h2.events  # noqa: PLC0415

    def ask(path: bytes) -> list[object]:
        config = h2.config.H2Configuration(header_encoding=None, validate_outbound_headers=False)
        connection = h2.connection.H2Connection(config)
        connection.initiate_connection()
        head = [(b":method", b"GET"), (b":path", path), (b":scheme", b"http"), (b":authority", b"h")]
        connection.send_headers(1, head, end_stream=True)
        events: list[object] = []
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as wire:
            wire.sendall(connection.data_to_send())
            while not any(isinstance(event, h2.events.StreamEnded | h2.events.StreamReset) for event in events):
                data = wire.recv(65536)
                if not data:
                    break
                events += connection.receive_data(data)
                wire.sendall(connection.data_to_send())
        return events

    ask("/v2/models/größe".encode())
    assert client.get("/v2/health/live").json() == {"live": True}
    assert any(isinstance(event, h2.events.DataReceived) and event.data == b'{"live":true}'
               for event in ask(b"/v2/health/live"))  # fmt: skip


# ---- time and cancellation


def test_a_step_that_blocks_leaves_health_and_other_models_answering_1(server, client):
    with server.client() as other, asking(other, "block", "blocked") as slow:
        began(server, "blocked")
        # In this order: these are answered while the step still waits for the file that lets it go on.
        assert client.get("/v2/health/live").json() == {"live": True}
        assert client.get("/v2/health/ready").json() == {"ready": True}
        assert client.post("/v1/models/echo:predict", json={"instances": [[1, 2]]}).status_code == 200
        assert not slow.done()
        go(server, "blocked")
        assert slow.result().json() == {"predictions": "blocked"}


@pytest.mark.parametrize("path", ["/v1/models/nope:predict", "/nope", "/v2/health/live"])
def test_a_reply_that_comes_before_the_body_leaves_the_connection_usable(server, path):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as wire:
        for _ in range(3):
            wire.sendall(b"POST %s HTTP/1.1\r\nhost: h\r\ncontent-length: 20\r\n\r\n" % path.encode())
            answer = b""
            while not answer.endswith(b"}"):
                answer += wire.recv(65536)
            assert answer.startswith(b"HTTP/1.1 4")
            assert b"connection: close" not in answer.lower()
            wire.sendall(b"x" * 20)


def test_a_reply_that_comes_before_a_large_body_says_that_it_closes(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as wire:
        wire.sendall(b"POST /nope HTTP/1.1\r\nhost: h\r\ncontent-length: 9000000\r\n\r\n")
        answer = wire.recv(65536)
        assert b"\r\nconnection: close\r\n" in answer.lower()
        wire.sendall(b"x" * 9_000_000)
        while chunk := wire.recv(65536):
            answer += chunk
    assert answer.endswith(b'{"error":"Not Found"}')


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_a_client_that_leaves_stops_the_step_it_waited_for_2(server, leave):
    body = json.dumps({"instances": [leave]}).encode()
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    head = b"POST /v1/models/wait:predict HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n" % len(body)
    with connection:
        connection.sendall(head + body)
        began(server, leave)
        if leave == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    server.wait_until("the step is cancelled", (server.folder / f"{leave}.cancelled").exists)
    assert not (server.folder / f"{leave}.ended").exists()


@pytest.mark.parametrize(
    ("model", "headers", "parameters", "shown"),
    [
        ("brief", {}, {}, "50 ms"),
        ("brief", {"x-request-timeout": "60"}, {}, "50 ms"),  # a caller never extends
        ("wait", {"x-request-timeout": "0.02"}, {}, "20 ms"),
        ("wait", {"x-request-timeout": "20ms"}, {}, "20 ms"),
        ("wait", {"x-request-timeout": "0"}, {}, "0 s"),
        ("wait", {}, {"timeout": 20_000}, "20 ms"),
        ("wait", {"x-request-timeout": "60s"}, {"timeout": 20_000}, "20 ms"),
        ("block", {"x-request-timeout": "20ms"}, {}, "20 ms"),
    ],
)
def test_when_time_is_up_the_reply_is_504_and_the_step_is_cancelled_3(
    server, client, model, headers, parameters, shown
):
    name = f"late-{model}-{'-'.join([*headers.values(), *map(str, parameters.values())])}"
    inputs = [{"name": "name", "datatype": "BYTES", "shape": [1], "data": [name]}]
    reply = client.post(f"/v2/models/{model}/infer", json={"parameters": parameters, "inputs": inputs}, headers=headers)
    assert (reply.status_code, reply.json()) == (
        504, {"error": f"the request took longer than its deadline of {shown}"}
    )  # fmt: skip
    go(server, name)
    started = (server.folder / f"{name}.began").exists()
    assert started or shown == "0 s"
    if model != "block":
        assert (server.folder / f"{name}.cancelled").exists() == started


@pytest.mark.parametrize("text", ["soon", "-1", "", "1e9999"])
def test_a_deadline_that_cannot_be_read_is_a_400(client, text):
    reply = client.post("/v1/models/echo:predict", json={"instances": [[1, 2]]}, headers={"x-request-timeout": text})
    assert reply.status_code == 400
    assert "x-request-timeout" in reply.json()["error"]


def test_past_limit_and_queue_a_request_is_refused_before_its_body_is_read_and_health_is_fine_3(server, client):
    with server.client() as other, asking(other, "narrow", "first") as first:
        began(server, "first")
        with asking(other, "narrow", "second") as one, asking(other, "narrow", "second") as another:
            # Of two, one waits in the queue and one is refused: the queue is full when either is answered.
            refused = next(futures.as_completed([one, another])).result()
            assert refused.status_code == 503
            assert refused.headers["retry-after"].isdigit()
            assert refused.json()["error"].startswith("Model narrow is at its limit and its queue is full")
            # The body of this one is no JSON and its last byte never comes: it is judged by its head alone.
            with socket.create_connection(("127.0.0.1", server.port), timeout=30) as wire:
                wire.sendall(b"POST /v1/models/narrow:predict HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\n{")
                assert wire.recv(65536).startswith(b"HTTP/1.1 503 ")
            for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/narrow/ready"):
                assert client.get(path).status_code == 200
            go(server, "first")
            go(server, "second")
            assert first.result().json() == {"predictions": "first"}
            assert sorted(own.result().status_code for own in (one, another)) == [200, 503]


# ---- errors of steps

HIDDEN = "Internal server error. The log has the reason, under request id {}."


@pytest.mark.parametrize("model", ["fail", "fail_on_loop"])
@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [
        ("bug", 500, HIDDEN),
        ("group", 500, HIDDEN),
        ("no-status", 500, HIDDEN),
        ("newline", 500, HIDDEN),
        ("exit", 500, HIDDEN),
        ("invalid", 400, "the words of the author"),
        ("inference", 500, "the words of the author"),
        ("inference-status", 422, "the words of the author"),
        ("todo", 501, "not this one"),
        ("teapot", 418, "short and stout"),
        ("detailed", 409, "the detail"),
    ],
)
def test_what_a_step_raises_decides_the_reply_and_the_connection_lives_on_4(server, model, kind, status, text):
    request = f"{model}-{kind}"
    with server.client(limits=httpx.Limits(max_connections=1)) as client:
        reply = client.post(
            f"/v1/models/{model}:predict", json={"instances": [kind]}, headers={"x-request-id": request}
        )
        assert (reply.status_code, reply.json()) == (status, {"error": text.format(request)})
        assert reply.headers["x-request-id"] == request
        assert "connection" not in reply.headers
        assert client.get("/v2/health/live").status_code == 200
        same = reply.extensions["network_stream"].get_extra_info("client_addr")
        assert same == client.get("/").extensions["network_stream"].get_extra_info("client_addr")
    if status == 500:
        server.wait_for_log(f"failed: {'' if kind != 'bug' else 'KeyError '}")
        (event,) = (own for own in events(server) if f"[{request}]" in own and "ERROR" in own)
        line = 1 + FILES["app.py"].splitlines().index(
            '        return {}["the secret"]  # this line is in the log' if kind == "bug" else
            "        raise SystemExit(7)" if kind == "exit" else "    raise {"
        )  # fmt: skip
        assert f'app.py", line {line}, in fail' in event
        assert 'in step "answer"' in event or kind == "exit"


def events(server: Server) -> list[str]:
    """The log, one text per event: a line that starts one has a time in front, and no other line can have it there."""
    return re.split(r"\n(?=\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} )", server.stderr)


# ---- request ids, log lines, metrics


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"abc-1", True),
        (b"a" * 128, True),
        (b"!~", True),
        (b"a" * 129, False),
        (b"a b", False),
        ("größe".encode(), False),
        (b"", False),
    ],
)
def test_a_request_id_that_a_header_and_a_log_line_can_carry_is_kept_and_any_other_is_replaced(client, sent, kept):
    reply = client.post("/v1/models/who:predict", json={"instances": [1]}, headers={b"x-request-id": sent})
    given = reply.headers["x-request-id"]
    assert (given.encode() == sent) == kept
    assert re.fullmatch(r"[\x21-\x7e]{1,128}", given)
    assert reply.json()["id"] == given, "the step sees the same id"


def test_a_step_sees_the_headers_that_were_sent_and_the_id_and_no_other(client):
    reply = client.post("/v1/models/heard:predict", json={"instances": [1]}, headers={"X-Tenant": "a"})
    sent = {
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-tenant",
        "x-request-id",
    }
    assert set(reply.json()["headers"]) == sent


def test_an_id_in_the_body_is_echoed_and_the_request_id_is_its_own(client):
    body = {"id": "mine", "inputs": [{"name": "rows", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
    reply = client.post("/v2/models/echo/infer", json=body, headers={"x-request-id": "theirs"})
    assert (reply.json()["id"], reply.headers["x-request-id"]) == ("mine", "theirs")
    for nothing in ({}, {"id": ""}):
        reply = client.post("/v2/models/echo/infer", json={**body, "id": None, **nothing})
        assert reply.json()["id"] == reply.headers["x-request-id"]


def test_the_reply_never_echoes_the_callers_headers_8(client):
    sent = {"authorization": "Bearer secret", "cookie": "secret=1", "x-tenant": "secret"}
    reply = client.post("/v1/models/echo:predict", json={"instances": [[1, 2]]}, headers=sent)
    assert "secret" not in str(reply.headers)
    assert set(reply.headers) == {"content-type", "content-length", "x-request-id", "date"}


def test_every_request_has_one_access_line_23(server, client):
    for path in ("/v2/health/live", "/nope", "/metrics"):
        reply = client.get(path)
        server.wait_for_log(reply.headers["x-request-id"])
        lines = [line for line in server.stderr.splitlines() if reply.headers["x-request-id"] in line]
        assert len(lines) == 1
        size = int(reply.headers["content-length"])
        ours = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} INFO    pipeline_serve.access: "
        assert re.fullmatch(rf"{ours}GET {path} {reply.status_code} \d+\.\d ms {size} B \[.*\]", lines[0])


@pytest.mark.parametrize(
    "path", ["/%0a2026-01-01 00:00:00.000 INFO    forged", "/%1b[31mred", "/%e2%80%a8next", "/a%20b"]
)
def test_no_path_can_forge_a_line_or_reach_the_terminal(server, client, path):
    reply = client.get(path)
    server.wait_for_log(reply.headers["x-request-id"])
    (line,) = (own for own in events(server) if reply.headers["x-request-id"] in own)
    line = line.rstrip("\n")
    assert line.isprintable()
    assert not [own for own in events(server) if own.startswith("2026-01-01")]
    assert len(line.split("access: ")[1].split(" ")) == 8, "a space in a path is no space in the line"


def test_metrics_have_kserves_four_histograms_with_name_help_label_and_buckets(client):
    body = {"inputs": [{"name": "rows", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
    assert client.post("/v2/models/echo/infer", json=body).status_code == 200
    reply = client.get("/metrics")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(reply.text)}
    helps = {
        "preprocess": "pre-process request latency", "predict": "predict request latency",
        "postprocess": "post-process request latency", "explain": "explain request latency",
    }  # fmt: skip
    for phase, text in helps.items():
        family = families[f"request_{phase}_seconds"]
        assert (family.type, family.documentation) == ("histogram", text)
        mine = [sample for sample in family.samples if sample.labels.get("model_name") == "echo"]
        assert {*sample.labels} <= {"model_name", "le"} if (sample := next(iter(mine), None)) else phase == "explain"
        bounds = [float(sample.labels["le"]) for sample in mine if sample.name.endswith("_bucket")]
        ours = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, float("inf")]
        assert bounds == ([] if phase == "explain" else ours)
    assert {"process_cpu_seconds", "python_info"} <= set(families)


def test_metrics_are_openmetrics_where_the_client_prefers_that(client):
    reply = client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert reply.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert reply.text.endswith("# EOF\n")


# ---- curl


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_as_people_type_it_works_without_a_header(server):
    def curl(*arguments):
        command = ["curl", "-sS", "--noproxy", "*", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    assert (
        curl(f"{server.url}/v1/models/echo:predict", "-d", '{"instances": [[1, 2]]}') == '{"predictions":[[1.0,2.0]]}'
    )
    infer = '{"inputs": [{"name": "rows", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}'
    assert json.loads(curl(f"{server.url}/v2/models/echo/infer", "-d", infer))["outputs"][0]["data"] == [1.0, 2.0]
    assert curl("-I", f"{server.url}/v2/health/live").startswith("HTTP/1.1 200 ")
    assert curl("--http2-prior-knowledge", f"{server.url}/v2/health/live") == '{"live":true}'


def test_many_at_once_get_each_their_own_answer(server):
    numbers = range(60)
    with server.client() as client, ThreadPoolExecutor(12) as pool:

        def ask(number):
            return client.post("/v1/models/echo:predict", json={"instances": [[number, 0]]})

        replies = list(pool.map(ask, numbers))
    assert [reply.json()["predictions"][0][0] for reply in replies] == list(numbers)

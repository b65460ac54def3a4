"""Starting a real process: loading behind a bound port, what makes it ready, and what it refuses to start with."""

from __future__ import annotations

import json
import socket
import ssl

import httpx
import pytest

from server.cli import main
from server.listen import listen
from tests.conformance.zoo import APP, FILES, LOADING
from tests.serving import run, serving, write
from tests.tls import self_signed

ECHO = {"app.py": APP, "graph.yaml": FILES["echo.yaml"]}
INFER = {"inputs": [{"name": "rows", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
ROWS = {"instances": [[1.0, 2.0]]}


def test_models_load_after_the_port_is_bound_live_at_once_and_ready_when_they_are(tmp_path):
    with serving(tmp_path, LOADING, graphs=["echo.yaml", "blocks.yaml"], wait="bound") as server:
        server.wait_until("the load began", (tmp_path / "load.began").exists)
        assert server.get("/v2/health/live").json() == {"live": True}
        assert server.get("/").json() == {"status": "alive"}
        loading = "Model with name blocks is not ready."
        for path in ("/v2/health/ready", "/v2/models/blocks/ready", "/v1/models/blocks"):
            reply = server.get(path)
            assert (reply.status_code, list(reply.json())) == (503, ["error"])
        reply = server.post("/v1/models/blocks:predict", {"instances": [1]})
        assert (reply.status_code, reply.json()) == (503, {"error": loading})
        # Not 501 either, though it has no explain: first it is not ready.
        assert server.post("/v1/models/blocks:explain", {"instances": [1]}).json() == {"error": loading}
        server.wait_until("echo is loaded", lambda: server.get("/v2/models/echo/ready").status_code == 200)
        assert server.post("/v1/models/echo:predict", ROWS).json() == {"predictions": ROWS["instances"]}
        (tmp_path / "load.go").touch()
        server.wait_until_ready()
        assert server.get("/v2/models/blocks/ready").json() == {"name": "blocks", "ready": True}
        assert server.post("/v1/models/blocks:predict", {"instances": [1]}).json() == {"predictions": [1]}
        assert server.stop() == 0


def test_a_model_whose_sample_rows_cannot_tell_is_served_and_the_line_to_try_asks_what_it_takes(tmp_path):
    graph = "schema: {inputs: {none: 'FP32[0,3]'}}\nsteps: {echo: 'app.py:echo'}\n"
    files = {"app.py": "def echo(none):\n    return none\n", "empty.yaml": graph}
    with serving(tmp_path, files, graphs=["empty.yaml"]) as server:
        (line,) = (line for line in server.stdout.splitlines() if line.startswith("  curl "))
        assert line.endswith("/v2/models/empty")


@pytest.mark.parametrize(("mode", "status"), [("all", 503), ("any", 200)])
def test_a_failed_load_says_why_and_the_other_models_are_served_7(tmp_path, mode, status):
    env = {"PIPELINE_SERVE_READY": mode, "PIPELINE_SERVE_LOG_FORMAT": "json"}
    with serving(tmp_path, LOADING, graphs=["breaks.yaml", "echo.yaml"], env=env, wait="bound") as server:
        server.wait_until("echo is loaded", lambda: server.get("/v2/models/echo/ready").status_code == 200)
        server.wait_for_log("the weights are missing")
        reply = server.get("/v2/models/breaks/ready")
        assert reply.status_code == 503
        assert "RuntimeError: the weights are missing" in reply.json()["error"]
        assert server.post("/v1/models/breaks:predict", {"instances": [1]}).status_code == 503
        assert server.post("/v1/models/echo:predict", ROWS).status_code == 200
        assert server.get("/v2/health/ready").status_code == status
        assert server.stop() == 0
        lines = [json.loads(line) for line in server.stderr.splitlines()]
        (failed,) = (line for line in lines if line["level"] == "error")
        assert "the weights are missing" in failed["message"]
        line = 1 + APP.splitlines().index('        raise RuntimeError("the weights are missing")')
        assert f'app.py", line {line}, in load' in failed["traceback"]
        access = [line for line in lines if line["logger"] == "pipeline_serve.access"]
        assert {"time", "level", "logger", "message", "request_id", "method", "path", "status", "ms", "bytes"} == set(
            access[0]
        )
        assert {line["path"] for line in access} >= {"/v2/models/breaks/ready", "/v1/models/echo:predict"}


def test_the_body_limit_is_a_413_that_the_client_sees_however_the_body_is_sent(tmp_path):
    with serving(tmp_path, ECHO, "--max-body=1KiB", "--no-access-log") as server:
        large = b'{"instances": [' + b"[1.0, 2.0]," * 400_000 + b"[1, 2]]}"

        def chunks():
            for start in range(0, len(large), 65536):
                yield large[start : start + 65536]

        with server.client() as client:
            for content in (large, chunks(), large[:2000]):
                reply = client.post("/v1/models/graph:predict", content=content)
                assert (reply.status_code, reply.json()) == (
                    413, {"error": "the body is larger than 1024 bytes (--max-body)"}
                )  # fmt: skip
            assert client.post("/v1/models/graph:predict", json=ROWS).status_code == 200
            fitting = b'{"instances": [[1, 2]]' + b" " * 1000 + b"}"
            assert client.post("/v1/models/graph:predict", content=fitting).status_code == 200
        assert "access" not in server.stderr


def test_ipv6_is_served_under_the_name_that_a_flag_gives(tmp_path):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with serving(tmp_path, ECHO, "--host=[::1]", "--model_name", "good") as server:
        assert server.url.startswith("http://[::1]:")
        assert f"{server.url}/v1/models/good:predict" in server.stdout
        assert server.get("/v2/models").json() == {"models": ["good"]}
        reply = server.post("/v2/models/good/infer", INFER)
        assert (reply.status_code, reply.json()["model_name"]) == (200, "good")


def test_tls_is_served_with_kserves_flags_and_a_plain_request_to_it_harms_nobody(tmp_path):
    self_signed(tmp_path)
    with serving(tmp_path, ECHO, "--ssl_certfile=cert.pem", "--ssl_keyfile", "key.pem") as server:
        assert server.url.startswith("https://127.0.0.1:")
        with server.client(verify=ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))) as client:
            assert client.post("/v1/models/graph:predict", json=ROWS).json() == {"predictions": ROWS["instances"]}
            with pytest.raises(httpx.TransportError):
                httpx.get(server.url.replace("https", "http"), trust_env=False)
            assert client.get("/v2/health/live").status_code == 200
        assert server.stop() == 0


# ---- what is refused


def refused(code: int, text: str, expected_code: int, says: str) -> None:
    """One clear line, and that exit code."""
    assert (code, text.count("\n")) == (expected_code, 1), text
    assert says in text


def test_a_port_in_use_is_one_line_and_exit_1(tmp_path):
    write(tmp_path, ECHO)
    with listen("127.0.0.1", 0, secure=False).socket as taken:
        port = taken.getsockname()[1]
        ended = run(tmp_path, "graph.yaml", "--host", "127.0.0.1", f"--http_port={port}")
    refused(ended.returncode, ended.stderr, 1, f"port {port} on 127.0.0.1 cannot be bound: another process has it")
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("graphs", "says"),
    [(["bad.yaml"], 'bad.yaml:1:17: step "answer"'), (["graph.yaml", "graph.yaml"], "graph.yaml:1:1: two graphs")],
)
def test_a_fault_in_the_files_is_exit_2_and_nothing_is_bound(tmp_path, graphs, says):
    write(tmp_path, {**ECHO, "bad.yaml": "steps: {answer: app.py:nope}"})
    ended = run(tmp_path, *graphs, "--host=127.0.0.1", "--http-port=0")
    refused(ended.returncode, ended.stderr, 2, says)
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nope.yaml"], "nope.yaml: cannot be read"),
        (["."], ".: has no model file"),
        (["graph.yaml", "--http_prot", "1"], 'there is no flag "--http_prot"; did you mean "--http-port"?'),
        (["graph.yaml", "--workers=1000"], "1000 is no number of worker processes: 1 to 512"),
        (
            ["graph.yaml", "--tls-cert", "graph.yaml"],
            "--tls-key (--ssl_keyfile) go together",
        ),
        (
            ["graph.yaml", "--tls-cert=no.pem", "--tls-key", "no.pem"],
            "--tls-cert (--ssl_certfile): there is no file no.pem",
        ),
        (["graph.yaml", "--tls-cert=graph.yaml", "--tls-key=app.py"], "graph.yaml and app.py are no certificate"),
        (["graph.yaml", "other.yaml", "--model-name", "x"], "--model-name names one graph, and there are several"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(tmp_path, monkeypatch, capsys, arguments, says):
    write(tmp_path, {**ECHO, "other.yaml": FILES["count.yaml"]})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    refused(ended.value.code, capsys.readouterr().err, 2, says)

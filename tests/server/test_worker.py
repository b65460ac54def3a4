"""How a real process stops: what it still answers, what it cuts, and the exit code."""

from __future__ import annotations

import os
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.conformance.zoo import APP, FILES, LOADING
from tests.serving import Server, serving

WAITS = {"app.py": APP, "wait.yaml": FILES["wait.yaml"]}


def ask(server: Server, name: str) -> httpx.Response:
    return server.post("/v1/models/wait:predict", {"instances": [name]})


def began(server: Server, name: str = "x") -> None:
    server.wait_until("the step began", (server.folder / f"{name}.began").exists)


def closed(connection: socket.socket) -> bool:
    """The server closed it in an orderly way. Waits for that, as long as the socket's timeout."""
    return connection.recv(1) == b""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda own: own.name)
def test_a_stop_finishes_what_is_in_flight_closes_what_is_idle_and_exits_0_5_6(tmp_path, number):
    with serving(tmp_path, WAITS, graphs=["wait.yaml"]) as server, ThreadPoolExecutor() as pool:
        idle = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        silent = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        with idle, silent:
            idle.sendall(b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\n\r\n")
            answer = b""
            while not answer.endswith(b'{"live":true}'):
                answer += idle.recv(65536)
            in_flight = pool.submit(ask, server, "x")
            began(server)
            server.send(number)
            # Neither the keep-alive connection nor the silent one waits for its idle time of 65 s.
            assert closed(idle)
            assert closed(silent)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", server.port), timeout=30)
            assert not in_flight.done()
            (tmp_path / "x.go").touch()
            assert in_flight.result().json() == {"predictions": "x"}
        assert server.wait() == 0
        assert f"{number.name}: draining" in server.stderr
        assert "Traceback" not in server.stderr


def test_with_a_drain_delay_readiness_is_503_first_while_requests_are_still_served_5(tmp_path):
    flags = ["--drain-delay", "1h", "--log-format", "json"]
    with serving(tmp_path, WAITS, *flags, graphs=["wait.yaml"]) as server:
        server.send()
        server.wait_for_log("draining")
        ready = server.get("/v2/health/ready")
        assert (ready.status_code, list(ready.json())) == (503, ["error"])
        assert server.get("/v2/health/live").json() == {"live": True}
        (tmp_path / "x.go").touch()
        assert ask(server, "x").json() == {"predictions": "x"}
        server.send(signal.SIGINT)
        assert server.wait() == 128 + signal.SIGINT, "a second signal does not wait"


def test_a_second_signal_ends_at_once_though_a_request_is_in_flight(tmp_path):
    with serving(tmp_path, WAITS, graphs=["wait.yaml"]) as server, ThreadPoolExecutor() as pool:
        in_flight = pool.submit(ask, server, "x")
        began(server)
        server.send(signal.SIGTERM)
        server.wait_for_log("draining")
        assert server.stop(signal.SIGTERM) == 128 + signal.SIGTERM
        with pytest.raises(httpx.TransportError):
            in_flight.result()


def test_the_grace_period_cuts_what_takes_longer_and_the_exit_is_clean(tmp_path):
    files = {**WAITS, "block.yaml": FILES["block.yaml"]}
    with (
        serving(tmp_path, files, "--grace", "50ms", graphs=["wait.yaml", "block.yaml"]) as server,
        ThreadPoolExecutor() as pool,
    ):
        futures = [pool.submit(ask, server, "x")]
        futures.append(pool.submit(server.post, "/v1/models/block:predict", {"instances": ["y"]}))
        began(server)
        began(server, "y")
        # "y" is a thread that computes and is never told to go on: it cannot hold the process.
        assert server.stop() == 0
        assert (tmp_path / "x.cancelled").exists()
        assert "grace period is over" in server.stderr
        for future in futures:
            with pytest.raises(httpx.TransportError):
                future.result()


def test_a_stop_while_a_model_loads_does_not_wait_for_it(tmp_path):
    with serving(tmp_path, LOADING, graphs=["blocks.yaml"], wait="bound") as server:
        server.wait_until("the load began", (tmp_path / "load.began").exists)
        assert server.stop() == 0
        assert "Traceback" not in server.stderr


STUBBORN = """
import trio
from pathlib import Path

class Stubborn:
    async def load(self):
        Path("load.began").touch()
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()

    async def __call__(self, rows):
        return rows
"""
AT_ONCE = "import server.worker; server.worker._CLOSING = 0.0; from server.cli import main; main()"


def test_code_that_no_cancellation_ends_does_not_keep_the_process(tmp_path):
    files = {**WAITS, "stubborn.py": STUBBORN, "stubborn.yaml": "steps: {answer: {run: stubborn.py:Stubborn}}"}
    command, graphs = (sys.executable, "-c", AT_ONCE), ["stubborn.yaml", "wait.yaml"]
    with serving(tmp_path, files, "--grace", "0s", graphs=graphs, wait="bound", command=command) as server:
        server.wait_until("the load began", (tmp_path / "load.began").exists)
        assert server.stop() == 3
        assert 'ending the process: code of model "stubborn" goes on, cancelled or not' in server.stderr


def test_a_server_that_says_where_it_is_hears_signals(tmp_path):
    with serving(tmp_path, WAITS, graphs=["wait.yaml"], wait="bound") as server:
        assert server.stop(signal.SIGINT) == 0


CLOSES = """
from pathlib import Path

class Closes:
    def close(self):
        Path(__file__).with_name("closed").touch()

    def __call__(self, rows):
        return rows
"""


def test_models_are_closed_last(tmp_path):
    with serving(tmp_path, {"app.py": CLOSES, "graph.yaml": "steps: {answer: app.py:Closes}"}) as server:
        assert not (tmp_path / "closed").exists()
        assert server.stop() == 0
        assert (tmp_path / "closed").exists()


def test_a_unix_socket_is_served_and_removed_at_the_end(tmp_path):
    path = tmp_path / "s"
    with serving(tmp_path, WAITS, f"--host=unix:{path}", graphs=["wait.yaml"]) as server:
        transport = httpx.HTTPTransport(uds=str(path))
        with httpx.Client(transport=transport, base_url="http://h", trust_env=False) as client:
            server.wait_until("it is ready", lambda: client.get("/v2/health/ready").status_code == 200)
            assert client.get("/v2/models").json() == {"models": ["wait"]}
        assert f"--unix-socket {path}" in server.stdout
        assert server.stop() == 0
    assert not os.path.lexists(path)


DETACHED = {
    "graph.yaml": "name: m\nsteps:\n  a: app.py:a\n  log: {run: app.py:log, detached: true}\n",
    "app.py": """
import pathlib, trio

class a:
    def __call__(self, x): return x
    def close(self): pathlib.Path("closed").write_text(str(pathlib.Path("ended").exists()))

async def log(x):
    pathlib.Path("began").touch()
    try:
        while not pathlib.Path("go").exists():
            await trio.sleep(0.01)
    finally:
        pathlib.Path("ended").touch()
    return x
""",
}


@pytest.mark.parametrize("grace", ["60s", "200ms"])
def test_a_stop_waits_for_detached_steps_within_the_grace_period_and_models_close_last(tmp_path, grace):
    with serving(tmp_path, DETACHED, "--grace", grace) as server:
        assert server.post("/v1/models/m:predict", {"instances": [1]}).json() == {"predictions": [1]}
        server.wait_until("the step began", (tmp_path / "began").exists)
        server.send()
        server.wait_for_log("draining")
        if grace == "60s":
            assert not (tmp_path / "ended").exists()
            (tmp_path / "go").touch()
        assert server.wait() == 0
        assert (tmp_path / "closed").read_text() == "True"
        cut = "detached steps that still run are cancelled" in server.stderr
        assert cut is (grace != "60s")
        assert ('detached step "log" of model "m" failed: InferError' in server.stderr) is cut


def test_the_failure_of_a_detached_step_is_in_the_log_with_its_request_id_and_the_answer_is_none_the_worse(tmp_path):
    files = {**DETACHED, "app.py": "def a(x): return x\ndef log(x): raise ValueError('oh')\n"}
    with serving(tmp_path, files) as server:
        reply = server.post("/v1/models/m:predict", {"instances": [1]}, headers={"x-request-id": "mine"})
        assert reply.json() == {"predictions": [1]}
        server.wait_for_log("ValueError: oh [mine]")
        assert 'detached step "log" of model "m" failed: ValueError: oh [mine]' in server.stderr
        assert "Traceback" in server.stderr


def test_a_detached_step_that_raises_what_ctrl_c_raises_stops_no_server(tmp_path):
    files = {
        "app.py": "def same(x): return x\nasync def log(x): raise KeyboardInterrupt\n",
        "graph.yaml": "steps:\n  a: app.py:same\n  log: {run: app.py:log, detached: true}\n",
    }
    with serving(tmp_path, files) as server:
        for _ in range(2):
            assert server.post("/v1/models/graph:predict", {"instances": [1]}).json() == {"predictions": [1]}
        server.send(signal.SIGTERM)
        assert server.wait() == 0
        assert server.stderr.count('detached step "log" of model "graph" failed: WrongAnswer') == 2

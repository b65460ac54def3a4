"""Several workers: one dies and the others never notice; a stop, a load, a scrape is of them all."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.conformance.zoo import APP, FILES
from tests.serving import PATIENCE, Server, serving, write

ECHO = """
import os

async def who(rows):
    return {"pid": os.getpid()}
"""
FILES = {"app.py": APP, "wait.yaml": FILES["wait.yaml"], "who.py": ECHO, "who.yaml": "steps: {answer: who.py:who}"}
GRAPHS = ["who.yaml", "wait.yaml"]
READY = re.compile(r"^(\S+ \S+) INFO +(\d+) pipeline_serve: all (\d+) workers are ready", re.MULTILINE)


@contextmanager
def serving_by(workers: int, folder: Path, *flags: str, graphs=GRAPHS, **how: object) -> Iterator[Server]:
    with serving(folder, FILES, "--workers", str(workers), *flags, graphs=graphs, **how) as server:
        yield server


def who(server: Server) -> int:
    """The worker that answers a connection of its own."""
    return server.post("/v1/models/who:predict", {"instances": [0]}).json()["pid"]


def workers_of(server: Server) -> set[int]:
    """The children of the supervisor, by the system's word."""
    listed = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    return {int(number) for number in listed.split() if not is_gone(int(number))}


def is_gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def answering(server: Server, workers: int) -> set[int]:
    """The workers that answer, once so many different ones have."""
    found: set[int] = set()

    def enough() -> bool:
        found.add(who(server))
        return len(found) >= workers

    server.wait_until(f"{workers} workers have answered", enough)
    return found


def metric(server: Server, name: str) -> float:
    (value,) = re.findall(rf"^{re.escape(name)} (\S+)$", server.get("/metrics").text, re.MULTILINE)
    return float(value)


# ---- a worker dies


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers that tests kill, and that are two again after each."""
    with serving_by(2, tmp_path_factory.mktemp("two")) as server:
        yield server


@pytest.fixture
def pair(two: Server) -> Server:
    two.wait_until("two workers serve", lambda: metric(two, "workers") == 2)
    return two


def test_the_greeting_says_how_many_and_each_line_of_the_log_whose_it_is(pair):
    assert pair.stdout.count("serving on ") == 1
    assert pair.stdout.splitlines()[1] == "  by 2 workers"
    ((_, supervisor, number),) = READY.findall(pair.stderr)
    assert (int(supervisor), number) == (pair.process.pid, "2")
    for worker in answering(pair, 2):
        pair.wait_for_log(f"{worker} pipeline_serve.access: POST /v1/models/who:predict 200")


def test_kill_9_under_load_fails_what_is_in_flight_in_that_worker_alone_and_another_takes_its_place(pair):
    before = workers_of(pair)
    victim, survivor = sorted(before)
    over = threading.Event()
    answers: Counter[int | str] = Counter()

    def ask_on_one_connection() -> None:
        while not over.is_set():
            with pair.client() as client:
                try:
                    mine = None
                    for _ in range(20):
                        reply = client.post("/v1/models/who:predict", json={"instances": [0]})
                        mine = reply.json()["pid"]
                        answers[mine] += 1
                except httpx.TransportError:
                    # A connection that is the victim's, or was: an answer came from nobody else on it.
                    answers["failed of the victim" if mine in {victim, None} else "failed of another"] += 1

    clients = 8
    with ThreadPoolExecutor(clients) as pool:
        asking = [pool.submit(ask_on_one_connection) for _ in range(clients)]
        try:
            pair.wait_until("both are under load", lambda: min(answers[victim], answers[survivor]) > 50)
            os.kill(victim, signal.SIGKILL)
            pair.wait_until("another one has started", lambda: workers_of(pair) - before)
            (replacement,) = workers_of(pair) - before
            pair.wait_until("it answers", lambda: answers[replacement])
        finally:
            over.set()
        for future in asking:
            future.result()
    assert answering(pair, 2) == {survivor, replacement}, "two serve again, and the other one has not noticed"
    assert answers["failed of another"] == 0
    assert answers["failed of the victim"] <= clients, "no connection failed twice"
    assert f"worker {victim} was killed by SIGKILL; another one starts" in pair.stderr


def test_what_a_killed_worker_has_counted_stays_in_the_sum_whoever_is_asked(pair):
    answering(pair, 2)
    name = 'request_predict_seconds_count{model_name="who"}'
    before, cpu = metric(pair, name), metric(pair, "process_cpu_seconds_total")
    restarts = metric(pair, "worker_restarts_total")
    victim = who(pair)
    os.kill(victim, signal.SIGKILL)
    pair.wait_until("it is replaced", lambda: metric(pair, "worker_restarts_total") == restarts + 1)
    for _ in range(8):
        assert metric(pair, name) == before + 1
        assert metric(pair, "process_cpu_seconds_total") >= cpu
    pair.wait_until("two workers serve again", lambda: metric(pair, "workers") == 2)
    answering(pair, 2)
    assert metric(pair, name) > before + 1


def test_a_worker_that_is_told_to_stop_by_itself_drains_and_is_replaced(pair):
    (pair.folder / "alone.go").unlink(missing_ok=True)
    with ThreadPoolExecutor() as pool:
        in_flight = pool.submit(pair.post, "/v1/models/wait:predict", {"instances": ["alone"]})
        pair.wait_until("the step began", (pair.folder / "alone.began").exists)
        before = workers_of(pair)
        for worker in before:
            os.kill(worker, signal.SIGTERM)
        pair.wait_until("one has ended, which had nothing to do", lambda: not before <= workers_of(pair))
        (pair.folder / "alone.go").touch()
        assert in_flight.result().json() == {"predictions": "alone"}
    pair.wait_until("both are replaced", lambda: len(workers_of(pair)) == 2 and not workers_of(pair) & before)
    pair.wait_until("two workers serve again", lambda: metric(pair, "workers") == 2)


# ---- what is served is the same in all of them


def change(server: Server, verb: str, model: str) -> httpx.Response:
    return server.post(f"/v2/repository/models/{model}/{verb}")


def states(server: Server) -> set[str]:
    """What the index says, from whoever answers; so often that each worker has, but for one time in a thousand."""
    return {server.post("/v2/repository/index").text for _ in range(10)}


def test_a_load_and_an_unload_reach_every_worker_and_those_that_come_later(pair):
    write(pair.folder, {"who.py": ECHO.replace('"pid": os', '"new": 1, "pid": os')})
    assert change(pair, "load", "who").json() == {"name": "who", "load": True}
    answers = [pair.post("/v1/models/who:predict", {"instances": [0]}).json() for _ in range(20)]
    assert {own.get("new") for own in answers} == {1}
    assert len({own["pid"] for own in answers}) == 2
    for worker in workers_of(pair):
        os.kill(worker, signal.SIGKILL)
        pair.wait_until("two workers serve again", lambda: metric(pair, "workers") == 2)
    answers = [pair.post("/v1/models/who:predict", {"instances": [0]}).json() for _ in range(20)]
    assert {own.get("new") for own in answers} == {1}, "a replacement has what was loaded"
    assert change(pair, "unload", "wait").json() == {"name": "wait", "unload": True}
    assert {pair.get("/v2/models/wait").status_code for _ in range(10)} == {404}
    os.kill(who(pair), signal.SIGKILL)
    pair.wait_until("it has ended", lambda: len(workers_of(pair)) == 2)
    pair.wait_until("two workers serve again", lambda: metric(pair, "workers") == 2)
    assert {pair.get("/v2/models/wait").status_code for _ in range(10)} == {404}
    assert len(states(pair)) == 1
    assert change(pair, "unload", "wait").status_code == 404
    assert change(pair, "load", "wait").status_code == 200
    assert {pair.get("/v2/models/wait").status_code for _ in range(10)} == {200}


ONCE = """
import os
from pathlib import Path

class Once:
    # The first worker that opens it can, and no other.
    def load(self):
        os.open(Path(__file__).with_name("taken"), os.O_CREAT | os.O_EXCL)

    async def __call__(self, rows):
        return {"new": True}
"""


def test_a_load_that_one_worker_cannot_make_is_made_by_none(pair):
    before = who(pair)
    write(pair.folder, {"who.py": ONCE, "who.yaml": "steps: {answer: who.py:Once}"})
    failed = change(pair, "load", "who")
    assert (failed.status_code, "Model with name who is not ready" in failed.text) == (503, True)
    assert (pair.folder / "taken").exists(), "one of them had opened it"
    for _ in range(10):
        assert "pid" in pair.post("/v1/models/who:predict", {"instances": [0]}).json()
    assert before in workers_of(pair)
    write(pair.folder, {"who.py": ECHO, "who.yaml": FILES["who.yaml"]})
    assert change(pair, "load", "who").status_code == 200


DEADLY = """
import os, signal
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_load_that_kills_a_worker_fails_and_what_was_served_is_served_on(pair):
    write(pair.folder, {"who.py": DEADLY})
    reply = change(pair, "load", "who")
    assert (reply.status_code, "A worker ended while it was loading it" in reply.text) == (503, True)
    for _ in range(20):
        assert "pid" in pair.post("/v1/models/who:predict", {"instances": [0]}).json(), "the other did not open it"
    write(pair.folder, {"who.py": ECHO})
    pair.wait_until("two workers serve again", lambda: metric(pair, "workers") == 2)
    assert len(answering(pair, 2)) == 2


# ---- a stop


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "number", "whole_group"),
    [(1, signal.SIGTERM, False), (2, signal.SIGTERM, False), (4, signal.SIGTERM, False), (2, signal.SIGINT, True)],
    ids=["1", "2", "4", "2, Ctrl-C"],
)
def test_a_stop_loses_no_request_in_flight_though_it_takes_2_s_more(tmp_path, workers, number, whole_group):
    names = [f"r{number}" for number in range(4 * workers)]
    with serving_by(workers, tmp_path) as server, ThreadPoolExecutor(len(names)) as pool:
        asked = [pool.submit(server.post, "/v1/models/wait:predict", {"instances": [name]}) for name in names]
        for name in names:
            server.wait_until(f"{name} began", (tmp_path / f"{name}.began").exists)
        processes = {server.process.pid, *(workers_of(server) if workers > 1 else ())}
        for process in processes if whole_group else [server.process.pid]:
            os.kill(process, number)
        server.wait_until("the port is closed", lambda: refused(server))
        time.sleep(2)
        assert not any(future.done() for future in asked)
        for name in names:
            (tmp_path / f"{name}.go").touch()
        assert [future.result().json() for future in asked] == [{"predictions": name} for name in names]
        assert server.wait() == 0
    assert f"{number.name}: draining, then stopping" in server.stderr
    assert "Traceback" not in server.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_who_waits_in_the_line_when_the_port_closes_is_answered(tmp_path, workers):
    waiting = 200
    asks = (
        b"POST /v1/models/who:predict HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n"
        b'content-length: 17\r\n\r\n{"instances":[0]}'
    )
    with serving_by(workers, tmp_path) as server:
        serve = workers_of(server) if workers > 1 else {server.process.pid}
        for process in serve:
            os.kill(process, signal.SIGSTOP)
        clients = [socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) for _ in range(waiting)]
        for client in clients:
            client.sendall(asks)
        server.send(signal.SIGTERM)
        if workers > 1:
            server.wait_for_log("draining, then stopping")
        for process in serve:
            os.kill(process, signal.SIGCONT)
        answers = Counter(client.recv(65536).partition(b"\r\n")[0] for client in clients)
        assert answers == {b"HTTP/1.1 200 OK": waiting}
        assert server.wait() == 0
        for client in clients:
            client.close()


def refused(server: Server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=30).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


def test_during_the_drain_delay_no_worker_is_ready_and_a_second_signal_ends_all_at_once(tmp_path):
    with serving_by(2, tmp_path, "--drain-delay", "1h") as server:
        workers = workers_of(server)
        server.send(signal.SIGTERM)
        ready = "/v2/health/ready"
        server.wait_until("none is ready", lambda: {server.get(ready).status_code for _ in range(9)} == {503})
        assert server.get("/v2/health/live").status_code == 200
        assert server.stop(signal.SIGINT) == 128 + signal.SIGINT
        until("no worker is left", lambda: all(map(is_gone, workers)))


def test_workers_outlive_their_supervisor_only_for_what_is_in_flight(tmp_path):
    with serving_by(2, tmp_path) as server, ThreadPoolExecutor() as pool:
        workers = workers_of(server)
        in_flight = pool.submit(server.post, "/v1/models/wait:predict", {"instances": ["x"]})
        server.wait_until("the step began", (tmp_path / "x.began").exists)
        server.send(signal.SIGKILL)
        server.wait()
        until("the port is closed", lambda: refused(server))
        (tmp_path / "x.go").touch()
        assert in_flight.result().json() == {"predictions": "x"}
        until("no worker is left", lambda: all(map(is_gone, workers)))


def until(what: str, happened) -> None:
    give_up = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < give_up, what
        time.sleep(0.005)


# ---- workers that cannot

DIES = """
import os

class Dies:
    def load(self):
        os._exit(9)

    def __call__(self, rows):
        return rows
"""
BAD = """
class Bad:
    def load(self):
        1 / 0

    def __call__(self, rows):
        return rows
"""


@pytest.mark.slow
def test_workers_that_end_before_they_serve_are_an_error_and_the_end(tmp_path):
    dies = {
        "dies.py": DIES,
        "dies.yaml": "steps: {answer: dies.py:Dies}",
    }
    write(tmp_path, dies)
    with serving_by(2, tmp_path, graphs=["dies.yaml"], wait="nothing") as server:
        assert server.wait() == 1
        assert "pipeline-serve: workers end before they serve; the last one ended with exit code 9" in server.stderr
        assert server.stderr.count("ended with exit code 9; another one starts") == 9


def test_a_replacement_that_cannot_open_what_the_others_serve_takes_no_requests(tmp_path):
    fussy = BAD.replace("1 / 0", "assert not Path(__file__).with_name('no').exists()").replace(
        "class", "from pathlib import Path\n\nclass"
    )
    write(tmp_path, {"bad.py": fussy, "bad.yaml": "steps: {answer: bad.py:Bad}"})
    with serving_by(2, tmp_path, graphs=["who.yaml", "bad.yaml"]) as server:
        (tmp_path / "no").touch()
        os.kill(who(server), signal.SIGKILL)
        server.wait_for_log("takes no requests: it cannot open bad, which the others serve")
        (survivor,) = {who(server) for _ in range(10)}
        assert {server.get("/v2/health/ready").status_code for _ in range(5)} == {200}
        assert metric(server, "workers") == 1
        (tmp_path / "no").unlink()
        server.wait_until("two workers serve again", lambda: metric(server, "workers") == 2)
        assert survivor in answering(server, 2)
        assert server.stop() == 0


SHY = """
import os
from pathlib import Path

import server.supervisor

server.supervisor._SHORT_LIFE = 0.05
fork, forked = os.fork, []

def shy():
    if forked and Path("full").exists():
        raise BlockingIOError("no more processes")
    forked.append(1)
    return fork()

os.fork = shy

from server.cli import main

main()
"""
SLOW = """
import os, time
from pathlib import Path

class New:
    def load(self):
        Path("opens").touch()
        while not Path("go").exists():
            time.sleep(0.005)

    async def __call__(self, rows):
        return {"new": True, "pid": os.getpid()}
"""


def test_one_that_could_not_be_started_with_the_others_joins_as_one_that_comes_later(tmp_path):
    """Though a load is under way when it can, of which it has not been told."""
    write(tmp_path, {"full": ""})
    with (
        serving_by(2, tmp_path, wait="bound", command=(sys.executable, "-c", SHY)) as server,
        ThreadPoolExecutor() as pool,
    ):
        server.wait_until("one serves", lambda: who(server))
        write(tmp_path, {"who.py": SLOW, "who.yaml": "steps: {answer: who.py:New}"})
        load = pool.submit(change, server, "load", "who")
        server.wait_until("it is being opened", (tmp_path / "opens").exists)
        (tmp_path / "full").unlink()
        server.wait_until("both are there", lambda: len(workers_of(server)) == 2)
        (tmp_path / "go").touch()
        assert load.result().status_code == 200
        server.wait_until_ready()
        assert answering(server, 2) == set(workers_of(server))
        answers = [server.post("/v1/models/who:predict", {"instances": [0]}).json() for _ in range(20)]
        assert {own.get("new") for own in answers} == {True}
        assert "no worker can be started: no more processes; trying again" in server.stderr
        assert server.stop() == 0


AT_ONCE = "import server.supervisor; server.supervisor._MORE = 0.0; from server.cli import main; main()"


def test_a_worker_that_does_not_stop_is_killed_in_the_end_and_that_is_exit_code_3(tmp_path):
    command = (sys.executable, "-c", AT_ONCE)
    with serving_by(2, tmp_path, "--grace", "10ms", command=command) as server:
        stuck = min(workers_of(server))
        os.kill(stuck, signal.SIGSTOP)
        assert server.stop() == 3
        assert f"killing workers that do not stop: {stuck}" in server.stderr
        assert is_gone(stuck)


def test_a_model_that_cannot_load_leaves_the_server_not_ready_as_with_one_worker(tmp_path):
    bad = {
        "bad.py": BAD,
        "bad.yaml": "steps: {answer: bad.py:Bad}",
    }
    write(tmp_path, bad)
    with serving_by(2, tmp_path, graphs=["who.yaml", "bad.yaml"], wait="bound") as server:
        server.wait_until("both have failed", lambda: server.stderr.count('model "bad" version 1 failed to load') == 2)
        assert len(answering(server, 2)) == 2
        assert server.get("/v2/health/ready").status_code == 503
        write(tmp_path, {"bad.py": BAD.replace("1 / 0", "pass")})
        assert change(server, "load", "bad").status_code == 200
        server.wait_until_ready()
        assert server.stop() == 0


def test_one_socket_file_is_there_as_long_as_the_server_and_not_longer(tmp_path):
    with serving_by(2, tmp_path, "--host", "unix:own.socket", wait="bound") as server:
        transport = httpx.HTTPTransport(uds=str(tmp_path / "own.socket"))
        with httpx.Client(transport=transport, base_url="http://localhost", timeout=PATIENCE) as client:
            server.wait_until("it is ready", lambda: client.get("/v2/health/ready").status_code == 200)
        os.kill(min(workers_of(server)), signal.SIGTERM)
        server.wait_for_log("ended with exit code 0; another one starts")
        assert (tmp_path / "own.socket").exists()
        assert server.stop() == 0
        assert not (tmp_path / "own.socket").exists()

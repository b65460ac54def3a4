"""What the callers of one model notice while another one is downloaded: their latency, with a load and without.

    python -m benchmarks.pull_while_serving [--only fast|slow] [--rounds 8] [--rate 250] [--nginx PATH] [--folder DIR]

A server has a small model and is asked for it over one connection, at a fixed rate, or as soon as the answer is there
where that is later. In each round a model whose file of 1 GiB lies behind nginx is loaded by the repository API, as
fast as nginx gives it, and held to 60 MB/s per connection. The file has changed before, so that all of it is pulled.
Three times of the same length go before and after it: in one nothing happens; in one the model is loaded that is in
the cache; and since nginx runs on the same cores, in one curl at the lowest priority takes the same bytes at the
pull's rate, and the server has no part in it. Before the rounds it is loaded once, which imports its library in the
server: that has a line of its own, for a pull has no part in it.

Prints p50 and p99 of each, of all rounds together; p99 against the first of them, of all rounds together and as the
median of what it is in each; and the pull's rate and CPU seconds, nginx and client not counted. The target is less than
1.2×.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import httpx

from benchmarks.pulls import MIB, arguments, bucket
from tests.serving import Server, serving

SIZE = 1024 * MIB
FIRST = 3.0
PICKLE = b"\x80\x02capp\nScale\n)\x81}X\x02\x00\x00\x00byK\x03sb."
APP = """
import numpy as np

class Scale:
    def predict(self, X): return X * self.by

def scores(rows: np.ndarray) -> np.ndarray:
    return np.tanh(rows @ np.ones((rows.shape[1], 8)))
"""
SERVED = "name: small\nsteps: {scores: {run: app.py:scores}}\n"
LOADED = "steps: {m: {model: s3://bkt/big/model.pkl}}\n"
BODY = b'{"instances": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]}'


@dataclass
class Times:
    """Latencies in seconds, by rounds: alone, during a load without a pull, during a pull, while somebody else takes
    the same bytes; and what pulls took.
    """

    alone: list[list[float]] = field(default_factory=list)
    loading: list[list[float]] = field(default_factory=list)
    pulling: list[list[float]] = field(default_factory=list)
    beside: list[list[float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def main() -> None:
    read = arguments()
    read.add_argument("--rounds", type=int, default=8)
    read.add_argument("--rate", type=float, default=250.0)
    read.add_argument("--only", choices=("fast", "slow"), help="one part of it")
    told = read.parse_args()
    with bucket(told, [("big", ["model.pkl"], SIZE)]) as (folder, ports):
        with (folder / "www/big/model.pkl").open("r+b") as file:
            file.write(PICKLE)
        for part, what, port in zip(
            ("fast", "slow"), ("as fast as it goes", "60 MB/s per connection"), ports, strict=True
        ):
            if told.only not in (None, part):
                continue
            with server(folder, port) as own:
                times, first = Times(), first_load(own, told.rate)
                for _ in range(told.rounds):
                    one_round(own, folder, port, told.rate, times)
            report(what, times, first)


@contextmanager
def server(folder: Path, port: int) -> Iterator[Server]:
    """The server, with a folder of models in which nothing is yet."""
    place = Path(tempfile.mkdtemp(dir=folder))
    (place / "models").mkdir()
    env = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "awsAnonymousCredential": "true"}
    flags = (
        "--model-repository",
        "models",
        "--cache-dir",
        "cache",
        "--cache-size",
        f"{SIZE + MIB}B",
        "--no-access-log",
    )
    with serving(place, {"app.py": APP, "graph.yaml": SERVED}, *flags, env=env) as own:
        (place / "models/big").mkdir()
        (place / "models/big/app.py").write_text(APP)
        (place / "models/big/graph.yaml").write_text(LOADED)
        with calling(own.port, 100.0, []):
            time.sleep(1)
        yield own


def first_load(own: Server, rate: float) -> list[float]:
    """Latencies while the library is imported, and the rest of such a load; it is pulled, too."""
    latencies: list[float] = []
    with own.client(timeout=600.0) as client, calling(own.port, rate, latencies):
        client.post("/v2/repository/models/big/load").raise_for_status()
    return latencies


def one_round(own: Server, folder: Path, port: int, rate: float, times: Times) -> None:
    last = times.seconds[-1] if times.seconds else FIRST
    with calling(own.port, rate, begun(times.alone)):
        time.sleep(last)
    os.utime(folder / "www/big/model.pkl")
    with own.client(timeout=600.0) as client:
        before, start = cpu_of(own.process.pid), time.perf_counter()
        with calling(own.port, rate, begun(times.pulling)):
            reply = client.post("/v2/repository/models/big/load")
        times.seconds.append(time.perf_counter() - start)
        times.cpu.append(cpu_of(own.process.pid) - before)
        assert reply.status_code == httpx.codes.OK, reply.text
        with calling(own.port, rate, begun(times.loading)):
            client.post("/v2/repository/models/big/load").raise_for_status()
            time.sleep(times.seconds[-1])
    speed = int(SIZE / times.seconds[-1])
    curl = ["curl", "-s", "-o", "/dev/null", "--limit-rate", str(speed), f"http://127.0.0.1:{port}/bkt/big/model.pkl"]
    with calling(own.port, rate, begun(times.beside)):
        taking = subprocess.Popen(["nice", "-n", "19", *curl])
        time.sleep(times.seconds[-1])
        taking.kill()
        taking.wait()


def begun(rounds: list[list[float]]) -> list[float]:
    """Another round of them."""
    rounds.append([])
    return rounds[-1]


@contextmanager
def calling(port: int, rate: float, latencies: list[float]) -> Iterator[None]:
    """Asks the small model, at that rate, for as long as it is inside; adds the seconds that each answer took."""
    over = threading.Event()
    thread = threading.Thread(target=_call, args=(port, rate, latencies, over.is_set))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _call(port: int, rate: float, latencies: list[float], over: Callable[[], bool]) -> None:
    head = f"POST /v1/models/small:predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(BODY)}\r\n"
    request = f"{head}content-type: application/json\r\n\r\n".encode() + BODY
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        due = time.perf_counter()
        while not over():
            time.sleep(max(0.0, due - time.perf_counter()))
            start = time.perf_counter()
            due = start + 1 / rate
            connection.sendall(request)
            reply = _reply(connection)
            latencies.append(time.perf_counter() - start)
            assert reply.startswith(b"HTTP/1.1 200 "), reply


def _reply(connection: socket.socket) -> bytes:
    data = b""
    while True:
        more = connection.recv(65536)
        assert more, data
        data += more
        head, blank, body = data.partition(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n") if blank else ():
            if line.startswith(b"content-length:") and len(body) >= int(line[15:]):
                return data


def cpu_of(pid: int) -> float:
    """Seconds of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def report(what: str, times: Times, first: Sequence[float]) -> None:
    alone = percentiles(chain(*times.alone))
    took = statistics.median(times.seconds)
    cpu = statistics.median(times.cpu)
    print(f"{what}: 1 GiB in {took:.2f} s, {SIZE / took / 1e6:.0f} MB/s; the server's CPU {cpu:.2f} s")
    for name, own in (
        ("alone", times.alone), ("a load, no pull", times.loading), ("while it pulls", times.pulling),
        ("curl beside", times.beside),
    ):  # fmt: skip
        p50, p99 = percentiles(chain(*own))
        each = [percentiles(one)[1] / percentiles(still)[1] for one, still in zip(own, times.alone, strict=True)]
        against = f"{p99 / alone[1]:5.2f}×, by rounds {statistics.median(each):5.2f}×"
        print(f"  {name:15} p50 {p50:6.2f} ms  p99 {p99:6.2f} ms  {against} ({sum(map(len, own))} requests)")
    p50, p99 = percentiles(first)
    print(f"  {'the first load':15} p50 {p50:6.2f} ms  p99 {p99:6.2f} ms  {p99 / alone[1]:5.2f}×, with its imports")


def percentiles(latencies: Iterable[float]) -> tuple[float, float]:
    """(p50, p99) in milliseconds."""
    cuts = statistics.quantiles(latencies, n=100)
    return cuts[49] * 1e3, cuts[98] * 1e3


if __name__ == "__main__":
    main()

"""Several workers: requests a second and CPU of two against one, who gets which connections, and what a death costs.

    python -m benchmarks.workers

The client (wrk; Debian: ``apt install wrk``) shares the cores with the workers, so a small request cannot double on two
of them: the CPU per request says what more cores would bring. The second graph works for some 0.3 ms in each request.
One worker and two are asked in turns, in one run; beside the median of the rounds stands the best round of each, which
is the one that others disturbed least.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.beside.loads import wrk
from tests.serving import Server, serving

ROUNDS = 20
SECONDS = 1
DEATHS = 5
CONNECTIONS = 16
TRIALS = 40
FILES = {
    "app.py": """
import os
import time

async def small(rows):
    return rows

async def works(rows):
    end = time.perf_counter() + 0.0003
    while time.perf_counter() < end:
        pass
    return rows

async def who(rows):
    return {"pid": os.getpid()}
""",
    **{f"{name}.yaml": f"steps: {{answer: app.py:{name}}}" for name in ("small", "works", "who")},
}
GRAPHS = [name for name in FILES if name.endswith(".yaml")]
WRK = """
wrk.method = "POST"
wrk.body = '{"instances":[[1,2,3,4]]}'
wrk.headers["content-type"] = "application/json"
"""
ASKS = (
    b"POST /v1/models/who:predict HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n"
    b'content-length: 17\r\n\r\n{"instances":[0]}'
)


def cpu(processes: list[int]) -> float:
    """Seconds of CPU that they have used."""
    ticks = 0
    for process in processes:
        user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
        ticks += int(user) + int(system)
    return ticks / os.sysconf("SC_CLK_TCK")


def family(server: Server) -> list[int]:
    own = server.process.pid
    return [own, *map(int, Path(f"/proc/{own}/task/{own}/children").read_text().split())]


def asked(server: Server, name: str, script: Path) -> tuple[float, float]:
    """Requests a second, and µs of CPU for each."""
    processes = family(server)
    before = cpu(processes)
    url = f"{server.url}/v1/models/{name}:predict"
    told = wrk("-t2", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(script), url)
    (count,), (rate,) = re.findall(r"(\d+) requests in", told), re.findall(r"Requests/sec: +(\S+)", told)
    return float(rate), (cpu(processes) - before) / int(count) * 1e6


def throughput(folder: Path) -> None:
    script = folder / "wrk.lua"
    script.write_text(WRK)
    flags = ["--no-access-log"]
    with (
        serving(folder, FILES, *flags, graphs=GRAPHS) as one,
        serving(folder, FILES, *flags, "--workers", "2", graphs=GRAPHS) as two,
    ):
        for name in ("small", "works"):
            rounds = [(asked(one, name, script), asked(two, name, script)) for _ in range(ROUNDS)]
            each = [second[0] / first[0] for first, second in rounds]
            rates = [max(own[which][0] for own in rounds) for which in (0, 1)]
            costs = [min(own[which][1] for own in rounds) for which in (0, 1)]
            print(
                f"{name}: two workers over one {statistics.median(each):.2f}, the median of the rounds "
                f"({min(each):.2f} to {max(each):.2f}); {rates[1] / rates[0]:.2f} in the best of each"
            )
            print(f"{name}: CPU per request {costs[0]:.0f} µs with one, {costs[1]:.0f} with two, in the best of each")


def balance(folder: Path) -> None:
    """So many connections at once, and the share of the worker that got most of them; 0.5 is even."""
    with serving(folder, FILES, "--workers", "2", "--no-access-log", graphs=["who.yaml"]) as server:
        for number in (4, 16, 64):
            shares = [share(server, number) for _ in range(TRIALS)]
            print(f"{number} connections: most have {statistics.mean(shares):.2f}, at worst {max(shares):.2f}")


def share(server: Server, number: int) -> float:
    clients = [socket.socket() for _ in range(number)]
    for client in clients:
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", server.port))
    found: Counter[int] = Counter()
    for client in clients:
        client.setblocking(True)
        client.sendall(ASKS)
    for client in clients:
        found[json.loads(client.recv(65536).partition(b"\r\n\r\n")[2])["pid"]] += 1
        client.close()
    time.sleep(0.05)  # so that the workers have seen them leave
    return max(found.values()) / number


def deaths(folder: Path) -> None:
    """Seconds from the kill -9 of one of two workers until two take requests again."""
    with serving(folder, FILES, "--workers", "2", graphs=GRAPHS) as server:
        took = []
        for round_ in range(DEATHS):
            victim = family(server)[1]
            start = time.perf_counter()
            os.kill(victim, signal.SIGKILL)
            server.wait_until(
                "another has begun", lambda count=round_ + 1: value(server, "worker_restarts_total") == count
            )
            server.wait_until("two serve", lambda: value(server, "workers") == 2)
            took.append(time.perf_counter() - start)
            time.sleep(5)  # so that it is not taken for one that ends early
        print(f"two workers again after {statistics.median(took):.2f} s, at worst {max(took):.2f} s")


def value(server: Server, name: str) -> float:
    (found,) = re.findall(rf"^{name} (\S+)$", server.get("/metrics").text, re.MULTILINE)
    return float(found)


def main() -> None:
    with tempfile.TemporaryDirectory() as made:
        for part in (throughput, balance, deaths):
            part(Path(made))


if __name__ == "__main__":
    main()

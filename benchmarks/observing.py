"""What the metrics and the access log cost: requests a second and CPU with both, and with neither.

    python -m benchmarks.observing [--rounds 10] [--seconds 1]

Two servers of the same graph, asked by wrk over 16 connections in turns, in one run: the one that a user starts, whose
lines go into a file, and one put together from the same parts without an observer. Prints medians over the rounds, and
the ratio within each. wrk and the servers share the cores.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import trio

from benchmarks.beside.loads import Measured, ask
from benchmarks.beside.processes import free_port, running
from benchmarks.beside.works import works
from pipeline.repository import Repository
from pipeline.wire.numbers import quickest
from pipeline_serve import Pipeline
from server import worker
from server.controls import Controls
from server.lazy_app import lazy_app
from server.listen import listen
from server.service import Service
from tests.serving import environment

READY = "/v2/health/ready"
PATH = "/v2/models/echo/infer"
GRAPH = "name: echo\nsteps: {answer: app.py:same}\n"
CODE = "import numpy as np\n\n\nasync def same(x: np.ndarray):\n    return {'y': x}\n"


def serve_unobserved(graph: Path, port: int) -> None:
    """What ``server.start`` does, without who watches."""
    service = Service(
        Repository([Pipeline.from_file(graph)]), ready="all", name="bare", version="0", numbers=quickest()
    )
    config = SimpleNamespace(drain_delay=0.0, grace=1.0, keep_alive=75.0, tls_cert=None, tls_key=None)
    listening = listen("127.0.0.1", port, secure=False)
    apps = worker.Apps(lazy_app(service), middleware=False)
    trio.run(worker.serve, service, apps, listening, config, lambda: None, Controls())


def measured(rounds: int, seconds: int, folder: Path) -> dict[str, list[Measured]]:
    (folder / "echo.yaml").write_text(GRAPH)
    (folder / "app.py").write_text(CODE)
    work = next(own for own in works() if own.name == "small-16")
    observed, bare = free_port(), free_port()
    root = str(Path(__file__).parents[1])
    env = environment(PYTHONPATH=root)
    usual = [sys.executable, "-m", "pipeline_serve", "echo.yaml", "--host", "127.0.0.1", "--http-port", str(observed)]
    neither = [sys.executable, "-m", "benchmarks.observing", "--serve", folder / "echo.yaml", "--port", str(bare)]
    found: dict[str, list[Measured]] = {"both": [], "neither": []}
    with running(usual, folder, env, observed, READY) as one, running(neither, folder, env, bare, READY) as other:
        for _ in range(rounds):
            for name, server in (("both", one), ("neither", other)):
                found[name].append(ask(work, PATH, [server], seconds, folder))
    return found


def shown(found: dict[str, Sequence[Measured]]) -> None:
    for name, rounds in found.items():
        rate, cpu = (statistics.median(getattr(own, what) for own in rounds) for what in ("rate", "cpu"))
        print(f"{name:8} {rate:8.0f} requests/s {cpu * 1e6:7.1f} µs of CPU")
    pairs = list(zip(found["both"], found["neither"], strict=True))
    rates, cpus = [one.rate / other.rate for one, other in pairs], [one.cpu / other.cpu for one, other in pairs]
    for what, ratios in (("requests/s", rates), ("CPU", cpus)):
        print(f"{what}: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}) with both of without")


def main() -> None:
    read = argparse.ArgumentParser(description=__doc__)
    read.add_argument("--rounds", type=int, default=10)
    read.add_argument("--seconds", type=int, default=1)
    read.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    read.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = read.parse_args()
    if given.serve is not None:
        serve_unobserved(given.serve, given.port)
        return
    with tempfile.TemporaryDirectory() as folder:
        shown(measured(given.rounds, given.seconds, Path(folder)))


if __name__ == "__main__":
    main()

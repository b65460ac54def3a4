"""How late a trio loop is while a model is pulled in threads of its process, or by a process beside it.

    python -m benchmarks.pull_lateness [--nginx PATH] [--folder /dev/shm]

A task wants to wake every millisecond; how much later it does is taken while 1 GiB is fetched from nginx into the
cache, and for half a second before: with one connection, two, sixteen as at a start, sixteen held to 60 MB/s each, and
as a server does beside requests, by the other process. Each in turn, three rounds. Prints the rate and p50, p99 and
most of the lateness in milliseconds. nginx runs on the same cores.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import trio

from benchmarks.pulls import MIB, arguments, bucket
from server.crews import LEAST, RATE
from storage import Storage
from storage.order import Order
from storage.pace import Pace
from storage.transfer import Crew

SIZE = 1024 * MIB
ROUNDS = 3
TICK, IDLE = 0.001, 0.5
CASES = {
    "1 connection": ("fast", Crew(least=1, most=1)),
    "2 connections": ("fast", Crew(least=2, most=2)),
    "16 connections": ("fast", Crew()),
    "16, 60 MB/s each": ("slow", Crew()),
    "beside requests": ("fast", Crew(least=LEAST, pace=Pace(RATE))),
}


async def ticking(late: list[float]) -> None:
    """Cancelled, that is all."""
    while True:
        due = trio.current_time() + TICK
        await trio.sleep_until(due)
        late.append(trio.current_time() - due)


async def pulled(port: int, crew: Crew, folder: Path, idle: list[float], late: list[float]) -> float:
    """The seconds that the pull took."""
    variables = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "awsAnonymousCredential": "true"}
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        storage = Storage(variables, cache_dir=Path(cache), order=Order(crew=crew))
        if crew.pace is not None:
            storage.beside = lambda: crew
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ticking, idle)
            await trio.sleep(IDLE)
            nursery.cancel_scope.cancel()
        start = time.perf_counter()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ticking, late)
            await storage.fetch("s3://bkt/big/model.bin", folder)
            nursery.cancel_scope.cancel()
        took = time.perf_counter() - start
        storage.cache.close()
    return took


def line(what: str, late: Sequence[float], took: float | None = None) -> None:
    cuts = statistics.quantiles(late, n=100)
    rate = "" if took is None else f"{SIZE / took / 1e6:6.0f} MB/s"
    print(f"{what:17} p50 {cuts[49] * 1e3:5.2f}  p99 {cuts[98] * 1e3:5.2f}  most {max(late) * 1e3:6.2f} ms {rate}")


def main() -> None:
    idle: list[float] = []
    late: dict[str, list[float]] = {what: [] for what in CASES}
    took: dict[str, list[float]] = {what: [] for what in CASES}
    with bucket(arguments().parse_args(), [("big", ["model.bin"], SIZE)]) as (folder, (fast, slow)):
        for _ in range(ROUNDS):
            for what, (which, crew) in CASES.items():
                port = fast if which == "fast" else slow
                took[what].append(trio.run(pulled, port, crew, folder, idle, late[what]))
    line("idle", idle)
    for what, own in late.items():
        line(what, own, statistics.median(took[what]))


if __name__ == "__main__":
    main()

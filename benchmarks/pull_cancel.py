"""How soon a cancelled pull of 1 GiB returns, and has closed its connections.

    python -m benchmarks.pull_cancel [--nginx PATH] [--folder /dev/shm] [--rounds 100]

nginx, in processes of its own, serves the file as fast as it goes and held to 60 MB/s per connection, in turn. Each
pull, into a new cache, is cancelled at a random moment of its first 0.7 s. Prints how many seconds after that `fetch`
returned, and how many until this process had no connection to nginx any more; either is to be within 0.3 s.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import trio

from benchmarks.pulls import MIB, arguments, bucket
from storage import Storage

SIZE = 1024 * MIB
LONGEST, BOUND, PATIENCE = 0.7, 0.3, 40.0
ESTABLISHED = "01"


async def cancelled(port: int, after: float, folder: Path) -> tuple[float, float]:
    """Seconds from the cancellation to its return, and to the end of the last connection."""
    variables = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "awsAnonymousCredential": "true"}
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        storage = Storage(variables, cache_dir=Path(cache))
        with trio.move_on_after(after) as scope:
            await storage.fetch("s3://bkt/big/model.bin", folder)
        returned = trio.current_time() - scope.deadline if scope.cancelled_caught else 0.0
        await trio.to_thread.run_sync(disconnected, port)
        closed = trio.current_time() - scope.deadline
        storage.cache.close()
    return returned, closed


def disconnected(port: int) -> None:
    """Returns when there is none, or after 40 s."""
    give_up = time.monotonic() + PATIENCE
    while connections(port) and time.monotonic() < give_up:
        time.sleep(0.002)


def connections(port: int) -> int:
    """To that port, that this side has not closed."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == ESTABLISHED for row in rows)


def line(what: str, seconds: Sequence[float]) -> None:
    ordered = sorted(seconds)
    cuts = [ordered[int(part * (len(ordered) - 1))] for part in (0.5, 0.9, 0.99)]
    within = sum(own <= BOUND for own in ordered)
    told = "  ".join(f"{name} {cut:.3f}" for name, cut in zip(("p50", "p90", "p99"), cuts, strict=True))
    print(
        f"{what:16} {told}  most {ordered[-1]:.3f} s  mean {statistics.mean(ordered):.3f}  {within} of {len(ordered)}"
    )


def main() -> None:
    read = arguments()
    read.add_argument("--rounds", type=int, default=100)
    told = read.parse_args()
    draw = random.Random(1)
    with bucket(told, [("big", ["model.bin"], SIZE)]) as (folder, ports):
        for what, port in zip(("as fast as it goes", "60 MB/s each"), ports, strict=True):
            spent = [trio.run(cancelled, port, draw.uniform(0.0, LONGEST), folder) for _ in range(told.rounds)]
            print(what)
            line("  returned", [returned for returned, _ in spent])
            line("  closed", [closed for _, closed in spent])


if __name__ == "__main__":
    main()

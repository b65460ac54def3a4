"""What a part of a streamed reply costs its server: CPU per part, of 100 bytes and of 64 KiB.

    python -m benchmarks.streams

A server process with a model whose `predict` is an async generator, and one client that reads. Prints microseconds of
the server's CPU per part (Linux: from /proc), which its generator, the exchange and Hypercorn share.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path

from tests.serving import Server, serving

PARTS = 10_000
ROUNDS = 5
SIZES = (100, 2**16)
FILES = {
    "graph.yaml": "name: streams\nsteps: {streams: app.py:Streams}\n",
    "app.py": f"""
from pipeline_serve import Model

class Streams(Model):
    async def predict(self, payload):
        part = bytes(payload["size"])
        for _ in range({PARTS}):
            yield part
""",
}


def cpu(pid: int) -> float:
    """Seconds that a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def per_part(server: Server, size: int) -> float:
    before = cpu(server.process.pid)
    with server.client() as client, client.stream("POST", "/v1/models/streams:predict", json={"size": size}) as reply:
        read = sum(len(part) for part in reply.iter_raw())
    assert read == PARTS * size
    return (cpu(server.process.pid) - before) / PARTS * 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), FILES, "--log-level", "error") as server:
        rounds = [{size: per_part(server, size) for size in SIZES} for _ in range(ROUNDS)]
    for size in SIZES:
        costs = [own[size] for own in rounds]
        spread = f"({min(costs):.0f} to {max(costs):.0f})"
        print(f"a part of {size:6} bytes  {statistics.median(costs):6.1f} µs  {spread}")


if __name__ == "__main__":
    main()

"""From the start of a model's script to its first answer: under KServe 0.21, and under us with its import line changed.

    python -m benchmarks.starts

The same script in turns, each in its own environment. Prints seconds, and ours over KServe's.
"""

from __future__ import annotations

import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx

from tests.kserve.both import migrated
from tests.peers import environment
from tests.serving import ROOT, Server

ROUNDS = 6
TEXT = """
from kserve import Model, ModelServer

class Doubles(Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True
    def predict(self, payload, headers=None):
        return {"predictions": [2 * row for row in payload["instances"]]}

if __name__ == "__main__":
    ModelServer(enable_grpc=False).start([Doubles("doubles")])
"""


def seconds(python: Path, folder: Path, script: str) -> float:
    """Until a request is answered. It is asked again and again, as a probe does; the process is stopped."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = time.perf_counter()
    server = Server(
        [str(python), script, "--http_port", str(port)], folder, environment.environment(PYTHONPATH=str(ROOT))
    )
    server.url = f"http://127.0.0.1:{port}"
    with server.client() as client:
        server.wait_until("it answers", lambda: answered(client))
    took = time.perf_counter() - start
    server.stop()
    return took


def answered(client: httpx.Client) -> bool:
    try:
        return client.post("/v1/models/doubles:predict", json={"instances": [1]}).is_success
    except httpx.TransportError:
        return False


def main() -> None:
    kserve = environment.python("kserve")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "theirs.py").write_text(TEXT)
        (folder / "ours.py").write_text(migrated(TEXT))
        rounds = [
            (seconds(kserve, folder, "theirs.py"), seconds(Path(sys.executable), folder, "ours.py"))
            for _ in range(ROUNDS)
        ]
    theirs, ours = zip(*rounds, strict=True)
    ratios = sorted(own / other for other, own in rounds)
    print(f"KServe {statistics.median(theirs):.2f} s, ours {statistics.median(ours):.2f} s")
    print(f"ours over KServe's: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()

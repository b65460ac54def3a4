"""A million FP32 as JSON numbers, there and back (4 MiB of tensor, 11 MB of text), through KServe 0.21 and through us.

    python -m benchmarks.json_numbers

No sockets: KServe's application is asked as its server asks it, in its own environment, and `handle()` here, in turns.
Prints CPU per request of each, and how many times less ours is, beside what is promised of requests per second: 25
times as many where simdjson is installed, 15 without. The step is counted too; it gives back the array it is given.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import networkx as nx
import numpy as np
import orjson
import trio

from pipeline.repository import Repository
from pipeline.wire.numbers import ReadPieces, quickest, with_orjson
from pipeline_serve import Pipeline, Step
from server.handle import handle
from server.service import Service
from tests.peers import environment

ROUNDS = 7
ELEMENTS = 2**20
PATH = "/v2/models/echo/infer"
HEADERS = {"host": "localhost", "content-type": "application/json"}
KSERVE = """
import asyncio, sys, time
from pathlib import Path
import orjson
from kserve import InferOutput, InferResponse, Model
from kserve.model_repository import ModelRepository
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.server import RESTServer

class Echo(Model):
    def load(self):
        self.ready = True

    async def predict(self, payload, headers=None, response_headers=None):
        array = payload.inputs[0].as_numpy()
        output = InferOutput("x", list(array.shape), "FP32")
        output.set_data_from_numpy(array, binary_data=False)
        return InferResponse(payload.id or "1", self.name, [output])

echo = Echo("echo")
echo.load()
models = ModelRepository()
models.update(echo)
plane = DataPlane(models)
extension = ModelRepositoryExtension(models)
server = RESTServer("kserve.model_server:app", plane, extension, 0)
server.create_application()
from kserve.model_server import app

body = Path(sys.argv[1]).read_bytes()
headers = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": sys.argv[2],
         "raw_path": sys.argv[2].encode(), "query_string": b"", "root_path": "", "scheme": "http", "headers": headers,
         "server": ("localhost", 80), "client": ("localhost", 9)}

async def ask():
    sent = []
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}
    async def send(message):
        sent.append(message)
    await app(dict(scope), receive, send)
    return sent

loop = asyncio.new_event_loop()
for line in sys.stdin:
    start = time.process_time()
    sent = loop.run_until_complete(ask())
    spent = time.process_time() - start
    reply = b"".join(message.get("body", b"") for message in sent)
    data = orjson.loads(reply)["outputs"][0]["data"]
    print(orjson.dumps([sent[0]["status"], spent, sum(data)]).decode(), flush=True)
"""


class Peer:
    """KServe in a process that answers one request for each line it is told."""

    def __init__(self, folder: Path, body: bytes) -> None:
        (folder / "kserve_echo.py").write_text(KSERVE)
        (folder / "body").write_bytes(body)
        command = [str(environment.python("kserve")), "kserve_echo.py", "body", PATH]
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment.environment(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    async def ask(self) -> tuple[float, float]:
        """(seconds of CPU, sum of the answer)."""
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise AssertionError("it was started with both")
        process.stdin.write("go\n")
        process.stdin.flush()
        status, spent, total = json.loads(await trio.to_thread.run_sync(process.stdout.readline))
        if status != 200:
            raise AssertionError(f"KServe answered {status}")
        return spent, total

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


async def same(x: np.ndarray) -> np.ndarray:
    return x


def service(read: ReadPieces) -> Service:
    dag: nx.DiGraph[str] = nx.DiGraph()
    dag.add_node("x", step=Step(run=same))
    return Service(Repository([Pipeline("echo", dag)]), ready="all", name="echo", version="0", numbers=read)


async def ask_ours(own: Service, body: bytes) -> tuple[float, float]:
    async def read_body() -> bytes:
        return body

    start = time.process_time()
    reply = await handle(own, "POST", PATH, HEADERS, read_body)
    spent = time.process_time() - start
    if reply.status != 200:
        raise AssertionError(f"we answered {reply.status}: {reply.body!r:.300}")
    return spent, sum(orjson.loads(b"".join(reply.body))["outputs"][0]["data"])


async def main() -> None:
    array = np.random.default_rng(0).standard_normal(ELEMENTS).astype(np.float32)
    entry = {"name": "x", "shape": [ELEMENTS], "datatype": "FP32", "data": array}
    body = orjson.dumps({"inputs": [entry]}, option=orjson.OPT_SERIALIZE_NUMPY)
    readers = {"ours, with orjson": (with_orjson, 15)}
    if quickest() is not with_orjson:
        readers["ours, with simdjson"] = (quickest(), 25)
    services = {name: service(read) for name, (read, _) in readers.items()}
    with tempfile.TemporaryDirectory() as made:
        peer = Peer(Path(made), body)
        try:
            async with trio.open_nursery() as nursery:
                for own in services.values():
                    await nursery.start(own.repository.serve)
                ways: Mapping[str, Callable[[], Awaitable[tuple[float, float]]]] = {
                    "KServe": peer.ask,
                    **{name: lambda own=own: ask_ours(own, body) for name, own in services.items()},
                }
                rounds = [{name: await ask() for name, ask in ways.items()} for _ in range(1 + ROUNDS)][1:]
                nursery.cancel_scope.cancel()
        finally:
            peer.close()
    for answers in rounds:
        if len({round(total, 2) for _, total in answers.values()}) > 1:
            raise AssertionError(f"they answer differently: {answers}")
    for name in ways:
        took = [answers[name][0] for answers in rounds]
        ratios = [answers["KServe"][0] / answers[name][0] for answers in rounds]
        promised = f", promised {readers[name][1]}" if name in readers else ""
        spread = f"{statistics.median(ratios):6.1f} ({min(ratios):.1f} to {max(ratios):.1f}){promised}"
        print(f"{name:20} {statistics.median(took) * 1e3:8.1f} ms of CPU   KServe's / its {spread}")


if __name__ == "__main__":
    trio.run(main)

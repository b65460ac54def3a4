"""How soon a cancelled request's call has closed its connection, as the server that it calls sees it.

    python benchmarks/cancel.py

A graph with one `call` step and, in a process of its own over loopback, a socket that reads the call and never answers.
Each request is cancelled once its call has come; prints milliseconds from the cancellation to the end of the connection
at the remote, which is to come within 10. Both processes read one clock (CLOCK_MONOTONIC), as on Linux and macOS.
"""

from __future__ import annotations

import multiprocessing
import socket
import statistics
import time
from multiprocessing.connection import Connection

import networkx as nx
import trio

from pipeline_serve import Pipeline, Step

CALLS = 500
BOUND_MS = 10.0


def hang(told: Connection) -> None:
    """Tells its port, and of one connection after another that a call has come, and the moment of its end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        told.send(listener.getsockname()[1])
        for _ in range(CALLS):
            connection, _ = listener.accept()
            with connection:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(65536)
                told.send("came")
                while connection.recv(65536):
                    pass
                told.send(time.perf_counter())


async def measure(remote: Connection) -> list[float]:
    """Seconds from each cancellation to the end of its connection."""
    dag: nx.DiGraph[str] = nx.DiGraph()
    dag.add_node("predict", step=Step(call=f"http://127.0.0.1:{remote.recv()}/v2/models/m/infer"))
    seconds: list[float] = []
    async with Pipeline("front", dag) as pipeline:
        for _ in range(CALLS):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pipeline.infer, {"x": [1.0]})
                await trio.to_thread.run_sync(remote.recv)
                cancelled = time.perf_counter()
                nursery.cancel_scope.cancel()
            seconds.append(await trio.to_thread.run_sync(remote.recv) - cancelled)
    return seconds


def main() -> None:
    remote, told = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=hang, args=(told,), daemon=True)
    process.start()
    spent = sorted(second * 1e3 for second in trio.run(measure, remote))
    process.join()
    within = sum(own <= BOUND_MS for own in spent)
    print(f"median {statistics.median(spent):.2f} ms, 99th of 100 {spent[int(0.99 * CALLS)]:.2f}, most {spent[-1]:.2f}")
    print(f"{within} of {CALLS} within {BOUND_MS:.0f} ms")


if __name__ == "__main__":
    main()

"""What an explanation costs that asks its model 500 times: through a handle, and through HTTP to another process.

    python benchmarks/handles.py

The same function and the same scikit-learn model in one interleaved run: called directly, as the handle of a graph in
this process, and as the handle of a `call` step to a server of ours beside it, as a KServe explainer asks its
predictor. Prints wall milliseconds per explanation and the ratios.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import joblib
import networkx as nx
import numpy as np

from pipeline_serve import Client, Pipeline, Step

EXAMPLE = Path(__file__).parents[1] / "examples" / "explain"
MODEL = EXAMPLE / "model.joblib"
ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]])
CALLS = 500
ROUNDS = 9

sys.path.append(str(EXAMPLE))
from app import why  # noqa: E402  # the example's own explainer


def explained(predict: Step) -> Pipeline:
    dag: nx.DiGraph[str] = nx.DiGraph()
    dag.add_node("predict", step=predict)
    params = {"samples": CALLS}
    dag.add_node("why", step=Step(run=why, inputs="request.rows", handles={"predict": "predict"}, params=params))
    return Pipeline("iris", dag, folder=EXAMPLE, output={"predict": "predict", "explain": "why"})


@contextmanager
def server() -> Iterator[str]:
    """The URL of a process that serves the model."""
    command = [sys.executable, "-m", "pipeline_serve", "--http-port", "0", "--log-level", "error"]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as graph:
        graph.write(f"name: probabilities\nsteps: {{predict: {{model: {MODEL}, params: {{method: predict_proba}}}}}}\n")
        graph.flush()
        with subprocess.Popen([*command, graph.name], stdout=subprocess.PIPE, text=True) as process:
            if process.stdout is None:
                raise AssertionError("stdout is a pipe")
            try:
                url = process.stdout.readline().split()[-1]
                with Client(url).blocking() as client:
                    while not client.ready():
                        time.sleep(0.05)
                yield url
            finally:
                process.terminate()


def main() -> None:
    if not MODEL.exists():
        subprocess.run([sys.executable, str(EXAMPLE / "train.py")], check=True)
    model = joblib.load(MODEL)
    method = {"method": "predict_proba"}
    with (
        server() as url,
        explained(Step(model=MODEL.name, params=method)).blocking() as inside,
        explained(Step(call=f"{url}/v2/models/probabilities/infer")).blocking() as outside,
    ):
        ways: dict[str, Callable[[], object]] = {
            "direct": lambda: why(ROWS, model.predict_proba, CALLS),
            "handle": lambda: inside.infer({"rows": ROWS}, verb="explain"),
            "HTTP": lambda: outside.infer({"rows": ROWS}, verb="explain"),
        }
        rounds = [{name: _seconds(way) for name, way in ways.items()} for _ in range(ROUNDS)]
    direct = statistics.median(own["direct"] for own in rounds)
    for name in ways:
        median = statistics.median(own[name] for own in rounds)
        print(f"{name:8} {median * 1e3:8.1f} ms  {median / direct:6.2f} × direct")
    ratio = statistics.median(own["HTTP"] / own["handle"] for own in rounds)
    print(f"a handle is {ratio:.1f} × as fast as HTTP to a process beside it, without the time of a network")


def _seconds(way: Callable[[], object]) -> float:
    start = time.perf_counter()
    way()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()

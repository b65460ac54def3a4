"""A binary tensor of a million FP32 until model code written for KServe has its array: under KServe 0.21, and under us.

    python -m benchmarks.binary

One text, run with `kserve` in its own environment and with `pipeline_serve.kserve` here, in turns. Prints milliseconds
of the import, of `as_numpy()` from a body (a list is made of it under KServe, a copy under us), and of the view that
our own steps get.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.kserve.both import migrated
from tests.peers import environment
from tests.serving import environment as ours

ROUNDS = 5
TEXT = """
import time
start = time.perf_counter()
from kserve import InferRequest
took = {"import": time.perf_counter() - start}

import json, statistics
import numpy as np

array = np.random.default_rng(0).standard_normal(10**6).astype(np.float32)
size = {"binary_data_size": array.nbytes}
head = json.dumps({"inputs": [{"name": "x", "shape": [10**6], "datatype": "FP32", "parameters": size}]}).encode()
body = head + array.tobytes()

def seconds(work, calls):
    spent = []
    for _ in range(calls):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)

def read():
    return InferRequest.from_bytes(body, len(head), "m").inputs[0]

took["as_numpy"] = seconds(lambda: read().as_numpy(), 9)
if hasattr(read(), "as_tensor"):
    took["view"] = seconds(lambda: read().as_tensor().array, 9)
print(json.dumps(took))
"""


def main() -> None:
    kserve = environment.python("kserve")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "theirs.py").write_text(TEXT)
        (folder / "ours.py").write_text(migrated(TEXT))
        commands = {
            "KServe": ([kserve, folder / "theirs.py"], environment.environment()),
            "ours": ([sys.executable, folder / "ours.py"], ours()),
        }
        rounds = [
            {
                name: json.loads(subprocess.run(command, env=env, check=True, capture_output=True).stdout)
                for name, (command, env) in commands.items()
            }
            for _ in range(ROUNDS)
        ]
    for name in commands:
        medians = {what: statistics.median(own[name][what] for own in rounds) for what in rounds[0][name]}
        print(f"{name:8}" + "".join(f"{what:>12} {took * 1e3:9.3f} ms" for what, took in medians.items()))


if __name__ == "__main__":
    main()

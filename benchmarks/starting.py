"""From the start of a server to its first yes, in turns: this server and KServe 0.21, with no model to load.

    python -m benchmarks.starting [--rounds 10] [--ours PYTHONPATH]

Three of ours: the graph file of one step by the console script's entry, the same with its modules found and run by
``python -m pipeline_serve``, and KServe's own script with its import line changed. One start of each is not counted: it
compiles. Prints of each the CPU of its process until it is ready (proc(5)), wall-clock time, memory at rest (PSS), all
medians, and the median of the ratios to KServe's start of the same round. Then the CPU of ``--help``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.beside.processes import free_port, running
from tests.kserve.both import migrated
from tests.peers import environment
from tests.serving import ROOT
from tests.serving import environment as ours

READY = "/v2/health/ready"
SCRIPT = """
from kserve import Model, ModelServer

class Doubles(Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True
    async def predict(self, payload, headers=None):
        return {"predictions": [2 * row for row in payload["instances"]]}

if __name__ == "__main__":
    ModelServer(enable_grpc=False).start([Doubles("doubles")])
"""
FILES = {
    "theirs.py": SCRIPT,
    "ours.py": migrated(SCRIPT),
    "doubles.yaml": "name: doubles\nsteps:\n  double: steps.py:double\n",
    "steps.py": "async def double(x):\n    return 2 * x\n",
}
CONSOLE = ("-c", "from server.cli import main; main()")
MODULE = ("-m", "pipeline_serve")


@dataclass(frozen=True, slots=True)
class Start:
    """``cpu`` and ``wall`` in seconds, ``memory`` in bytes."""

    cpu: float
    wall: float
    memory: int


def starts(theirs: Path, python: str, env: Mapping[str, str]) -> dict[str, Callable[[Path], Start]]:
    """Who is started → one start of it in a folder that has FILES."""
    peer = environment.environment(PYTHONDONTWRITEBYTECODE="")
    return {
        "kserve": lambda folder: start([str(theirs), "theirs.py"], folder, peer),
        "pipeline-serve": lambda folder: start([python, *CONSOLE, "doubles.yaml"], folder, env),
        "python -m pipeline_serve": lambda folder: start([python, *MODULE, "doubles.yaml"], folder, env),
        "kserve's script": lambda folder: start([python, "ours.py"], folder, env),
    }


def start(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> Start:
    port = free_port()
    with running([*command, "--http_port", str(port)], folder, env, port, READY) as server:
        return Start(server.cpu(), server.seconds, server.memory())


def help_cpu(command: Sequence[str], env: Mapping[str, str]) -> float:
    """Seconds of CPU of one ``--help``."""
    process = subprocess.Popen([*command, "--help"], env=env, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime


def main() -> None:
    read = argparse.ArgumentParser()
    read.add_argument("--rounds", type=int, default=10)
    read.add_argument("--ours", default=str(ROOT), help="The checkout to start, this one unless said otherwise.")
    told = read.parse_args()
    env = ours(PYTHONPATH=told.ours, PYTHONDONTWRITEBYTECODE="")
    found = starts(environment.python("kserve"), sys.executable, env)
    with tempfile.TemporaryDirectory() as made:
        for name, text in FILES.items():
            (Path(made) / name).write_text(text)
        rounds = [{name: begin(Path(made)) for name, begin in found.items()} for _ in range(told.rounds + 1)][1:]
    print(f"{'':26}{'CPU s':>7}{'wall s':>8}{'MiB':>7}{'ratio: CPU':>13}{'wall':>7}{'memory':>8}")
    for name in found:
        own, others = [each[name] for each in rounds], [each["kserve"] for each in rounds]
        values = [[getattr(one, what) for one in own] for what in ("cpu", "wall", "memory")]
        base = [[getattr(one, what) for one in others] for what in ("cpu", "wall", "memory")]
        cpu, wall, memory = map(statistics.median, values)
        ratios = [
            statistics.median(a / b for a, b in zip(one, two, strict=True))
            for one, two in zip(values, base, strict=True)
        ]
        print(f"{name:26}{cpu:7.2f}{wall:8.2f}{memory / 2**20:7.1f}{ratios[0]:13.2f}{ratios[1]:7.2f}{ratios[2]:8.2f}")
    for name, command in (("pipeline-serve", CONSOLE), ("python -m pipeline_serve", MODULE)):
        used = statistics.median(help_cpu([sys.executable, *command], env) for _ in range(told.rounds))
        print(f"{name} --help: {used * 1000:.0f} ms of CPU")


if __name__ == "__main__":
    main()

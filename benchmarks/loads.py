"""What a load costs while models are served, and what a thousand of them leave behind.

    python -m benchmarks.loads

A repository in this process loads one small graph again and again, its code changed each time. Prints the median of
the load's milliseconds, and of the process before and after: memory, modules, and pipelines that are still there.
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import trio

from pipeline.blueprint import from_given
from pipeline.pipeline import Pipeline
from pipeline.repository import Repository
from server.sources import Folder
from storage import Storage
from tests.serving import write

WARM, LOADS = 50, 1000


def standing() -> dict[str, float]:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    pipelines = sum(isinstance(own, Pipeline) for own in gc.get_objects())
    return {"MiB": pages * os.sysconf("SC_PAGE_SIZE") / 2**20, "modules": len(sys.modules), "pipelines": pipelines}


async def loaded(repository: Repository, folder: Path, number: int) -> float:
    write(folder, {"m/app.py": f"def answer(x) -> int: return {number}\n"})
    start = time.perf_counter()
    await repository.load("m")
    took = time.perf_counter() - start
    answer = await repository.get("m").infer({"x": 0})
    assert answer["answer"].item() == number
    return took


async def main(folder: Path) -> None:
    write(folder, {"m/graph.yaml": "steps: {answer: app.py:answer}", "m/app.py": "def answer(x) -> int: return 0\n"})
    repository = Repository((), Folder(folder, lambda place: from_given(place, {}, Storage({}))))
    async with trio.open_nursery() as nursery:
        await nursery.start(repository.serve)
        for number in range(WARM):
            await loaded(repository, folder, number)
        await repository.drained()
        before = standing()
        spent = [await loaded(repository, folder, WARM + number) for number in range(LOADS)]
        await repository.drained()
        after = standing()
        nursery.cancel_scope.cancel()
    print(f"a load: median {statistics.median(spent) * 1e3:.1f} ms")
    for what, first in before.items():
        print(f"{what:10} {first:8.1f}, after {LOADS} more loads {after[what]:8.1f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        trio.run(main, Path(made))

"""What threads inside of one call cost: CPU per call with two of them, over that with one.

    python -m benchmarks.threads

A model of each runtime that computes in threads of its own, opened with one and with two, in turns: asked by one
caller, and by as many as there are cores. Prints ratios of the process's CPU time.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import xgboost

from pipeline.runtimes import lightgbm as of_lightgbm
from pipeline.runtimes import onnx as of_onnx
from pipeline.runtimes import xgboost as of_xgboost
from pipeline.runtimes.catalog import Opened, Runtime
from pipeline.tensors.tensor import tensor
from tests.runtimes import graphs

CALLS, ROUNDS, ROWS, FEATURES = 40, 5, 2000, 20


def write_models(folder: Path) -> dict[str, tuple[Runtime, Path]]:
    draw = np.random.default_rng(0)
    rows = draw.standard_normal((5000, FEATURES))
    labels = rows[:, 0] * rows[:, 1] + rows[:, 2]
    booster = xgboost.train({"max_depth": 6}, xgboost.DMatrix(rows, labels), 100)
    booster.save_model(folder / "m.ubj")
    own = lightgbm.train({"verbose": -1}, lightgbm.Dataset(rows, labels), 100)
    own.save_model(folder / "m.lgb")
    wide = draw.standard_normal((FEATURES, 512)).astype(np.float32)
    deep = draw.standard_normal((512, 512)).astype(np.float32)
    nodes = [graphs.node("MatMul", "x a", "h"), graphs.node("Relu", "h", "r"), graphs.node("MatMul", "r b", "y")]
    shapes = [graphs.value("x", shape=("N", FEATURES))], [graphs.value("y", shape=("N", 512))]
    graphs.written(folder, graphs.model(*shapes, nodes, {"a": wide, "b": deep}))
    return {
        "onnxruntime": (of_onnx, folder / "m.onnx"),
        "xgboost": (of_xgboost, folder / "m.ubj"),
        "lightgbm": (of_lightgbm, folder / "m.lgb"),
    }


def cost(opened: Opened, inputs: Mapping[str, Any], callers: int) -> float:
    """CPU seconds of this process for all calls."""
    with ThreadPoolExecutor(callers) as pool:
        start = time.process_time()
        list(pool.map(lambda _: opened.predict(inputs), range(CALLS)))
        return time.process_time() - start


def main() -> None:
    inputs = {"x": tensor(np.random.default_rng(1).standard_normal((ROWS, FEATURES)).astype(np.float32))}
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        for name, (runtime, path) in write_models(Path(folder)).items():
            one, two = (runtime.open_model(path, "m", {}, threads) for threads in (1, 2))
            told = []
            for callers in (1, cores):
                cost(one, inputs, callers), cost(two, inputs, callers)
                ratios = [cost(two, inputs, callers) / cost(one, inputs, callers) for _ in range(ROUNDS)]
                told.append(f"{statistics.median(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
            print(f"{name:12} a call alone {told[0]}, {cores} at once {told[1]}")


if __name__ == "__main__":
    main()

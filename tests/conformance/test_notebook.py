"""The blocking faces in a real notebook's kernel, whose cells run in the thread of a running loop of asyncio."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers.environment import environment

NOTEBOOK = Path(__file__).parents[1] / "peers" / "notebook.py"
# Our packages stand behind the kernel's own, which are of the same Python.
OURS = f"import sys; sys.path += {sys.path!r}"
GRAPH = """
import threading
import networkx as nx
import trio
from pipeline_serve import Pipeline, Step

cancelled = threading.Event()

async def hold(x):
    if x.item() == 2:
        return x
    print("began", flush=True)
    try:
        await trio.sleep_forever()
    finally:
        cancelled.set()

dag = nx.DiGraph()
dag.add_node("s", step=Step(run=hold))
"""
OPEN = "model = Pipeline('m', dag).blocking().open()"
ASK = "print(model.infer({'x': 2})['s'], model.state.value)"
HOLD = "model.infer({'x': 1})"
CANCELLED = "print(cancelled.wait(60)); cancelled.clear()"
BLOCK = f"with Pipeline('m', dag).blocking() as model: {HOLD}"
# A cell, what it prints, and what it raises.
CELLS = [
    (OURS, "", None),
    (GRAPH, "", None),
    (OPEN, "", None),
    (HOLD, "began\n", "KeyboardInterrupt"),
    (CANCELLED, "True\n", None),
    (ASK, "2 ready\n", None),
    (OPEN, "", None),  # run again, with the first still open
    (ASK, "2 ready\n", None),
    ("model.close()", "", None),
    (BLOCK, "began\n", "KeyboardInterrupt"),
    (CANCELLED, "True\n", None),
    ("print(model.state.value)", "closed\n", None),
]


@pytest.mark.slow
def test_a_cell_is_interrupted_with_its_request_and_the_next_goes_well(peer, tmp_path):
    told = subprocess.run(
        [peer("ipykernel"), NOTEBOOK], input=json.dumps([cell for cell, *_ in CELLS]), cwd=tmp_path,
        env=environment(), stdout=subprocess.PIPE, text=True, check=True, timeout=200,
    )  # fmt: skip
    assert [tuple(ended) for ended in json.loads(told.stdout)] == [(printed, raised) for _, printed, raised in CELLS]

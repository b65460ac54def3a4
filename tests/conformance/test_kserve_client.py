"""KServe's own REST client, unmodified, against a real server, and ours in its place: a test per case."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.kserve.both import migrated
from tests.peers import cases
from tests.peers.environment import environment
from tests.serving import ROOT, serving

CLIENT = Path(__file__).parents[1] / "peers" / "kserve_client.py"
APP = """
import numpy as np
from pipeline_serve import InvalidInput


def echo(x):
    return {"x": x}


def adds(a: np.ndarray, b: np.ndarray):
    return a + b


def both(a: np.ndarray, b: np.ndarray) -> dict:
    return {"sum": a + b, "product": a * b}


def sizes(x: np.ndarray):
    return np.array([len(each) for each in x])


def refuses(x):
    raise InvalidInput("the words of the author")


class Breaks:
    def load(self):
        raise RuntimeError("the weights are missing")

    def __call__(self, x):
        return x
"""
WORKING = ("echo", "adds", "both", "sizes", "refuses")
GRAPHS = {f"{name}.yaml": f"steps: {{{name}: app.py:{name}}}" for name in WORKING} | {
    "breaks.yaml": "steps: {answer: app.py:Breaks}",
}


@pytest.fixture(scope="module")
def failures(peer, tmp_path_factory):
    """Whose client → case → its failure, of one process of the client."""
    interpreter, folder = peer("kserve"), tmp_path_factory.mktemp("kserve")
    files = {"app.py": APP, "client.py": migrated(CLIENT.read_text()), **GRAPHS}
    with serving(folder, files, "--ready", "any", graphs=list(GRAPHS)) as server:
        for model in WORKING:
            ready = f"/v2/models/{model}/ready"
            server.wait_until(f"{model} is loaded", lambda ready=ready: server.get(ready).status_code == 200)
        here = {**os.environ, **environment(PYTHONPATH=str(ROOT))}
        with ThreadPoolExecutor() as threads:
            theirs = threads.submit(cases.run, interpreter, CLIENT, server.url, environment())
            ours = threads.submit(cases.run, Path(sys.executable), folder / "client.py", server.url, here)
            yield {"KServe's": theirs.result(), "ours": ours.result()}


@pytest.mark.parametrize("case", cases.names(CLIENT))
@pytest.mark.parametrize("client", ["KServe's", "ours"])
def test_kserve_client(failures, client, case):
    if failures[client][case]:
        pytest.fail(failures[client][case], pytrace=False)

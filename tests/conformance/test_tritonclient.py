"""NVIDIA's own HTTP client for Triton, unmodified, against a real server: a test per case of triton_client.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers import cases
from tests.peers.environment import environment
from tests.serving import serving

CLIENT = Path(__file__).parents[1] / "peers" / "triton_client.py"
APP = """
import numpy as np
import trio
from pipeline_serve import Context, InvalidInput


def echo(x):
    return {"x": np.asarray(x)}


def both(a: np.ndarray, b: np.ndarray) -> dict:
    return {"sum": a + b, "product": a * b}


def seen(x, context: Context) -> dict:
    return {"tenant": context.headers.get("x-tenant"), "parameters": dict(context.parameters)}


async def waits(x):
    await trio.sleep_forever()


def refuses(x):
    raise InvalidInput("the words of the author")


def bug(x):
    raise KeyError("the secret")


def one(x) -> int:
    return 1


def two(x) -> int:
    return 2


class Breaks:
    def load(self):
        raise RuntimeError("the weights are missing")

    def __call__(self, x):
        return x
"""
PAIR = "{a: 'FP32[n,2]', b: 'FP32[n,2]'}"
FILES = {
    "app.py": APP,
    "echo.yaml": "steps: {echo: app.py:echo}",
    "declared.yaml": f"schema: {{inputs: {PAIR}, outputs: {{sum: 'FP32[n,2]', product: 'FP32[n,2]'}}}}\n"
                     "steps: {both: app.py:both}",
    "seen.yaml": "steps: {seen: app.py:seen}",
    "waits.yaml": "steps: {waits: app.py:waits}",
    "refuses.yaml": "steps: {refuses: app.py:refuses}",
    "bug.yaml": "steps: {bug: app.py:bug}",
    "one.yaml": "name: versions\nsteps: {answer: app.py:one}",
    "two.yaml": "name: versions\nversion: 2\nsteps: {answer: app.py:two}",
    "breaks.yaml": "steps: {answer: app.py:Breaks}",
    "changes.yaml": "steps: {echo: app.py:echo}",
    "changes_too.yaml": "steps: {echo: app.py:echo}",
}  # fmt: skip
GRAPHS = [name for name in FILES if name.endswith(".yaml")]


@pytest.fixture(scope="module")
def failures(peer, tmp_path_factory):
    """Case → its failure, of one process of the client."""
    interpreter, folder = peer("tritonclient"), tmp_path_factory.mktemp("triton")
    with serving(folder, FILES, "--ready", "any", graphs=GRAPHS) as server:
        for model in ("echo", "declared", "seen", "waits", "refuses", "bug", "versions", "changes", "changes_too"):
            ready = f"/v2/models/{model}/ready"
            server.wait_until(f"{model} is loaded", lambda ready=ready: server.get(ready).status_code == 200)
        yield cases.run(interpreter, CLIENT, server.url, environment())


@pytest.mark.parametrize("case", cases.names(CLIENT))
def test_tritonclient(failures, case):
    if failures[case]:
        pytest.fail(failures[case], pytrace=False)

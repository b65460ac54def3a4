"""schemathesis against the document of a real server: whatever is asked is answered as the document says.

The run is the same every time: the examples of the document, its boundaries, and requests made from it, in a bounded
number and without chance.
"""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.peers.environment import environment
from tests.serving import serving

APP = """
import numpy as np


def scale(rows: np.ndarray, factor: float = 1.0, names: np.ndarray | None = None, exact: bool = False):
    return {"scaled": np.nan_to_num(rows).astype(np.float64) * (factor if np.isfinite(factor) else 1)}


def echo(x):
    return {"x": np.asarray(x)}


def why(rows: np.ndarray):
    return {"largest": np.abs(np.nan_to_num(rows)).astype(np.float32)}
"""
TYPED = """
schema:
  inputs: {rows: "FP32[n,2]", factor: "FP64[]?", names: "BYTES[n]?", exact: "BOOL[]?"}
  outputs: {scaled: "FP64[n,2]"}
steps:
  scale: app.py:scale
  why: {run: app.py:why, inputs: request.rows}
output: {predict: scale, explain: why}
"""
FILES = {"app.py": APP, "typed.yaml": TYPED, "plain.yaml": "steps: {echo: app.py:echo}"}
# Not allow_header_conformance and unsupported_method: as in KServe, a GET of m:predict asks for a model of that name.
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "response_headers_conformance",
)  # fmt: skip
MOST = 8
"""Requests made from the document per operation, beside its boundaries."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("schemathesis"), FILES, graphs=["typed.yaml", "plain.yaml"]) as server:
        yield server


@pytest.fixture
def run(server, peer, tmp_path):
    """``run(phases, checks)`` fails with schemathesis's report, which has a line to curl for each thing it found."""

    def run(phases, checks):
        command = [
            peer("schemathesis"), "-m", "schemathesis.cli", "run",
            f"{server.url}/openapi.json", "--checks", ",".join(checks), "--phases", phases, "--max-examples", str(MOST),
            # It knows the models' names from other replies, and would leave nothing to ask.
            "--exclude-path", "/v2/repository/models/{model}/unload",
            "--generation-deterministic", "--continue-on-failure", "--no-color",
        ]  # fmt: skip
        ended = subprocess.run(
            command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300, check=False
        )
        if ended.returncode:
            pytest.fail(f"{ended.stdout}\n{ended.stderr}", pytrace=False)
        return ended.stdout

    return run


@pytest.mark.slow
def test_requests_made_from_the_document_are_answered_as_it_says(server, run):
    told = run("coverage,fuzzing", CHECKS)
    assert int(re.search(r"(\d+) generated, \1 passed", told)[1]) > 1000
    assert "Traceback" not in server.stderr


@pytest.mark.slow
def test_the_examples_of_the_document_work_when_they_are_sent(run):
    """A schema cannot say that named dimensions agree, so only of the examples is every one to be accepted."""
    told = run("examples", (*CHECKS, "positive_data_acceptance"))
    assert re.search(r"(\d+) generated, \1 passed", told)

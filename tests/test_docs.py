"""The examples of the documentation, run as they stand; comments beside a ``print`` say what it prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import PATIENCE, environment, serving

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLES = re.findall(r"```python\n(.*?)```", (DOCS / "client.md").read_text(), re.DOTALL)
# The example's model without its training: the length of the petal tells these two apart.
IRIS = {
    "app.py": "def species(rows):\n    return ['setosa' if row[2] < 2 else 'virginica' for row in rows]\n",
    "graph.yaml": "name: iris\nschema: {inputs: {rows: 'FP64[n,4]'}}\nsteps: {species: app.py:species}\n",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("iris"), IRIS) as server:
        yield server


def test_there_are_examples():
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_client_prints_what_it_says(server, example):
    code = example.replace("http://localhost:8080", server.url)
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment(NO_PROXY="*"), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == re.findall(r"print\(.*\)  # (.*)", example)

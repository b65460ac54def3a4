"""The examples of the documentation, run as they stand; comments beside a ``print`` say what it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples.readme import conversations
from tests.serving import PATIENCE, environment, serving, write

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {"client.md": 2, "python.md": 3, "models.md": 1}
EXAMPLES = {page: re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL) for page in PAGES}
# The example's model without its training: the length of the petal tells these two apart.
IRIS = {
    "app.py": "def species(rows):\n    return ['setosa' if row[2] < 2 else 'virginica' for row in rows]\n",
    "graph.yaml": "name: iris\nschema: {inputs: {rows: 'FP64[n,4]'}}\nsteps: {species: app.py:species}\n",
}


def test_there_are_examples():
    assert {page: len(examples) for page, examples in EXAMPLES.items()} == PAGES


def check(example: str, folder: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=folder, env=environment(NO_PROXY="*"), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == re.findall(r"print\(.*\)  # (.*)", example)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("iris"), IRIS) as server:
        yield server


@pytest.mark.parametrize("number", range(PAGES["client.md"]))
def test_an_example_of_the_client_prints_what_it_says(server, tmp_path, number):
    check(EXAMPLES["client.md"][number].replace("http://localhost:8080", server.url), tmp_path)


@pytest.mark.parametrize("number", range(PAGES["python.md"]))
def test_an_example_in_python_prints_what_it_says(tmp_path, number):
    write(tmp_path, IRIS)
    check(EXAMPLES["python.md"][number], tmp_path)


def test_the_example_of_a_model_prints_what_it_says(tmp_path):
    check(EXAMPLES["models.md"][0], tmp_path)


def test_the_commands_print_what_their_page_shows(tmp_path):
    shim = tmp_path / "bin" / "pipeline-serve"
    write(shim.parent, {shim.name: f'#!/bin/sh\nexec "{sys.executable}" -m pipeline_serve "$@"\n'})
    shim.chmod(0o755)
    env = environment(PATH=f"{shim.parent}:{os.environ['PATH']}")
    shown = conversations(DOCS / "commands.md")
    assert {command.split()[1] for command, _ in shown} == {"init", "check", "run", "draw", "schema"}
    folder = tmp_path
    for command, answer in shown:
        ended = subprocess.run(
            command, shell=True, cwd=folder, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert (ended.returncode, ended.stdout) == (0, answer), ended.stderr
        folder = tmp_path / "flowers"
    assert {"graph.svg", "graph.md", "graph.schema.json"} <= {path.name for path in folder.iterdir()}

"""``init``: a project that checks, runs, serves and passes its own test as generated; all or nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pipeline_serve import Pipeline
from server.init import model_name
from server.schema import schema_text
from tests.serving import environment, run, serving

FILES = {"graph.yaml", "app.py", "request.json", "test_graph.py", "README.md", ".gitignore", "graph.schema.json"}


@pytest.fixture
def project(tmp_path):
    assert run(tmp_path, "init", "my flowers").returncode == 0
    return tmp_path / "my flowers"


def test_the_project_is_named_after_its_folder_and_has_no_faults(project):
    assert {file.name for file in project.iterdir()} == FILES
    assert (project / "graph.schema.json").read_text() == schema_text()
    assert all(b"\r" not in file.read_bytes() for file in project.iterdir())
    ended = run(project, "check", "graph.yaml")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("my-flowers (version 1): 3 steps, no faults\n")


ANSWER = {"predictions": ["setosa", "versicolor", "virginica"]}


def test_the_project_answers_its_request_with_and_without_a_port(project):
    ended = run(project, "run", "graph.yaml", "request.json")
    assert (ended.returncode, json.loads(ended.stdout)) == (0, ANSWER)
    with serving(project) as server:
        request = json.loads((project / "request.json").read_text())
        assert server.post("/v1/models/my-flowers:predict", request).json() == ANSWER


@pytest.mark.skipif(not hasattr(Pipeline, "blocking"), reason="Pipeline.blocking() is not there yet")
def test_the_projects_own_test_passes_as_generated(project):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ended = subprocess.run(command, cwd=project, env=environment(), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 passed" in ended.stdout


@pytest.mark.parametrize("there", sorted(FILES))
def test_nothing_is_overwritten_and_then_nothing_is_written(tmp_path, there):
    (tmp_path / there).write_text("mine")
    ended = run(tmp_path, "init")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"pipeline-serve: .: {there} is there already; nothing is written\n"
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(there, "mine")]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    ended = run(tmp_path, "init", "file/inside")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert "file/inside: cannot be written: Not a directory" in ended.stderr


@pytest.mark.parametrize(
    ("folder", "name"),
    [("iris", "iris"), ("my flowers", "my-flowers"), ("", "my-model"), ("...", "my-model"), ("x" * 300, "x" * 128)],
)
def test_a_folders_name_becomes_a_model_name(folder, name):
    assert model_name(folder) == name

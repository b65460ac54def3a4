"""``init``: a project that checks, runs, serves and passes its own test as generated; all or nothing."""

from __future__ import annotations

import json
import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from yaml import safe_load

from server.init import model_name
from server.schema import schema_text
from tests.serving import PATIENCE, environment, run, serving

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


def python(folder: Path, *arguments: str, **how: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=PATIENCE, **how
    )


def test_every_command_of_the_projects_readme_does_what_it_says(project):
    text = (project / "README.md").read_text()
    (block,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    serve, once, test = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert serve == ["pipeline-serve", "graph.yaml"]
    with serving(project, graphs=serve[1:]) as server:
        assert server.get("/docs").status_code == 200
    ended = run(project, *once[1:])
    assert (once[0], ended.returncode, json.loads(ended.stdout)) == ("pipeline-serve", 0, ANSWER)
    ended = python(project, *test, "-q", "-p", "no:cacheprovider")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 passed" in ended.stdout
    others = re.findall(r"[(`]pipeline-serve ([a-z]+(?: graph\.yaml)?)", text)
    assert others == ["check graph.yaml", "schema"]
    assert [run(project, *other.split()).returncode for other in others] == [0, 0]


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


@pytest.mark.parametrize("there", ["", "new", "new/deep"])
def test_a_write_that_fails_half_way_leaves_nothing_that_was_not_there(tmp_path, there):
    (tmp_path / there).mkdir(parents=True, exist_ok=True)
    (tmp_path / there / "mine").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    # As a full disk: the schema, which is written last, does not fit.
    most = len(schema_text()) // 2
    ended = python(
        tmp_path, "pipeline_serve", "init", "new/deep/er",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert "cannot be written: File too large" in ended.stderr
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("folder", "name"),
    [("iris", "iris"), ("my flowers", "my-flowers"), ("", "my-model"), ("...", "my-model"), ("x" * 300, "x" * 128)],
)
def test_a_folders_name_becomes_a_model_name(folder, name):
    assert model_name(folder) == name


@pytest.mark.parametrize("folder", ["2024", "1e3", "007", "true", "null", "on", "2026-01-01", "1.5", "-x", "json"])
def test_a_folder_that_yaml_would_read_as_something_else_is_a_name_all_the_same(tmp_path, folder):
    ended = run(tmp_path, "init", "--", folder)
    assert ended.returncode == 0
    into, *_ = ended.stdout.partition("next:\n")[2].splitlines()
    moved = subprocess.run(["sh", "-c", f"{into} && pwd"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(moved.stdout.strip()) == tmp_path / folder
    name = safe_load((tmp_path / folder / "graph.yaml").read_text())["name"]  # as editors read it, by YAML 1.1
    ended = run(tmp_path / folder, "check", "graph.yaml")
    assert (ended.returncode, ended.stdout.split()[0]) == (0, name)


@pytest.mark.parametrize(
    ("folder", "says"),
    [("", "the folder has no name"), ("x" * 300, "File name too long"), ("x\ny\x1b[31m", "printable text")],
)
def test_a_folder_that_can_be_none_is_one_line(tmp_path, folder, says):
    ended = run(tmp_path, "init", folder)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert says in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_next_commands_work_as_they_are_printed(tmp_path):
    lines = run(tmp_path, "init", "my flowers").stdout.partition("next:\n")[2].splitlines()
    script = "set -e\n" + "\n".join(lines[:-1])
    ended = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert json.loads(ended.stdout) == ANSWER
    assert lines[-1].endswith(" graph.yaml")

"""``draw``: to a file by its ending, to stdout, and every way in which it is refused."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from pipeline.drawing.catalog import formats
from server.cli import _FORMATS
from tests.serving import PATIENCE, environment, run, write
from tests.terminal import everything

GRAPH = {"graph.yaml": "name: g\nsteps: {double: app.py:double}\n", "app.py": "def double(x):\n    return x\n"}


def test_the_formats_of_the_command_are_those_there_are():
    assert sorted(_FORMATS) == sorted(formats())


@pytest.mark.parametrize(
    ("file", "start"),
    [("g.svg", "<svg "), ("g.gv", 'digraph "g" {'), ("g.mmd", "flowchart TD"), ("g.md", "```mermaid")],
)
def test_the_ending_of_the_file_says_the_format(tmp_path, file, start):
    write(tmp_path, GRAPH)
    ended = run(tmp_path, "draw", "graph.yaml", "-o", file)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert (tmp_path / file).read_text().startswith(start)


@pytest.mark.parametrize(("flags", "start"), [([], "<svg "), (["--format", "dot"], "digraph"), (["-o", "-"], "<svg ")])
def test_stdout_gets_it_where_no_file_is_named(tmp_path, flags, start):
    write(tmp_path, GRAPH)
    ended = run(tmp_path, "draw", "graph.yaml", *flags)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(start)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["graph.yaml", "-o", "g.png"], "g.png: a drawing ends in .dot, .gv,"),
        (["graph.yaml", "-o", "no/g.svg"], "no/g.svg: cannot be written: No such file or directory"),
        (["no.yaml", "-o", "g.svg"], "no.yaml: cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_drawn_is_one_line_and_exit_2(tmp_path, arguments, says):
    write(tmp_path, GRAPH)
    ended = run(tmp_path, "draw", *arguments)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert says in ended.stderr


def on_a_terminal(folder, *arguments):
    """(exit code, what the terminal shows, stderr) of ``draw``."""
    terminal, stdout = pty.openpty()
    command = [sys.executable, "-m", "pipeline_serve", "draw", "graph.yaml", *arguments]
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=stdout, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(stdout)
        shown = everything(terminal)
        _, err = process.communicate(timeout=PATIENCE)
    return process.returncode, shown.decode(), err


def test_a_terminal_gets_no_svg_unasked(tmp_path):
    write(tmp_path, GRAPH)
    code, shown, err = on_a_terminal(tmp_path)
    assert (code, shown) == (2, "")
    assert err == "pipeline-serve: where to? -o graph.svg (or .dot, .mmd, .md), or --format mermaid to read it here\n"


@pytest.mark.parametrize(
    ("flags", "start"),
    [(["--format", "mermaid"], "flowchart TD"), (["-o", "-"], "<svg "), (["--format", "svg"], "<svg ")],
)
def test_a_terminal_gets_what_it_asks_for(tmp_path, flags, start):
    write(tmp_path, GRAPH)
    code, shown, err = on_a_terminal(tmp_path, *flags)
    assert (code, err) == (0, "")
    assert shown.startswith(start)


def test_a_graph_that_nobody_could_read_is_refused_as_a_picture_and_written_as_text(tmp_path):
    count = 50
    steps = ["  s0: app.py:f"]
    for number in range(1, count):
        reads = ", ".join(f"a{other}: s{other}" for other in range(number))
        steps.append(f"  s{number}: {{run: app.py:g, inputs: {{{reads}}}}}")
    write(tmp_path, {"app.py": "def f(x): ...\ndef g(**k): ...\n", "graph.yaml": "\n".join(["steps:", *steps, ""])})
    ended = run(tmp_path, "draw", "graph.yaml", "-o", "graph.svg")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert "too many to lay out" in ended.stderr
    assert not (tmp_path / "graph.svg").exists()
    assert run(tmp_path, "draw", "graph.yaml", "-o", "graph.mmd").returncode == 0

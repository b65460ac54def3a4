"""``draw``: to a file by its ending, to stdout, and every way in which it is refused."""

from __future__ import annotations

import pytest

from pipeline.graph.drawing.catalog import formats
from server.cli import _FORMATS
from tests.serving import run, write

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

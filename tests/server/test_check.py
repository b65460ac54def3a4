"""``check``: edges one can read at 1, 5 and 40 steps; faults of all files, exit code 2; notes; nothing fetched."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

import server.report
from server.check import check_files
from tests.conftest import Write
from tests.serving import ROOT

APP = """
from typing import Annotated

import numpy as np

def f(x): return x
def now(): return 1.0
def join(a, b): return a
def scale(rows: Annotated[np.ndarray, "FP32[n,4]"], t=1.0) -> Annotated[np.ndarray, "FP32[n,3]"]: return rows
def names(x) -> Annotated[list, "BYTES[n]"]: return x
"""

TWIN = 'two graphs are "{}" in version "1", the first at one.yaml:1:7'

Checked = tuple[int, str, list[str]]
Check = Callable[..., Checked]


@pytest.fixture
def check(write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """``check(a="steps: …", b="…")`` checks ``a.yaml`` and ``b.yaml``: exit code, stdout, the lines of stderr."""
    folder = write("app.py", APP)
    # Whatever ran before in this process: the name is free, as for a command.
    monkeypatch.delitem(sys.modules, "app", raising=False)
    monkeypatch.chdir(folder)

    def check(**texts: str) -> Checked:
        for name, text in texts.items():
            write(f"{name}.yaml", text)
        code = check_files([Path(f"{name}.yaml") for name in texts])
        captured = capsys.readouterr()
        return code, captured.out, captured.err.splitlines()

    return check


def test_one_step_is_two_edges(check):
    assert check(one="steps: {a: app.py:f}\n") == (
        0,
        "one (version 1): 1 step, no faults\n  request → a\n  a       → answer\n",
        [],
    )


def test_five_steps_show_what_flows_where_it_is_known(check):
    text = """
name: iris
version: 7
schema:
  inputs: {rows: "FP32[n,4]", t: "FP32[1]?"}
  outputs: {species: "BYTES[n]"}
steps:
  clean: app.py:scale
  left: {run: app.py:f, inputs: clean}
  right: {run: app.py:f, inputs: clean.clean}
  both: {run: app.py:join, inputs: {a: left, b: right}}
  label: {run: app.py:names, inputs: [both]}
"""
    assert check(graph=text) == (
        0,
        """\
iris (version 7): 5 steps, no faults
  request     → clean   rows FP32[n,4], t FP32[1]?
  clean       → left    clean FP32[n,3]
  clean.clean → right   clean FP32[n,3]
  left        → both.a
  right       → both.b
  both        → label
  label       → answer  species BYTES[n]
""",
        [],
    )


def test_several_answers_and_a_step_that_reads_nothing(check):
    schema = '{inputs: {rows: "FP32[n,4]", t: "FP32[1]?"}}'
    text = f"schema: {schema}\noutput: [a, b.y]\nsteps:\n  a: app.py:scale\n  b: {{run: app.py:now, inputs: []}}\n"
    assert check(g=text)[:2] == (
        0,
        """\
g (version 1): 2 steps, no faults
  request   → a       rows FP32[n,4], t FP32[1]?
  (nothing) → b
  a         → answer  a FP32[n,3]
  b.y       → answer
""",
    )


def test_forty_steps_are_a_line_per_edge_in_columns_in_running_order(check):
    steps = "".join(f"  s{number}: {{run: app.py:f, inputs: s{number - 1}}}\n" for number in range(39, 0, -1))
    code, out, err = check(g=f"output: s39\nsteps:\n{steps}  s0: {{run: app.py:f, inputs: request}}\n")
    head, *rows = out.splitlines()
    assert (code, err, head) == (0, [], "g (version 1): 40 steps, no faults")
    ends = [tuple(row.split(" → ")) for row in rows]
    names = ["request", *(f"s{number}" for number in range(40)), "answer"]
    assert [(left.strip(), right.strip()) for left, right in ends] == list(pairwise(names))
    assert len({row.index("→") for row in rows}) == 1


def test_several_files_are_several_blocks_in_their_order(check):
    code, out, err = check(b="steps: {a: app.py:f}\n", a="steps: {a: app.py:f}\n")
    assert (code, err) == (0, [])
    assert [block.split(" ", 1)[0] for block in out.split("\n\n")] == ["b", "a"]


def test_the_faults_of_every_file_are_told_and_no_edges(check):
    code, out, err = check(
        good="steps: {a: app.py:f}\n",
        bad="steps: {a: app.py:ff}\nlimit: 0\n",
        worse="steps: {a: app.py:f\n",
    )
    assert (code, out) == (2, "")
    assert err[:2] == [
        'bad.yaml:1:12: step "a": "app.py" has no "ff"; did you mean "f"?',
        "bad.yaml:2:8: limit is a whole number, 1 or more, not 0",
    ]
    assert [line.split(":")[0] for line in err[2:]] == ["worse.yaml"]


def test_a_file_that_is_not_there_is_exit_code_2(check, capsys):
    check(good="steps: {a: app.py:f}\n")
    assert check_files([Path("good.yaml"), Path("gone.yaml")]) == 2
    assert capsys.readouterr() == ("", "gone.yaml: cannot be read: No such file or directory\n")


@pytest.mark.parametrize(
    ("one", "two", "line"),
    [
        (
            "name: m\nsteps: {a: app.py:f}\n",
            "version: 1\nname: m\nsteps: {a: app.py:f}\n",
            f"two.yaml:2:7: {TWIN.format('m')}; give one of them another name or version",
        ),
        ("name: m\nsteps: {a: app.py:f}\n", "name: m\nversion: 2\nsteps: {a: app.py:f}\n", None),
        ("name: m\nversion: v\nsteps: {a: app.py:f}\n", "name: n\nversion: v\nsteps: {a: app.py:f}\n", None),
        (
            "name: two\nsteps: {a: app.py:f}\n",
            "steps: {a: app.py:f}\n",
            f"two.yaml:1:1: {TWIN.format('two')}; give this one a name",
        ),
    ],
)
def test_two_graphs_of_one_name_and_version_are_a_fault_that_names_both_places(check, one, two, line):
    code, _, err = check(one=one, two=two)
    assert (code, err) == ((2, [line]) if line else (0, []))


def test_twins_are_told_beside_the_faults_of_other_files(check):
    same = "name: m\nsteps: {a: app.py:f}\n"
    code, _, err = check(one=same, bad="steps: {}\n", two=same)
    assert code == 2
    assert [line.split(":")[0] for line in err] == ["bad.yaml", "two.yaml"]


def test_the_same_file_twice_is_a_fault(check, capsys):
    check(one="name: m\nsteps: {a: app.py:f}\n")
    assert check_files([Path("one.yaml"), Path("one.yaml")]) == 2
    assert 'two graphs are "m" in version "1", the first at one.yaml:1:7' in capsys.readouterr().err


def test_an_app_py_of_two_graphs_is_noted_once_for_the_second_and_both_pass(write, monkeypatch, capsys):
    for folder in ("one", "two"):
        write("app.py", f"def f(x): return '{folder}'\ndef g(x): return x\n", folder)
        where = write("graph.yaml", f"name: {folder}\nsteps: {{a: app.py:f, b: app.py:g}}\n", folder)
    monkeypatch.chdir(where.parent)
    assert check_files([Path("one/graph.yaml"), Path("two/graph.yaml")]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("no faults") == 2
    assert captured.err.splitlines() == [
        'two/graph.yaml:2:12: note: another module is named "app"; app.py is loaded under a private name'
    ]


def test_a_file_whose_name_is_no_module_name_is_not_noted(write, monkeypatch, capsys):
    write("my-app.py", "def f(x): return x\n")
    monkeypatch.chdir(write("graph.yaml", "steps: {a: my-app.py:f}\n"))
    assert check_files([Path("graph.yaml")]) == 0
    assert capsys.readouterr().err == ""


def test_nothing_is_downloaded_or_opened(check, monkeypatch):
    def lend(self: object, uri: str, *_: object) -> Path:
        raise AssertionError(f"{uri} is fetched")

    monkeypatch.setattr(server.report.Storage, "lend", lend)
    assert check(g="steps: {a: app.py:f, m: {model: no/such/model.joblib}}\n")[0] == 0


SEVEN = """\
limit: none
deadline: 30
steps:
  clean: {run: app.py:f, limt: 4}
  gone: app.py:missing
  later: {run: app.py:f, retry: 3, inputs: request}
  lonely: {run: app.py:f, inputs: request}
  label: {run: app.py:join, inputs: {a: scord, b: gone, c: later}}
"""


def test_the_command_tells_seven_faults_by_line_and_column_and_exits_with_2(write):
    write("app.py", APP)
    folder = write("graph.yaml", SEVEN)
    command = [sys.executable, "-m", "pipeline_serve", "check", "graph.yaml"]
    done = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    names = "clean, gone, headers, label, later, lonely, parameters and request"
    assert done.stderr.splitlines() == [
        'graph.yaml:1:8: limit is a whole number, 1 or more, not the text "none"',
        "graph.yaml:2:11: deadline: 30 has no unit; write 30ms or 30s",
        'graph.yaml:4:26: step "clean": unknown key "limt"; did you mean "limit"?',
        'graph.yaml:5:9: step "gone": "app.py" has no "missing"',
        'graph.yaml:6:26: step "later": retry is known but not built yet',
        'graph.yaml:8:41: step "label" reads "scord": no such step; there are ' + names,
        'graph.yaml:8:60: step "label" has no parameter "c"; there are a and b',
    ]

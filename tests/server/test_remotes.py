"""``check --remotes``: datatypes and dimensions of servers' metadata are faults along the edges, all else is a note."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.check import check_files
from tests.raw import answer, answering, raw_server
from tests.serving import run

APP = """
from typing import Annotated

import numpy as np

def pre(x) -> Annotated[np.ndarray, "FP64[n,4]"]: return x
def post(y: Annotated[np.ndarray, "FP32[n]"]): return y
def other(z): return z
"""
METADATA = (
    b'{"name":"m","versions":["1"],"platform":"","inputs":[{"name":"x","datatype":"%s","shape":[-1,%s]}],'
    b'"outputs":[{"name":"y","datatype":"FP32","shape":[-1]}]}'
)
GRAPH = "steps:\n  pre: fours.py:pre\n  predict: {{call: '{url}/v2/models/m/infer'}}\n  post: fours.py:{post}\n"
SOURCE = '; so says the metadata of the server that step "predict" calls'


@pytest.fixture
def check(write, monkeypatch, capsys):
    """``check(reply, text)``: exit code, stdout and the lines of stderr for a graph whose server answers so."""
    monkeypatch.chdir(write("fours.py", APP))

    def check(reply, text=GRAPH, post="post"):
        with raw_server(answering(answer(reply))) as server:
            write("graph.yaml", text.format(url=server.url, post=post))
            code = check_files([Path("graph.yaml")], remotes=True)
        captured = capsys.readouterr()
        return code, captured.out, captured.err.replace(server.url, "URL").splitlines()

    return check


def test_metadata_that_agrees_shows_on_the_edges(check):
    code, out, err = check(METADATA % (b"FP64", b"4"))
    assert (code, err) == (0, [])
    assert "  predict → post     y FP32[-1]\n" in out


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (METADATA % (b"FP32", b"4"), "takes FP32[-1,4], and pre.pre is FP64[n,4]: FP64 is not FP32"),
        (METADATA % (b"FP64", b"5"), "takes FP64[-1,5], and pre.pre is FP64[n,4]: axis 1 is 4, not 5"),
    ],
)
def test_a_datatype_or_a_dimension_that_disagrees_is_a_fault_that_names_its_source(check, metadata, reason):
    assert check(metadata) == (
        2, "", [f'graph.yaml:3:19: step "predict": parameter "x" {reason}{SOURCE}'],
    )  # fmt: skip


def test_what_the_server_gives_is_compared_too(check):
    metadata = (METADATA % (b"FP64", b"4")).replace(b'"FP32"', b'"FP16"')
    message = 'step "post": parameter "y" takes FP32[n], and predict.y is FP16[-1]: FP16 is not FP32'
    assert check(metadata) == (2, "", [f"graph.yaml:4:9: {message}{SOURCE}"])


def test_a_name_that_metadata_lacks_is_a_note(check):
    text = GRAPH.replace("fours.py:{post}", "{{run: fours.py:{post}, inputs: predict.q}}")
    code, _, err = check(METADATA % (b"FP64", b"4"), text)
    assert code == 0
    message = 'step "post" reads "predict.q": step "predict" has no tensor "q"; there are none but y'
    assert err == [f"graph.yaml:4:38: note: {message}{SOURCE}"]


def test_a_server_without_metadata_and_one_that_is_not_there_are_notes(check):
    text = (
        "steps:\n  a: {{call: 'http://u:secret@127.0.0.1:1/v2/models/m/infer'}}\n"
        "  b: {{call: '{url}/v1/models/m:predict'}}\n  c: {{call: '{url}/v2/models/m/infer'}}\n"
    )
    code, _, err = check(b"null", text)
    assert code == 0
    assert [line.partition(": note: ")[0] for line in err] == ["graph.yaml:2:13", "graph.yaml:3:13", "graph.yaml:4:13"]
    assert err[0].endswith(
        'step "a": its server told nothing of its model: '
        "cannot connect to http://127.0.0.1:1: Connection refused; is a server running there?"
    )
    assert err[1].endswith('step "b": the protocol of its server has no metadata to compare with')
    assert err[2].endswith("the reply is unreadable: it is an object, got nothing")
    assert "secret" not in "".join(err)


def test_the_command_asks_only_where_it_is_told_to(tmp_path):
    (tmp_path / "graph.yaml").write_text("steps: {a: {call: 'http://127.0.0.1:1/v2/models/m/infer'}}\n")
    asked, plain = run(tmp_path, "check", "graph.yaml", "--remotes"), run(tmp_path, "check", "graph.yaml")
    assert (asked.returncode, plain.returncode, plain.stderr) == (0, 0, "")
    assert asked.stdout == plain.stdout
    assert "cannot connect" in asked.stderr

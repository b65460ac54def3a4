"""Requests to try a model with: those beside the graph are the model's that they fit, and the printed lines work."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess

import pytest

from pipeline.wire.written import written_in
from server.examples import beside
from tests.serving import serving

APP = """
def same(rows):
    return rows


def said(texts, threshold=0.5):
    return texts
"""
V1, V2 = (
    {"instances": [[1.0, 2.0]]},
    {"inputs": [{"name": "rows", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]},
)
ROWS = "schema: {inputs: {rows: 'FP32[n,2]'}}\nsteps: {same: app.py:same}"
TEXT = "schema: {inputs: {texts: 'BYTES[n]', threshold: 'FP32[]?'}}\nsteps: {said: app.py:said}"


def test_a_request_is_of_the_protocol_it_is_written_in():
    assert [own.CODEC.__name__.rpartition(".")[2] for own in map(written_in, (V1, V2))] == ["v1", "v2"]
    assert written_in({"neither": 1}) is None
    assert written_in([V1]) is None


def test_what_lies_beside_a_graph_is_read_unless_it_is_large_or_no_file(tmp_path):
    (tmp_path / "request.json").write_text("{}")
    (tmp_path / "request-v1.json").mkdir()
    (tmp_path / "request-v2.json").write_text(" " * 100_000)
    (tmp_path / "request-v3.json").write_text("{}")
    assert beside(tmp_path) == {tmp_path / "request.json": b"{}"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    ("request_file", "rows", "text"),
    [
        (V1, "v1/models/rows:predict -d @", "v1/models/text:predict -d '{"),
        (V2, "v2/models/rows/infer -d @", "v1/models/text:predict -d '{"),
        ({"instances": ["a"]}, "v1/models/rows:predict -d '{", "v1/models/text:predict -d @"),
        ("oops", "v1/models/rows:predict -d '{", "v1/models/text:predict -d '{"),
    ],
)
def test_the_printed_lines_work_as_they_stand(tmp_path, request_file, rows, text):
    files = {"app.py": APP, "rows.yaml": ROWS, "text.yaml": TEXT, "request.json": json.dumps(request_file)}
    with serving(tmp_path, files, graphs=["rows.yaml", "text.yaml"]) as server:
        lines = [line.strip() for line in server.stdout.splitlines() if line.startswith("  curl ")]
        assert [says in line for says, line in zip((rows, text), lines, strict=True)] == [True, True], lines
        for line in lines:
            words = [*shlex.split(line), "-sS", "--noproxy", "*", "-w", "%{http_code}", "-o", "-"]
            ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
            assert ended.stdout.endswith("200"), ended.stdout

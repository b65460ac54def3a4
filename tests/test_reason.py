"""Why a model is not there: one line, without folders of the machine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.graph.source import Fault, GraphFaults
from pipeline.reason import reason_of, without_folders
from pipeline.runtimes.catalog import CannotOpen


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (CannotOpen("/srv/models/iris/m.onnx cannot be opened: Bad: no"), "m.onnx cannot be opened: Bad: no"),
        (CannotOpen("/srv/models/iris has no model file"), "iris has no model file"),
        (
            FileNotFoundError(2, "No such file", "/srv/my models/m.bin"),
            "FileNotFoundError: [Errno 2] No such file: 'm.bin'",
        ),
        (ValueError("one\ntwo /srv/x"), "ValueError: one (and 1 more lines, in the log)"),
        (KeyError("a"), "KeyError: 'a'"),
        (GraphFaults([Fault("/srv/models/a/graph.yaml", "cannot be read")]), "graph.yaml: cannot be read"),
        (
            OSError("file:///srv/m.bin and s3://bucket/a/m.bin and a/b"),
            "OSError: m.bin and s3://bucket/a/m.bin and a/b",
        ),
        (OSError("x" * 600), f"OSError: {'x' * 491}…"),
    ],
)
def test_a_reason_is_one_line_without_folders(error, says):
    assert reason_of(error) == says


@given(st.lists(st.text("abc.-_09", min_size=1), min_size=2), st.sampled_from(["{}", "at {}: no", "'{}'", "file://{}"]))
def test_no_absolute_path_is_left(parts, form):
    path = "/" + "/".join(parts)
    assert without_folders(form.format(path)) == form.removeprefix("file://").format(parts[-1])

"""``run``: one request, no port; the answer on stdout alone, so that it can be piped."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from server.check import check_files
from server.config import CacheConfig
from server.draw import draw_file
from server.once import run_once
from tests.conformance.zoo import APP, FILES
from tests.serving import run, write
from tests.storage.origin import serving

V1 = '{"instances": [[1.0, 2.0]]}'
V2 = '{"id": "7", "inputs": [{"name": "rows", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}'


@pytest.fixture
def folder(tmp_path, imports, own_logging):
    files = {"v1.json": V1, "v2.json": V2, "bad.json": '{"instances": [[1.0]]}', "boom.json": '{"instances": ["bug"]}'}
    write(tmp_path, {"app.py": APP, "echo.yaml": FILES["echo.yaml"], "fail.yaml": FILES["fail.yaml"], **files})
    return tmp_path


def test_a_request_from_a_file_or_from_stdin_is_answered_on_stdout_with_timings_on_stderr(folder):
    ended = run(folder, "run", "echo.yaml", "-", stdin=V1)
    assert (ended.returncode, ended.stdout) == (0, '{"predictions":[[1.0,2.0]]}\n')
    assert re.fullmatch(r"echo +\d+\.\d{3} ms\ntotal +\d+\.\d{3} ms\n", ended.stderr)


def test_a_request_that_fails_is_exit_1_with_the_reply_on_stdout_and_the_traceback_on_stderr(folder):
    ended = run(folder, "run", "fail.yaml", "boom.json")
    assert ended.returncode == 1
    (request,) = re.findall(r"under request id ([-\w]+)\.", json.loads(ended.stdout)["error"])
    assert f"[{request}]" in ended.stderr
    assert "KeyError: 'the secret'" in ended.stderr


@pytest.mark.parametrize(
    ("files", "code", "out", "err"),
    [
        (("echo.yaml", "v1.json"), 0, '{"predictions":[[1.0,2.0]]}', "total"),
        (("echo.yaml", "v2.json"), 0, '"id":"7","parameters":null,"outputs":[{"name":"rows"', "total"),
        (("echo.yaml", "bad.json"), 1, '{"error":"input \\"rows\\"', ""),
        (("echo.yaml", "app.py"), 1, '{"error":"Unrecognized request format', ""),
        (("echo.yaml", "no.json"), 2, "", "no.json: cannot be read: No such file or directory\n"),
        (("no.yaml", "v1.json"), 2, "", "no.yaml: cannot be read"),
        (("breaks.yaml", "v1.json"), 1, "", 'model "breaks" cannot be loaded: the weights are missing'),
    ],
)
def test_the_exit_code_says_who_is_at_fault(folder, capsys, files, code, out, err):
    write(folder, {"breaks.yaml": "steps: {answer: app.py:Breaks}"})
    graph, request = (folder / name for name in files)
    assert run_once(graph, request, "predict") == code
    shown = capsys.readouterr()
    assert out in shown.out
    assert (shown.out == "") == (out == "")
    assert err in shown.err
    assert "Traceback" not in shown.err


def test_downloads_are_shown_and_the_cache_is_the_one_that_was_named(tmp_path, capsys):
    joblib = pytest.importorskip("joblib")
    linear = pytest.importorskip("sklearn.linear_model")
    joblib.dump(linear.LinearRegression().fit([[0.0, 1.0], [2.0, 3.0]], [1.0, 5.0]), tmp_path / "sum.joblib")
    (tmp_path / "v1.json").write_text(V1)
    cache = CacheConfig(cache_dir=tmp_path / "cache")
    with serving() as origin:
        origin.files = {"/sum.joblib": (tmp_path / "sum.joblib").read_bytes()}
        uri = f"{origin.url}/sum.joblib"
        assert run_once(uri, tmp_path / "v1.json", "predict", cache) == 0
        assert f"{uri}: downloaded " in capsys.readouterr().err
    assert list((tmp_path / "cache/models").iterdir())
    assert run_once(uri, tmp_path / "v1.json", "predict", replace(cache, offline=True)) == 0
    assert f"{uri}: offline, it is as it was listed at " in capsys.readouterr().err
    assert run_once(uri, tmp_path / "v1.json", "predict", CacheConfig(cache_dir=tmp_path / "other", offline=True)) == 1
    assert "was never downloaded in the cache" in capsys.readouterr().err


def test_a_model_alone_answers_and_is_drawn_and_checked(tmp_path, capsys):
    joblib = pytest.importorskip("joblib")
    linear = pytest.importorskip("sklearn.linear_model")
    joblib.dump(linear.LinearRegression().fit([[0.0, 1.0], [2.0, 3.0]], [1.0, 5.0]), tmp_path / "sum.joblib")
    (tmp_path / "v1.json").write_text(V1)
    for given in (tmp_path / "sum.joblib", f"file://{tmp_path}/sum.joblib"):
        assert run_once(given, tmp_path / "v1.json", "predict") == 0
        assert json.loads(capsys.readouterr().out)["predictions"] == pytest.approx([3.0])
        assert check_files([given]) == 0
        assert capsys.readouterr().out.startswith("sum (version 1): 1 step, no faults\n  request → predict")
        assert draw_file(given, None, "mermaid") == 0
        assert "sum.joblib" in capsys.readouterr().out

"""Models' files alone, no graph around them: one server process that answers for each, in both protocols."""

from __future__ import annotations

import joblib
import numpy as np
import pytest

from tests.runtimes import graphs
from tests.serving import serving

linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn makes the model that is tested")
pytest.importorskip("onnxruntime", reason="onnxruntime runs the model that is tested")

ROWS = [[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 1.0]]
SUMS = [10.0, 1.0]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    rows = np.eye(4)
    joblib.dump(linear_model.LinearRegression(fit_intercept=False).fit(rows, rows.sum(axis=1)), folder / "sums.joblib")
    graphs.written(folder, graphs.linear(), "linear.onnx")
    with serving(folder, graphs=["sums.joblib", "linear.onnx"]) as server:
        yield server


@pytest.mark.parametrize(("name", "expected"), [("sums", SUMS), ("linear", [[own] * 3 for own in SUMS])])
def test_a_file_alone_answers_over_both_protocols(server, name, expected):
    reply = server.post(f"/v1/models/{name}:predict", {"instances": ROWS})
    assert (reply.status_code, list(reply.json())) == (200, ["predictions"])
    assert np.allclose(reply.json()["predictions"], expected)
    (takes,) = server.get(f"/v2/models/{name}").json()["inputs"]
    given = {"name": takes["name"], "datatype": takes["datatype"], "shape": [2, 4], "data": ROWS}
    reply = server.post(f"/v2/models/{name}/infer", {"inputs": [given]})
    (output,) = reply.json()["outputs"]
    assert (reply.status_code, output["shape"]) == (200, list(np.shape(expected)))
    assert np.allclose(output["data"], np.ravel(expected))


def test_a_bad_request_is_told_by_the_models_own_names(server):
    given = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
    reply = server.post("/v2/models/linear/infer", {"inputs": [given]})
    assert (reply.status_code, reply.json()) == (400, {"error": 'input "x" is FP32[1,3]; the model takes FP32[-1,4]'})

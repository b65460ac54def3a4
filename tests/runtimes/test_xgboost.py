"""XGBoost's boosters: what its own predict says, from every file that it writes; what it cannot take is told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.blueprint import from_model_file
from pipeline.runtimes.catalog import CannotOpen, Misfit
from pipeline.runtimes.xgboost import open_model, recognizes
from pipeline.tensors.tensor import Json, tensor
from pipeline_serve import Pipeline
from storage import Storage

xgboost = pytest.importorskip("xgboost", reason="xgboost makes and runs the models")

X = np.random.default_rng(0).normal(size=(60, 3))
TWO, THREE = (X[:, 0] > 0).astype(int), np.digitize(X[:, 1], [-0.5, 0.5])
CASES = {
    "binary": ({"objective": "binary:logistic"}, TWO, ()),
    "softmax": ({"objective": "multi:softmax", "num_class": 3}, THREE, ()),
    "softprob": ({"objective": "multi:softprob", "num_class": 3}, THREE, (3,)),
    "squared": ({"objective": "reg:squarederror"}, X[:, 2], ()),
    "linear": ({"booster": "gblinear", "objective": "reg:squarederror"}, X[:, 2], ()),
}


def trained(parameters, labels, columns=None):
    data = xgboost.DMatrix(X if columns is None else pd.DataFrame(X, columns=columns), labels)
    return xgboost.train({"nthread": 1, **parameters}, data, 3)


def saved(folder, booster, name="m.ubj"):
    # Under another name: for an ending that it does not know xgboost warns.
    booster.save_model(folder / "own.ubj")
    path = folder / name
    path.write_bytes((folder / "own.ubj").read_bytes() if not name.endswith(".json") else booster.save_raw("json"))
    return path


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("name", ["m.ubj", "m.json", "m.bst"])
def test_a_booster_predicts_as_it_does_by_itself_and_tells_what(tmp_path, kind, name):
    parameters, labels, more = CASES[kind]
    booster = trained(parameters, labels)
    opened = open_model(saved(tmp_path, booster, name), "m", {}, 1)
    assert {key: str(spec) for key, spec in opened.signature.inputs.items()} == {"X": "FP32[-1,3]"}
    dims = ",".join(map(str, (-1, *more)))
    assert {key: str(spec) for key, spec in opened.signature.outputs.items()} == {"m": f"FP32[{dims}]"}
    for dtype in (np.float64, np.float32):
        answer = opened.predict({"rows": tensor(X[:5].astype(dtype))})["m"].array
        assert answer.tolist() == booster.predict(xgboost.DMatrix(X[:5])).tolist()
    assert opened.predict({"rows": tensor(X[:0])})["m"].shape == (0, *more)


def test_options_are_xgboosts_own(tmp_path):
    booster = trained(*CASES["binary"][:2])
    path = saved(tmp_path, booster)
    margin = open_model(path, "m", {"output_margin": True, "nthread": 2}, 1).predict({"x": tensor(X)})["m"].array
    assert margin.tolist() == booster.predict(xgboost.DMatrix(X), output_margin=True).tolist()
    for params, says in [({"nthread": "two"}, "params.nthread is a whole number"),
                         ({"output_margin": 1}, "params.output_margin is true or false, not 1")]:  # fmt: skip
        with pytest.raises(CannotOpen, match=says):
            open_model(path, "m", params, 1)


def test_features_with_names_may_come_as_one_matrix_by_name_or_as_objects(tmp_path):
    booster = trained(*CASES["binary"][:2], columns=["a", "b", "c"])
    opened = open_model(saved(tmp_path, booster), "m", {}, 1)
    assert list(opened.signature.inputs) == ["a", "b", "c"]
    expected = opened.predict({"rows": tensor(X[:2])})["m"].array.tolist()
    columns = {name: tensor(X[:2, place]) for place, name in enumerate("abc")}
    assert opened.predict(dict(reversed(columns.items())))["m"].array.tolist() == expected
    rows = [dict(reversed(dict(zip("abc", row, strict=True)).items())) for row in X[:2].tolist()]
    assert opened.predict({"rows": Json(rows)})["m"].array.tolist() == expected
    with pytest.raises(Misfit, match='"rows" is JSON without the feature "c"'):
        opened.predict({"rows": Json([{"a": 1, "b": 2}])})


def test_nan_is_a_missing_value(tmp_path):
    booster = trained(*CASES["binary"][:2])
    rows = np.array([[np.nan, 1, 1]])
    answer = open_model(saved(tmp_path, booster), "m", {}, 1).predict({"x": tensor(rows)})["m"].array
    assert answer.tolist() == booster.predict(xgboost.DMatrix(rows)).tolist()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (tensor(np.zeros((2, 4))), r'"x" does not fit: expected \[-1,3\], got \[2,4\]'),
        (tensor(np.zeros(3)), r'"x" does not fit: expected \[-1,3\], got \[3\]'),
        (tensor(np.full((1, 3), np.inf)), '"x" has infinity, or a number past the range of FP32'),
        (tensor(np.full((1, 3), 1e300)), '"x" has infinity, or a number past the range of FP32'),
        (tensor(np.array([["a"] * 3])), '"x" is text, which the model does not take; it takes numbers'),
        (Json({"a": 1}), '"x" is JSON; the model reads a tensor'),
        (Json([{"a": "text"}]), '"x" is JSON, which the model cannot read'),
    ],
)
def test_what_a_booster_cannot_take_is_told(tmp_path, value, says):
    opened = open_model(saved(tmp_path, trained(*CASES["binary"][:2])), "m", {}, 1)
    with pytest.raises(Misfit, match=f"^{says}"), np.errstate(over="ignore"):
        opened.predict({"x": value})


@pytest.mark.parametrize("content", [b"", b"{}", b'{"learner": 1}', b'{"learner": {"a"', b"{L\0\0", b"tree\n"])
def test_what_is_no_booster_says_so_without_xgboosts_stack(tmp_path, content):
    path = tmp_path / "m.json"
    path.write_bytes(content)
    with pytest.raises(CannotOpen, match="is no booster that ") as caught:
        open_model(path, "m", {}, 1)
    assert "\n" not in str(caught.value)
    assert "/src/" not in str(caught.value)


@pytest.mark.filterwarnings("ignore")
def test_the_binary_format_of_old_is_for_the_xgboost_that_knows_it(tmp_path):
    booster = trained(*CASES["softprob"][:2])
    path = tmp_path / "m.bst"
    try:
        path.write_bytes(booster.save_raw("deprecated"))
    except ValueError:  # from 3.1 on
        path.write_bytes(b"binf" + bytes(500))
        with pytest.raises(
            CannotOpen, match=r"can load: .*; it is in the old binary format, which xgboost before 3\.1"
        ):
            open_model(path, "m", {}, 1)
    else:
        answer = open_model(path, "m", {}, 1).predict({"x": tensor(X)})["m"].array
        assert answer.tolist() == booster.predict(xgboost.DMatrix(X)).tolist()


def test_its_files_are_known_by_their_beginning(tmp_path):
    booster = trained(*CASES["binary"][:2])
    assert recognizes(saved(tmp_path, booster).read_bytes()[:1024])
    assert recognizes(b'{\n  "learner": {')
    assert recognizes(b"binf\0\0\0?")
    assert not recognizes(b'{"instances": [[1]]}')
    assert not recognizes(b"tree\nversion=v4\n")


async def test_a_booster_by_itself_predicts_as_kserves_server(tmp_path):
    path = saved(tmp_path, trained(*CASES["softprob"][:2]), "churn.bst")
    rows = [*X[:3].tolist(), [float("nan"), 1.0, -1.0]]
    # As that server has it: the bytes of the file, and a matrix of what came in JSON, both with a number of threads.
    theirs = xgboost.Booster(params={"nthread": 1}, model_file=bytearray(path.read_bytes()))
    expected = theirs.predict(xgboost.DMatrix(np.array(rows), nthread=1)).tolist()
    async with Pipeline.from_blueprint(from_model_file(path, Storage({}))) as model:
        answer = await model.infer({"x": rows})
    assert model.name == "churn"
    assert answer["predict"].tolist() == expected

"""LightGBM's boosters: what its own predict says; what it cannot take is told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.blueprint import from_model_file
from pipeline.runtimes.catalog import CannotOpen, Misfit
from pipeline.runtimes.lightgbm import open_model, recognizes
from pipeline.tensors.tensor import tensor
from pipeline_serve import Pipeline
from storage import Storage

lightgbm = pytest.importorskip("lightgbm", reason="lightgbm makes and runs the models")

X = np.random.default_rng(0).normal(size=(80, 3))
TWO, THREE = (X[:, 0] > 0).astype(int), np.digitize(X[:, 1], [-0.5, 0.5])
CASES = {
    "binary": ({"objective": "binary"}, TWO, ()),
    "multiclass": ({"objective": "multiclass", "num_class": 3}, THREE, (3,)),
    "regression": ({}, X[:, 2], ()),
}


def trained(kind, columns=None):
    parameters, labels, _ = CASES[kind]
    data = lightgbm.Dataset(X if columns is None else pd.DataFrame(X, columns=columns), labels)
    return lightgbm.train({"verbosity": -1, "num_threads": 1, **parameters}, data, 3)


def saved(folder, booster, name="m.txt"):
    booster.save_model(folder / name)
    return folder / name


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("name", ["m.txt", "m.bst"])
def test_a_booster_predicts_as_it_does_by_itself_and_tells_what(tmp_path, kind, name):
    booster, more = trained(kind), CASES[kind][2]
    opened = open_model(saved(tmp_path, booster, name), "m", {}, 1)
    assert {key: str(spec) for key, spec in opened.signature.inputs.items()} == {"X": "FP64[-1,3]"}
    assert opened.signature.outputs["m"].dims == (-1, *more)
    for rows in (X[:5], X[:5].astype(np.float32), np.arange(6).reshape(2, 3)):
        answer = opened.predict({"rows": tensor(rows)})["m"].array
        assert answer.tolist() == booster.predict(rows).tolist()
    assert opened.predict({"rows": tensor(X[:0])})["m"].shape == (0, *more)


def test_options_are_lightgbms_own(tmp_path):
    booster = trained("binary")
    opened = open_model(saved(tmp_path, booster), "m", {"raw_score": True, "num_threads": 2}, 1)
    assert opened.predict({"x": tensor(X)})["m"].array.tolist() == booster.predict(X, raw_score=True).tolist()
    with pytest.raises(CannotOpen, match=r"params\.num_threads is a whole number, 0 or more, not -1"):
        open_model(tmp_path / "m.txt", "m", {"num_threads": -1}, 1)


def test_features_with_names_may_come_by_name(tmp_path):
    opened = open_model(saved(tmp_path, trained("binary", ["a", "b", "c"])), "m", {}, 1)
    assert list(opened.signature.inputs) == ["a", "b", "c"]
    columns = {name: tensor(X[:2, place]) for place, name in enumerate("abc")}
    expected = opened.predict({"rows": tensor(X[:2])})["m"].array.tolist()
    assert opened.predict(columns)["m"].array.tolist() == expected
    with pytest.raises(Misfit, match='the feature "c" is missing from "a", "b"'):
        opened.predict({name: columns[name] for name in "ab"})


def test_what_a_booster_cannot_take_is_told(tmp_path):
    opened = open_model(saved(tmp_path, trained("binary")), "m", {}, 1)
    for value, says in [
        (np.zeros((2, 4)), r'"x" does not fit: expected \[-1,3\], got \[2,4\]'),
        (np.array([["a"] * 3]), '"x" is text'),
    ]:
        with pytest.raises(Misfit, match=f"^{says}"):
            opened.predict({"x": tensor(value)})


@pytest.mark.parametrize("content", [b"", b"tree\n", b"{}"])
def test_what_is_no_booster_says_so(tmp_path, content, capfd):
    path = tmp_path / "m.txt"
    path.write_bytes(content)
    with pytest.raises(CannotOpen, match=r"m\.txt is no booster that can be read: "):
        open_model(path, "m", {}, 1)


def test_its_files_are_known_by_their_first_line(tmp_path):
    assert recognizes(saved(tmp_path, trained("binary")).read_bytes()[:1024])
    assert not recognizes(b"numpy==2\n")
    assert not recognizes(b"")


async def test_a_booster_by_itself_predicts_as_kserves_server(tmp_path):
    path = saved(tmp_path, trained("multiclass", ["a", "b", "c"]), "churn.bst")
    theirs = lightgbm.Booster(model_file=path)
    rows = [*X[:3].tolist(), [float("nan"), 1.0, -1.0]]
    async with Pipeline.from_blueprint(from_model_file(path, Storage({}))) as model:
        by_matrix = await model.infer({"x": rows})
        by_name = await model.infer({name: [row[place] for row in rows] for place, name in enumerate("abc")})
    # That server hands on a matrix of what came in JSON, or a frame where objects did.
    assert by_matrix["predict"].tolist() == theirs.predict(np.array(rows)).tolist()
    assert by_name["predict"].tolist() == theirs.predict(pd.DataFrame(rows, columns=["a", "b", "c"])).tolist()

"""Files of xgboost that were edited: each is refused before the library, which most of them end the process of."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from pipeline.runtimes.catalog import CannotOpen
from pipeline.runtimes.xgboost import open_model
from pipeline.runtimes.xgboost_file import check_booster

xgboost = pytest.importorskip("xgboost", reason="xgboost makes the models")

ROWS = np.random.default_rng(0).normal(size=(60, 2))
KINDS = {
    "trees": {"objective": "multi:softprob", "num_class": 3, "max_depth": 2},
    "categories": {"max_cat_to_onehot": 1},
    "dart": {"booster": "dart"},
    "linear": {"booster": "gblinear"},
    "vectors": {"multi_strategy": "multi_output_tree", "tree_method": "hist"},
}


@pytest.fixture(scope="module")
def boosters():
    sets = pd.Categorical(np.arange(60) % 6)
    made = {}
    for kind, parameters in KINDS.items():
        rows = pd.DataFrame({"a": ROWS[:, 0], "b": sets}) if kind == "categories" else ROWS
        labels = np.stack([np.arange(60) % 3, np.arange(60) % 2], 1)[:, slice(None) if kind == "vectors" else 0]
        data = xgboost.DMatrix(rows, labels, enable_categorical=True)
        made[kind] = xgboost.train({"nthread": 1, **parameters}, data, 2)
    return made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["json", "ubj"])
def test_what_xgboost_writes_passes(boosters, kind, form):
    check_booster(bytes(boosters[kind].save_raw(form)))


def root(model):
    """The tree of the first round."""
    return model["trees"][0]


EDITED = [
    ("trees", lambda model: root(model)["left_children"].__setitem__(0, 2**30), "tree 0: left_children, .* 1073741824"),
    ("trees", lambda model: root(model)["left_children"].__setitem__(0, 0), "tree 0: its nodes form no tree"),
    (
        "trees",
        lambda model: root(model)["right_children"].__setitem__(0, -1),
        "tree 0: left_children, right_children has -1",
    ),
    ("trees", lambda model: root(model)["split_indices"].__setitem__(0, 2**29), "tree 0: split_indices has 536870912"),
    ("trees", lambda model: root(model)["parents"].__setitem__(1, -1), "tree 0: parents are not"),
    (
        "trees",
        lambda model: root(model)["tree_param"].update(num_nodes="2000000000"),
        "tree 0: num_nodes is 2000000000",
    ),
    ("trees", lambda model: root(model).update(id=1), "tree 0: its id is 1"),
    ("trees", lambda model: root(model).pop("left_children"), "tree 0: 'left_children'"),
    ("trees", lambda model: root(model).pop("loss_changes"), "tree 0: 'loss_changes'"),
    ("trees", lambda model: root(model)["base_weights"].pop(), "tree 0: base_weights has "),
    ("trees", lambda model: model["trees"].pop(), "num_trees is 6, expected 5 to 5"),
    ("trees", lambda model: model["tree_info"].__setitem__(0, 9), "tree_info has 9, expected 0 to 2"),
    ("trees", lambda model: model["iteration_indptr"].__setitem__(1, 99), "iteration_indptr has 99"),
    ("trees", lambda model: model["iteration_indptr"].reverse(), "iteration_indptr goes back"),
    ("trees", lambda model: model.update(iteration_indptr=5), "a part of it is missing, or not of its kind"),
    ("categories", lambda model: root(model)["categories"].__setitem__(0, 2**30), "tree 0: categories has 1073741824"),
    ("categories", lambda model: root(model)["categories_sizes"].__setitem__(0, 2**30), "tree 0: categories_sizes has"),
    (
        "categories",
        lambda model: root(model)["categories_nodes"].__setitem__(0, 99),
        "tree 0: categories_nodes are",
    ),
    ("vectors", lambda model: root(model)["right_children"].__setitem__(-1, 2**30), "tree 0: right_children has 10737"),
    ("vectors", lambda model: root(model)["tree_param"].update(size_leaf_vector="9"), "tree 0: size_leaf_vector is 9"),
    ("linear", lambda model: model["weights"].pop(), "it has 2 weights for 2 features and a bias"),
]


@pytest.mark.parametrize(("kind", "edit", "says"), EDITED)
def test_what_would_be_read_out_of_bounds_is_named(boosters, kind, edit, says):
    found = json.loads(bytes(boosters[kind].save_raw("json")))
    edit(found["learner"]["gradient_booster"]["model"])
    with pytest.raises(ValueError, match=f"^{says}"):
        check_booster(json.dumps(found).encode())


@pytest.mark.parametrize(
    ("name", "number"), [("num_feature", "-1"), ("num_feature", "2000000000"), ("num_class", "1000000000")]
)
def test_sizes_that_no_row_has_are_named(boosters, name, number):
    found = json.loads(bytes(boosters["trees"].save_raw("json")))
    found["learner"]["learner_model_param"][name] = number
    with pytest.raises(ValueError, match=f"^{name} is {number}, expected 0 to "):
        check_booster(json.dumps(found).encode())


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"learner":' + b"[" * 500_000 + b"]" * 500_000 + b"}", "it nests too deep"),
        (b'{"learner":null}', "it has no learner with"),
        (b"{L\x7f\xff\xff\xff\xff\xff\xff\xfflearner}", "it was cut short"),
    ],
)
def test_such_a_file_is_an_error_that_names_it(tmp_path, data, says):
    path = tmp_path / "m.bst"
    path.write_bytes(data)
    with pytest.raises(CannotOpen, match=rf"m\.bst is no booster that can be read: {says}"):
        open_model(path, "m", {}, 1)

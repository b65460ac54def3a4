"""Files of LightGBM that were edited: each is refused before the library, which most of them end the process of."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pipeline.runtimes.catalog import CannotOpen
from pipeline.runtimes.lightgbm import open_model
from pipeline.runtimes.lightgbm_file import check_booster

lightgbm = pytest.importorskip("lightgbm", reason="lightgbm makes the models")

ROWS = np.random.default_rng(0).normal(size=(200, 3))
ROWS[:, 1] = np.arange(200) % 9
KINDS = {
    "classes": ({"objective": "multiclass", "num_class": 3}, {}),
    "categories": ({"max_cat_to_onehot": 1, "min_data_per_group": 5, "cat_smooth": 1}, {"categorical_feature": [1]}),
    "linear": ({"linear_tree": True}, {"params": {"linear_tree": True}}),
    "none": ({"min_data_in_leaf": 200}, {}),
}


@pytest.fixture(scope="module")
def boosters():
    made = {}
    for kind, (parameters, more) in KINDS.items():
        data = lightgbm.Dataset(ROWS, ROWS[:, 1] % 3 + (kind != "classes") * ROWS[:, 0], **more)
        own = {"verbosity": -1, "num_threads": 1, "num_leaves": 4, **parameters}
        made[kind] = lightgbm.train(own, data, 2).model_to_string()
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_what_lightgbm_writes_passes(boosters, kind):
    check_booster(boosters[kind].encode())


def resized(text):
    """With the sizes of its trees as they are."""
    body = text.partition("end of trees")[0]
    starts = [found.start() for found in re.finditer("^Tree=", body, re.MULTILINE)]
    sizes = " ".join(str(stop - start) for start, stop in zip(starts, [*starts[1:], len(body)], strict=True))
    return re.sub("tree_sizes=.*", f"tree_sizes={sizes}", text)


EDITED = [
    ("classes", "left_child=.*", "left_child=1000000 1 2", "tree 0: left_child, right_child has 1000000"),
    ("classes", "left_child=.*", "left_child=0 0 0", "tree 0: its nodes form no tree"),
    ("classes", "split_feature=.*", "split_feature=0 0 1000000", "tree 0: split_feature has 1000000"),
    ("classes", "num_leaves=.*", "num_leaves=2000000000", "tree 0: num_leaves is 2000000000"),
    ("classes", "leaf_weight=.*", "leaf_weight=", "tree 0: leaf_weight has 0 numbers, expected 4"),
    ("classes", "max_feature_idx=.*", "max_feature_idx=2000000000", "max_feature_idx is 2000000000"),
    ("classes", "max_feature_idx=.*", "max_feature_idx=-2", "max_feature_idx is -2"),
    ("classes", "num_tree_per_iteration=.*", "num_tree_per_iteration=0", "num_tree_per_iteration is 0"),
    ("classes", "num_class=.*", "num_class=2", "num_class is 2, and in its objective 3"),
    ("classes", "objective=.*", "objective=", "its objective is empty"),
    ("classes", "end of trees", "", "it has no .end of trees.: it is none of"),
    ("categories", "cat_boundaries=.*", "cat_boundaries=0 9999", "tree .: cat_"),
    ("categories", "num_cat=.*", "num_cat=0", "tree .: threshold has a set of categories past the 0"),
    ("linear", "leaf_features=.*", "leaf_features=1000000", "tree 0: leaf_features has "),
]


@pytest.mark.parametrize(("kind", "field", "edit", "says"), EDITED)
def test_what_would_be_read_out_of_bounds_is_named(boosters, kind, field, edit, says):
    edited = re.sub(f"^{field}$", edit, boosters[kind], count=0 if kind == "categories" else 1, flags=re.MULTILINE)
    with pytest.raises(ValueError, match=f"^{says}"):
        check_booster(resized(edited).encode())


def test_a_tree_of_another_size_is_an_error_that_names_the_file(boosters, tmp_path):
    path = tmp_path / "m.txt"
    path.write_text(boosters["none"].replace("leaf_count", "leaf_counts", 1))
    with pytest.raises(
        CannotOpen, match=r"m\.txt is no booster that can be read: tree_sizes are not the sizes of its trees"
    ):
        open_model(path, "m", {}, 1)

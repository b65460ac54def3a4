"""Whether xgboost may be given a booster's file, in JSON or UBJSON: what it would read out of bounds is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.runtimes.trees import Indices, count, features, indices, outputs, walkable, within
from pipeline.runtimes.ubjson import read_ubjson

# A category is a bit in a set that is as long as the largest one.
_MOST_CATEGORIES = 1 << 24
_INT32 = (1 << 31) - 1


def check_booster(data: bytes) -> None:
    """Raises ValueError that says what is wrong with a file that begins as a booster's."""
    try:
        # As xgboost tells them apart; in JSON, a quote or a blank follows.
        found = read_ubjson(data) if data[1:2] in b"LIiUl" else json.loads(data)
    except RecursionError:
        raise ValueError("it nests too deep") from None
    match found:
        case {"learner": {"learner_model_param": dict() as params, "gradient_booster": dict() as booster}}:
            try:
                _check(params, booster)
            except (AttributeError, KeyError, TypeError) as error:
                raise ValueError(f"a part of it is missing, or not of its kind: {error}") from None
        case _:
            raise ValueError("it has no learner with learner_model_param and gradient_booster")


def _check(params: Mapping[str, Any], booster: Mapping[str, Any]) -> None:
    wide = features(params, "num_feature")
    groups = max(1, *(outputs(params, name) for name in ("num_class", "num_target") if name in params))
    match booster:
        case {"name": "dart", "gbtree": {"model": dict() as model}, "weight_drop": weights}:
            _check_trees(model, wide, groups)
            if len(weights) != len(model["trees"]):
                raise ValueError(f"weight_drop has {len(weights)} weights for {len(model['trees'])} trees")
        case {"name": "gbtree", "model": dict() as model}:
            _check_trees(model, wide, groups)
        case {"name": "gblinear", "model": {"weights": weights}}:
            if len(weights) not in (0, (wide + 1) * groups):
                raise ValueError(f"it has {len(weights)} weights for {wide} features and a bias, of {groups} outputs")
        case _:
            raise ValueError("its gradient_booster is no gbtree, dart or gblinear with a model")


def _check_trees(model: Mapping[str, Any], wide: int, groups: int) -> None:
    match model:
        case {"trees": list() as trees, "gbtree_model_param": dict() as params}:
            count(params, "num_trees", len(trees), len(trees))
        case _:
            raise ValueError("its model has no trees, or no gbtree_model_param")
    within("tree_info", indices(model, "tree_info", len(trees)), 0, groups)
    if "iteration_indptr" in model:
        rounds = indices(model, "iteration_indptr", len(model["iteration_indptr"]))
        within("iteration_indptr", rounds, 0, len(trees) + 1)
        if (np.diff(rounds) < 0).any():
            raise ValueError("iteration_indptr goes back")
    for number, tree in enumerate(trees):
        try:
            if tree["id"] != number:
                raise ValueError(f"its id is {tree['id']}")
            _check_tree(tree, wide, groups)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"tree {number}: {error}") from None


def _check_tree(tree: Mapping[str, Any], wide: int, groups: int) -> None:
    size = len(tree["left_children"])
    count(tree["tree_param"], "num_nodes", max(size, 1), size)
    # What is missing in UBJSON xgboost reads as well.
    for name in ("base_weights", "loss_changes", "sum_hessian", "split_conditions", "default_left"):
        if len(tree[name]) < size:
            raise ValueError(f"{name} has {len(tree[name])} numbers, expected {size}")
    left, right = indices(tree, "left_children", size), indices(tree, "right_children", size)
    inner = left != -1
    vector = count(tree["tree_param"], "size_leaf_vector", 0, groups) if "size_leaf_vector" in tree["tree_param"] else 0
    if vector > 1:
        # In place of its right child, a leaf has its place among the vectors.
        within("right_children", right[~inner], -1, len(tree.get("leaf_weights", ())) // vector)
    elif (right[~inner] != -1).any():
        raise ValueError("a leaf has a child")
    children = np.concatenate([left[inner], right[inner]])
    within("left_children, right_children", children, 0, size)
    walkable(children)
    # A node that was pruned reads no feature, and says so by the largest number there is.
    within("split_indices", indices(tree, "split_indices", size)[inner], 0, wide)
    parents, nodes = indices(tree, "parents", size), np.flatnonzero(inner)
    if parents[0] not in (-1, _INT32) or (parents[children] != np.concatenate([nodes, nodes])).any():
        raise ValueError("parents are not the nodes whose children these are")
    _check_categories(tree, inner)


def _check_categories(tree: Mapping[str, Any], inner: Indices) -> None:
    """Those of all nodes stand in one list, of which each node has a part."""
    if "categories" not in tree:
        return
    every = indices(tree, "categories", len(tree["categories"]))
    within("categories", every, 0, _MOST_CATEGORIES)
    nodes = indices(tree, "categories_nodes", len(tree["categories_nodes"]))
    if not np.array_equal(nodes, np.flatnonzero(inner & (indices(tree, "split_type", len(inner)) == 1))):
        raise ValueError("categories_nodes are not the nodes that split by categories")
    starts, sizes = (indices(tree, name, len(nodes)) for name in ("categories_segments", "categories_sizes"))
    within("categories_segments", starts, 0, len(every) + 1)
    within("categories_sizes", sizes, 0, len(every) + 1)
    within("categories_segments with their sizes", starts + sizes, 0, len(every) + 1)

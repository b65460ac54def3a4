"""Whether LightGBM may be given a booster's file: what it would read out of bounds is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.runtimes.trees import count, features, outputs, walkable, within

_TREE = re.compile(rb"^Tree=", re.MULTILINE)
_END = b"end of trees"
_PER_LEAF = {"leaf_weight", "leaf_count"}
_PER_NODE = {"split_gain", "threshold", "decision_type", "internal_value", "internal_weight", "internal_count"}
_CLASSES = re.compile(r"num_class:(\S+)")


def check_booster(data: bytes) -> None:
    """Raises ValueError that says what is wrong with a file that begins as a booster's."""
    body, end, _ = data.partition(_END)
    if not end:
        raise ValueError('it has no "end of trees": it is none of LightGBM\'s, or was cut short')
    starts = [found.start() for found in _TREE.finditer(body)]
    head = _lines(body[: starts[0]] if starts else body)
    wide = features(head, "max_feature_idx", -1) + 1
    classes, _ = outputs(head, "num_class"), count(head, "num_tree_per_iteration", 1, max(1, len(starts)))
    if head.get("objective") == "":
        raise ValueError("its objective is empty")
    if (told := _CLASSES.search(head.get("objective", ""))) and told[1] != str(classes):
        raise ValueError(f"num_class is {classes}, and in its objective {told[1]}")
    blocks = [body[start:stop] for start, stop in zip(starts, [*starts[1:], len(body)], strict=True)]
    # By these LightGBM goes from tree to tree.
    sizes = _numbers(head, "tree_sizes", len(blocks)) if "tree_sizes" in head else None
    if sizes is not None and sizes.tolist() != [len(block) for block in blocks]:
        raise ValueError("tree_sizes are not the sizes of its trees; it was changed, or cut short")
    for number, block in enumerate(blocks):
        try:
            _check_tree(_lines(block), wide)
        except ValueError as error:
            raise ValueError(f"tree {number}: {error}") from None


def _check_tree(tree: Mapping[str, str], wide: int) -> None:
    values = len(tree.get("leaf_value", "").split())
    leaves = count(tree, "num_leaves", max(values, 1), values)
    if leaves == 1:
        return  # it has a value, and LightGBM reads no further
    # All of them: an error that it raises itself while it reads trees, in threads, is the end of the process.
    for name in tree.keys() & _PER_LEAF:
        _sized(tree, name, leaves)
    for name in tree.keys() & _PER_NODE:
        _sized(tree, name, leaves - 1)
    children = np.concatenate([_numbers(tree, name, leaves - 1) for name in ("left_child", "right_child")])
    # A leaf is its complement: -1 is leaf 0.
    within("left_child, right_child", children, -leaves, leaves - 1)
    walkable(children)
    within("split_feature", _numbers(tree, "split_feature", leaves - 1), 0, wide)
    _check_categories(tree, leaves)
    if tree.get("is_linear", "0") == "1":
        own = _numbers(tree, "num_features", leaves)
        within("num_features", own, 0, wide + 1)
        within("leaf_features", _numbers(tree, "leaf_features", int(own.sum())), 0, wide)
        for name, size in (("leaf_coeff", int(own.sum())), ("leaf_const", leaves)):
            _sized(tree, name, size)


def _check_categories(tree: Mapping[str, str], leaves: int) -> None:
    """Those of all splits are bits in one list of words, of which each split has a part."""
    thresholds = _sized(tree, "threshold", leaves - 1)
    splits = _numbers(tree, "decision_type", leaves - 1) & 1 if "decision_type" in tree else np.zeros(leaves - 1)
    sets = count(tree, "num_cat", 0, leaves - 1)
    which = [float(threshold) for threshold, split in zip(thresholds, splits, strict=True) if split]
    if not all(0 <= place < sets for place in which):
        raise ValueError(f"threshold has a set of categories past the {sets} that there are")
    if sets:
        bounds = _numbers(tree, "cat_boundaries", sets + 1)
        if bounds[0] != 0 or (np.diff(bounds) < 0).any():
            raise ValueError("cat_boundaries are no parts of a list")
        _sized(tree, "cat_threshold", int(bounds[-1]))


def _lines(block: bytes) -> dict[str, str]:
    pairs = (line.partition("=") for line in block.decode(errors="replace").splitlines())
    return {name.strip(): value.strip() for name, sign, value in pairs if sign}


def _numbers(lines: Mapping[str, str], name: str, size: int) -> np.ndarray[Any, Any]:
    try:
        return np.array(_sized(lines, name, size), np.int64)
    except OverflowError:
        raise ValueError(f"{name} has a number past 64 bits") from None


def _sized(lines: Mapping[str, str], name: str, size: int) -> list[str]:
    words = lines.get(name, "").split()
    if len(words) != size:
        raise ValueError(f"{name} has {len(words)} numbers, expected {size}")
    return words

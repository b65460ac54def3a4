"""Trees of files: what can be walked passes, and what would lead out of them, or round in them, is named."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.runtimes.trees import count, features, indices, outputs, walkable, within


@pytest.mark.parametrize("text", ["-2", "2000000000", "x", "", None, []])
def test_a_number_that_is_none_or_out_of_bounds_is_named(text):
    for read in (features, outputs):
        assert read({"n": "3"}, "n") == 3
        for params in ({"n": text}, {}):
            with pytest.raises(ValueError, match=r"^n is "):
                read(params, "n")
    assert count({"n": 7}, "n", 7, 7) == 7


@pytest.mark.parametrize("values", [None, 5, [1], [1.5, 2.5], ["a", "b"], [[1], [2]], [1, [2]]])
def test_indices_are_so_many_whole_numbers(values):
    assert indices({"n": [1, 2]}, "n", 2).tolist() == [1, 2]
    assert indices({"n": []}, "n", 0).tolist() == []
    with pytest.raises(ValueError, match=r"^n is "):
        indices({"n": values}, "n", 2)


def test_the_first_outside_is_named():
    within("n", np.array([0, 2]), 0, 3)
    with pytest.raises(ValueError, match=r"^n has 3, expected 0 to 2$"):
        within("n", np.array([0, 3, 4]), 0, 3)


@pytest.mark.parametrize("children", [[0, 1], [1, 1], [1, 2, 2]])
def test_a_walk_ends(children):
    walkable(np.array([1, 2, -1, -2]))
    with pytest.raises(ValueError, match="no tree"):
        walkable(np.array(children))

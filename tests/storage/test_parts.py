"""What is cut is what is missing, in parts that touch neither each other nor what is there."""

from hypothesis import given
from hypothesis import strategies as st

from storage.listing import Item
from storage.parts import have, parts


def item(size, *, ranged=True):
    return Item("m", "m", size, '"e"', ranged=ranged)


@given(st.integers(1, 100), st.integers(0, 100), st.integers(0, 100), st.integers(1, 30))
def test_parts_are_what_is_missing_once(size, start, stop, most):
    start, stop = sorted((min(start, size), min(stop, size)))
    written = {0: [(start, stop)]} if start < stop else {}
    cut = list(parts([item(size)], written, most))
    covered = [byte for part in cut for byte in range(part.start, part.stop)]
    assert sorted(covered) == [byte for byte in range(size) if not start <= byte < stop]
    assert all(0 < part.stop - part.start <= most for part in cut)
    assert have([item(size)], written) == stop - start


def test_files_without_length_or_ranges_are_one_part_and_are_taken_whole_again():
    cut = list(parts([item(None), item(100, ranged=False), item(100, ranged=False)], {1: [(0, 50)], 2: [(0, 100)]}, 10))
    assert [(part.file, part.start, part.stop, part.whole) for part in cut] == [(0, 0, None, True), (1, 0, 100, True)]
    assert have([item(None), item(100, ranged=False), item(100, ranged=False)], {1: [(0, 50)], 2: [(0, 100)]}) == 100


def test_an_empty_file_is_a_part_of_nothing():
    assert [(part.start, part.stop) for part in parts([item(0)], {})] == [(0, 0)]
    assert list(parts([item(0)], {0: [(0, 0)]})) == []

"""How many connections a worker takes, so that none has many more than another."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.crowd import Crowd, fair


@pytest.mark.parametrize(
    ("own", "others", "may"), [(0, [0], 1), (3, [3, 5], 1), (0, [5, 7], 6), (2, [1, 9], 0), (4, [-1, 3], 0)]
)
def test_who_has_fewer_goes_first_and_nobody_goes_far_ahead(own, others, may):
    assert fair(own, others) == may


@pytest.mark.parametrize("others", [[], [-1], [-1, -1]])
def test_who_is_alone_takes_all(others):
    assert fair(100, others) > 1000


@given(places=st.integers(1, 5), seed=st.integers(0, 2**32))
def test_whoever_comes_first_all_have_the_same_but_for_one(places, seed):
    chance, crowd = random.Random(seed), Crowd(places)
    shares = [crowd.place(number) for number in range(places)]
    counts = [0] * places
    for own in shares:
        own.tell(0)
    for _ in range(100):
        number = chance.randrange(places)
        counts[number] += min(shares[number].may_take(), 3)
        shares[number].tell(counts[number])
    if places > 1:
        assert max(counts) - min(counts) <= 1


def test_the_place_of_one_that_has_ended_holds_up_nobody():
    crowd = Crowd(2)
    one, other = crowd.place(0), crowd.place(1)
    other.tell(0)
    one.tell(5)
    assert one.may_take() == 0
    crowd.left(1)
    assert one.may_take() > 0
    other.may_take()
    assert one.may_take() == 0, "it is there again"

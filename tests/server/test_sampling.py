"""Which calls have a line: all at first, then each hundredth, errors apart from the rest; no more than the rate."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from server.sampling import EACH, Sampler


def test_below_the_rate_every_call_has_its_line():
    sampler = Sampler(10)
    assert [sampler.stands_for(200, now / 10) for now in range(100)] == [1] * 100


def test_above_it_each_hundredth_has_and_says_so():
    sampler = Sampler(10)
    said = [sampler.stands_for(200, 5.0) for _ in range(10 + 2 * EACH)]
    assert said[:10] == [1] * 10
    assert Counter(said[10:]) == {0: 2 * EACH - 2, EACH: 2}


def test_a_burst_as_long_as_a_second_s_is_not_sampled_and_room_comes_back():
    sampler = Sampler(10)
    assert [sampler.stands_for(200, 0.0) for _ in range(11)] == [1] * 10 + [0]
    assert [sampler.stands_for(200, 0.5) for _ in range(6)] == [1] * 5 + [0]


def test_an_error_keeps_its_line_in_a_flood_of_answers():
    sampler = Sampler(10)
    for _ in range(1000):
        sampler.stands_for(200, 0.0)
    assert [sampler.stands_for(status, 0.0) for status in (503, 404, 500)] == [1, 1, 1]


def test_a_clock_that_is_set_back_gives_no_room_and_takes_none():
    sampler = Sampler(2)
    assert [sampler.stands_for(200, now) for now in (100.0, 50.0, 50.0, 50.5)] == [1, 1, 0, 1]


@given(st.lists(st.tuples(st.sampled_from([200, 404, 500]), st.floats(0, 0.01)), max_size=400), st.integers(1, 50))
def test_what_lines_stand_for_is_never_more_than_there_was_and_at_most_a_hundred_less(calls, rate):
    sampler, now, told, had = Sampler(rate), 0.0, Counter(), Counter()
    for status, pause in calls:
        now += pause
        had[status] += 1
        told[status] += sampler.stands_for(status, now)
    for status, count in had.items():
        assert count - EACH < told[status] <= count

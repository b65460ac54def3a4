"""When so little comes that it is given up; in a time of the test's own."""

import pytest

from storage.trickle import LEAST, Trickle

WINDOW = 300.0


def given_up(rate, until=4 * WINDOW, begins=0.0):
    """When, at that many bytes a second since ``begins`` and ten times ``LEAST`` before; None where never."""
    trickle = Trickle(0.0, WINDOW)
    for tick in range(int(until)):
        now = float(tick)
        moved = int(min(now, begins) * 10 * LEAST + max(0.0, now - begins) * rate)
        if trickle.is_one(moved, now):
            return now
    return None


@pytest.mark.parametrize("rate", [1, LEAST - 1])
def test_a_trickle_is_given_up_after_five_minutes(rate):
    assert given_up(rate) == pytest.approx(WINDOW, abs=2)


def test_so_is_what_becomes_one():
    assert 500 + WINDOW - 30 <= given_up(1, begins=500.0) <= 500 + WINDOW + 30


@pytest.mark.parametrize("rate", [0, LEAST + 1, 10**9])
def test_silence_and_what_is_only_slow_are_not(rate):
    assert given_up(rate) is None

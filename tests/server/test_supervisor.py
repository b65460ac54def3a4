"""When the next worker starts; the rest is seen from outside, in tests/faults/test_workers.py."""

from __future__ import annotations

from server.supervisor import pause_after


def test_the_first_is_replaced_at_once_and_those_that_end_early_ever_later_up_to_half_a_minute():
    assert [pause_after(times) for times in range(6)] == [0, 0, 0.25, 0.5, 1, 2]
    assert pause_after(1000) == 30

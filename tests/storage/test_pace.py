"""What a pace waits for, without waiting: the flag that it waits by tells how long that would be."""

from __future__ import annotations

import threading

import pytest

from storage.pace import Pace
from storage.source import CHUNK


class Waited(threading.Event):
    """A flag that returns at once, and knows how long it was to be waited for."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def wait(self, timeout=None):
        self.seconds.append(timeout)
        return False


def test_pieces_are_due_one_after_the_other_whoever_brings_them():
    pace, one, two = Pace(CHUNK), Waited(), Waited()
    for flag in (one, two, one):
        pace.keep(CHUNK, flag)
    assert [*one.seconds, *two.seconds] == pytest.approx([1, 3, 2], abs=0.5)


def test_a_small_piece_is_a_quarter_of_a_whole_one_and_a_large_one_more():
    pace, flag = Pace(CHUNK / 8), Waited()
    pace.keep(1, flag)
    pace.keep(3 * CHUNK, flag)
    assert flag.seconds == pytest.approx([2, 26], abs=0.5)


def test_the_flag_ends_the_wait():
    stop = threading.Event()
    stop.set()
    Pace(1e-6).keep(1, stop)

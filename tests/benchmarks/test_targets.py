"""How what was measured is judged: by the ratios within a round, and of those targets alone whose both sides ran."""

from __future__ import annotations

import pytest

from benchmarks.beside.contenders import TWO_WORKERS
from benchmarks.beside.loads import Measured
from benchmarks.beside.targets import verdicts


def rates(*each: float) -> list[Measured]:
    return [Measured(rate, median=0.001, cpu=60e-6) for rate in each]


def judged(rounds, resting=None, further_step=None) -> dict[tuple[str, str], tuple[float, bool]]:
    found = verdicts(rounds, resting or {}, further_step)
    return {(own.what, own.target): (pytest.approx(own.value), own.met) for own in found}


def test_two_workers_are_held_against_one_of_the_same_round():
    # A machine that others use: the second round was slow for both.
    rounds = {"small-16": {"ours": rates(10, 1, 10), TWO_WORKERS: rates(19, 1.9, 11)}}
    assert judged(rounds) == {("small-16, requests/s by 2 workers", "≥ 1.8 × ours"): (1.9, True)}


def test_a_further_step_is_half_of_what_two_more_cost_on_the_wire_and_in_process():
    more = [Measured(1, 1, cpu) for cpu in (63e-6, 65e-6, 70e-6)]
    rounds = {"small-16": {"ours": rates(1, 1, 1)}, "chain-16": {"ours": more}}
    assert judged(rounds, further_step=1.5) == {
        ("each further step, on the wire, chain-16 less small-16", "≤ 2 µs of CPU"): (2.5, False),
        ("each further step, in process, benchmarks/chain.py", "≤ 2 µs of CPU"): (1.5, True),
    }


def test_at_rest_less_is_better():
    resting = {"ours": (0.4, 60e6), "kserve": (1.0, 100e6)}
    assert judged({}, resting) == {
        ("start to ready", "≤ 0.45 × kserve"): (0.4, True),
        ("memory at rest", "≤ 0.55 × kserve"): (0.6, False),
    }

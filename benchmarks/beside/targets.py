"""What is promised of ours, as ratios to others in the same run, and whether it was kept."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.beside.contenders import BY_ORJSON, HAS_SIMDJSON, TWO_WORKERS
from benchmarks.beside.loads import Measured


@dataclass(frozen=True, slots=True)
class Target:
    """Of a work: ours, or that of ``own``, over ``base``'s, of what is measured; at least ``bound``, or at most."""

    work: str
    what: str
    base: str
    bound: float
    least: bool
    own: str = "ours"

    @property
    def title(self) -> str:
        return f"{self.work}, {_WORDS[self.what]}{self.own.removeprefix('ours')}"

    @property
    def words(self) -> str:
        return f"{'≥' if self.least else '≤'} {self.bound:g} × {self.base}"


@dataclass(frozen=True, slots=True)
class Verdict:
    what: str
    target: str
    value: float
    met: bool


TARGETS = (
    Target("small-16", "rate", "kserve", 12, least=True),
    Target("small-16", "rate", "mosec", 1, least=True),
    Target("small-16", "rate", "triton", 1, least=True),
    Target("small-16", "cpu", "kserve", 0.09, least=False),
    Target("small-1", "median", "kserve", 0.22, least=False),
    Target("def-16", "rate", "kserve", 6, least=True),
    Target("v1-16", "rate", "kserve", 8, least=True),
    Target("chain-16", "rate", "kserve", 11, least=True),
    Target("tensor", "rate", "bare socket", 0.8, least=True),
    Target("small-16", "rate", "ours", 1.8, least=True, own=TWO_WORKERS),
    *(
        (
            Target("json", "rate", "kserve", 25, least=True),
            Target("json", "rate", "kserve", 15, least=True, own=BY_ORJSON),
        )
        if HAS_SIMDJSON
        else (Target("json", "rate", "kserve", 15, least=True),)
    ),
)
FURTHER_STEP = 2.0
"""Microseconds of CPU at most."""
RESTING = {"start to ready": (0, 0.45), "memory at rest": (1, 0.55)}
"""What → which of the two figures, and at most so much of KServe's."""


def verdicts(
    rounds: Mapping[str, Mapping[str, Sequence[Measured]]],
    resting: Mapping[str, tuple[float, float]],
    further_step: float | None,
) -> list[Verdict]:
    """Of those targets whose both sides ran. ``further_step``: microseconds, in process."""
    found = []
    for target in TARGETS:
        own, base = (rounds.get(target.work, {}).get(name) for name in (target.own, target.base))
        if own and base:
            each = [getattr(a, target.what) / getattr(b, target.what) for a, b in zip(own, base, strict=False)]
            value = statistics.median(each)
            met = value >= target.bound if target.least else value <= target.bound
            found.append(Verdict(target.title, target.words, value, met))
    one, three = (rounds.get(work, {}).get("ours") for work in ("small-16", "chain-16"))
    if one and three:
        each = [(b.cpu - a.cpu) / 2 * 1e6 for a, b in zip(one, three, strict=False)]
        found.append(_of_step("on the wire, chain-16 less small-16", statistics.median(each)))
    if further_step is not None:
        found.append(_of_step("in process, benchmarks/chain.py", further_step))
    if {"ours", "kserve"} <= resting.keys():
        for what, (at, bound) in RESTING.items():
            value = resting["ours"][at] / resting["kserve"][at]
            found.append(Verdict(what, f"≤ {bound:g} × kserve", value, value <= bound))
    return found


def _of_step(where: str, cost: float) -> Verdict:
    return Verdict(f"each further step, {where}", f"≤ {FURTHER_STEP:g} µs of CPU", cost, cost <= FURTHER_STEP)


_WORDS = {"rate": "requests/s", "median": "p50", "cpu": "CPU per request"}

"""Tensors go after their last use: through chains, forks, joins and thread hops, and when a request fails."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import trio

from pipeline.errors import InvalidInput
from pipeline.tensors.tensor import tensor
from tests.engine.graphs import loop_step, run_steps, thread_step

CHAIN = {"a": "request", "b": None, "c": None}
DIAMOND = {"a": "request", "b": "a", "c": "a", "d": ["b", "c"]}


class Watched:
    """Steps that return a new array each, and note which of the arrays made before are alive while they run."""

    def __init__(self, kinds):
        self.kinds = kinds
        self.alive: dict[str, set[str]] = {}
        self.made: dict[str, weakref.ref] = {}

    def steps(self):
        return [self.step(name, kind) for name, kind in self.kinds.items()]

    def step(self, name, kind):
        def work(inputs, context):
            # The inputs are this step's own until it has ended.
            self.alive[name] = {made for made, array in self.made.items() if array() is not None}
            array = np.zeros(10)
            self.made[name] = weakref.ref(array)
            return {name: tensor(array)}

        async def call(inputs, context):
            await trio.lowlevel.checkpoint()
            return work(inputs, context)

        return thread_step(name, work) if kind == "thread" else loop_step(name, call)


SKIP = {"a": "request", "b": "a", "c": ["a", "b"], "d": "c", "e": "d"}
KINDS = {
    "loop": dict.fromkeys("abcde", "loop"),
    "threads, one hop": dict.fromkeys("abcde", "thread"),
    "mixed": dict(zip("abcde", ["thread", "loop", "thread", "loop", "thread"], strict=True)),
}


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    ("wiring", "alive"),
    [
        # Each reads the one above it: only what it reads is there while it runs.
        (dict(zip("abcde", ["request", *"abcd"], strict=True)), {"b": "a", "c": "b", "d": "c", "e": "d"}),
        # a is read by b and by c; one tensor of two is a whole mapping of its own.
        (SKIP, {"b": "a", "c": "ab", "d": "c", "e": "d"}),
        ({"a": "request", "b": {"x": "a.a"}, "c": {"x": "a.a", "y": "b"}, "d": "c", "e": "d"}, {"d": "c", "e": "d"}),
        # A join: d reads both branches, e neither.
        ({"a": "request", "b": "a", "c": "a", "d": ["b", "c"], "e": "d"}, {"d": "bc", "e": "d"}),
    ],
    ids=["chain", "skip", "picked", "join"],
)
async def test_a_tensor_is_dropped_after_its_last_use(wiring, alive, kinds):
    gc.disable()
    try:
        watched = Watched(kinds)
        outputs = await run_steps(wiring, watched.steps(), output="e")
        assert {name: watched.alive[name] for name in alive} == {name: set(names) for name, names in alive.items()}
        assert {name for name, array in watched.made.items() if array() is not None} == {"e"}
        del outputs
        assert watched.made["e"]() is None
    finally:
        gc.enable()


def refusing(inputs, context):
    raise InvalidInput("no")


async def refusing_async(inputs, context):
    raise InvalidInput("no")


@pytest.mark.parametrize("wiring", [CHAIN, DIAMOND], ids=["chain", "fork"])
@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_a_failed_request_leaves_no_tensor_in_a_circle(wiring, kind):
    gc.collect()
    gc.disable()
    try:
        # b on the loop: a thread beside c would be abandoned, and rightly keep what it reads until it ends.
        watched = Watched(dict.fromkeys(wiring, kind) | {"b": "loop"})
        steps = {step.name: step for step in watched.steps()}
        steps["c"] = thread_step("c", refusing) if kind == "thread" else loop_step("c", refusing_async)
        try:
            await run_steps(wiring, list(steps.values()))
        except InvalidInput:
            # Whoever handles the error lets it go, and with it every frame it came through.
            failed = True
        assert failed
        assert {name for name, array in watched.made.items() if array() is not None} == set()
    finally:
        gc.enable()

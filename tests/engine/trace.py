"""What ran, told by the steps themselves; and what must hold of it whatever the graph."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.engine.random_graphs import Graph, Node

# Which request a step runs for: set in the request's task, copied into its children and threads.
ASKED: contextvars.ContextVar[int] = contextvars.ContextVar("asked")


@dataclass
class Trace:
    """What ran, told by the steps themselves, from whatever thread."""

    events: list[tuple[int, str, str]] = field(default_factory=list)
    inside: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def running(self, step: str):
        asked = ASKED.get()
        with self.lock:
            self.events.append((asked, step, "begins"))
            self.inside[step] += 1
            self.most[step] = max(self.most[step], self.inside[step])
        how = "fails"
        try:
            yield
            how = "ends"
        finally:
            with self.lock:
                self.inside[step] -= 1
                self.events.append((asked, step, how))

    def of(self, asked: int) -> list[tuple[str, str]]:
        with self.lock:
            return [(step, event) for request, step, event in self.events if request == asked]

    def left_running(self, asked: int) -> Counter[str]:
        count = Counter(step for step, event in self.of(asked) if event == "begins")
        count.subtract(step for step, event in self.of(asked) if event != "begins")
        return +count


def check_order(graph: Graph, events: list[tuple[str, str]]) -> set[str]:
    """Each step once, and after all it reads has ended; the steps that began."""
    ended: set[str] = set()
    begun: set[str] = set()
    for step, event in events:
        if event == "begins":
            assert step not in begun, f"{step} ran twice"
            assert graph.nodes[step].sources <= ended, f"{step} began before what it reads"
            begun.add(step)
        elif event == "ends":
            ended.add(step)
    return begun


def same(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in right)


def shaped(node: Node, work, wait_and_work):
    """A function of the kind and with the parameters that the node says."""

    def sync_single(value):
        return work({"value": value})

    def sync_all(**inputs):
        return work(inputs)

    async def async_single(value):
        return await wait_and_work({"value": value})

    async def async_all(**inputs):
        return await wait_and_work(inputs)

    if node.kind == "async":
        return async_single if node.single else async_all
    return sync_single if node.single else sync_all


def check_limits(built, trace: Trace, seed: int) -> None:
    for name, step in built._opened.items():
        if step.limit is not None:
            assert (step.limit.taken, step.limit.waiting) == (0, 0), f"seed {seed}: {step.limit}"
            assert trace.most[name] <= step.limit.total, f"seed {seed}: {step.limit}, {trace.most[name]} at once"
    assert (built.admission.taken, built.admission.waiting) == (0, 0), f"seed {seed}"
    assert +trace.inside == Counter(), f"seed {seed}"

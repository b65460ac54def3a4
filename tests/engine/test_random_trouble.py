"""Random graphs in trouble: nothing is left running, every limit is kept, and the first failure is the error.

Each graph is drawn from a seed that stands in a failure's message. What has durations runs in virtual time, on the
loop; real threads run in real time and use no clock.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from pipeline.errors import DeadlineExceeded, Overloaded
from tests.engine.graphs import pipeline
from tests.engine.random_graphs import HEADERS, PARAMETERS, Graph, Node, compute, returned
from tests.engine.trace import ASKED, Trace, check_limits, check_order, same, shaped
from tests.waiting import idle


class Boom(Exception):
    """What a step raises on purpose."""


class CleanUp(Exception):
    """What a step raises because it was cancelled."""


# ---- what goes wrong, in virtual time


@dataclass(frozen=True)
class Script:
    """How long a step takes and how it ends; times in seconds, drawn so that no two moments fall together."""

    duration: float
    fails: bool
    timeout: float | None
    limit: int | None
    queue: int | None
    clean_up: str

    @staticmethod
    def draw(rng: random.Random, kind: str, trouble: float) -> Script:
        chance = rng.random
        return Script(
            duration=0 if kind == "loop" or chance() < 0.2 else rng.uniform(0.1, 5),
            fails=chance() < trouble,
            timeout=rng.uniform(0.5, 6) if chance() < trouble else None,
            limit=rng.randint(1, 2) if chance() < 0.4 else None,
            queue=rng.randint(0, 2) if chance() < 0.4 else None,
            clean_up=rng.choice(["none", "raises", "shields", "raises in a group", "raises from itself"]),
        )

    @property
    def policy(self) -> dict[str, Any]:
        given = {"timeout": self.timeout and f"{self.timeout!r}s", "limit": self.limit, "queue": self.queue}
        return {key: value for key, value in given.items() if value is not None}


SHIELDED = 0.75


def scripted_function(node: Node, script: Script, trace: Trace):
    def work(inputs):
        with trace.running(node.name):
            if script.fails:
                raise Boom(node.name)
            return returned(node, compute(node, inputs))

    async def wait_and_work(inputs):
        with trace.running(node.name):
            if script.duration:
                async with cleaning_up(script.clean_up):
                    await trio.sleep(script.duration)
            if script.fails:
                raise Boom(node.name)
            return returned(node, compute(node, inputs))

    return shaped(node, work, wait_and_work)


@contextlib.asynccontextmanager
async def cleaning_up(how: str):
    try:
        yield
    except trio.Cancelled:
        match how:
            case "raises":
                raise CleanUp from None
            case "raises from itself":
                error = CleanUp()
                raise error from error
            case "raises in a group":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(raise_when_cancelled)
                    nursery.start_soon(trio.sleep_forever)
            case "shields":
                with trio.CancelScope(shield=True):
                    await trio.sleep(SHIELDED)
        raise


async def raise_when_cancelled():
    try:
        await trio.sleep_forever()
    finally:
        raise CleanUp


def foretold(graph: Graph, needed: set[str], scripts: Mapping[str, Script]) -> tuple[float, set[str]]:
    """When a request that is alone is answered or fails (seconds), and the steps that may be the one that failed.

    A step whose timeout is up is in the second as "timeout of …". Several: they fail in one moment.
    """
    ends: dict[str, float] = {}
    fails: dict[str, float] = {}
    for name in (name for name in graph.nodes if name in needed):
        node, script = graph.nodes[name], scripts[name]
        if not node.sources <= ends.keys():
            continue
        begins = max((ends[source] for source in node.sources), default=0.0)
        if script.timeout is not None and script.timeout < script.duration:
            late = SHIELDED if script.clean_up == "shields" else 0
            fails[f"timeout of {name}"] = begins + script.timeout + late
        elif script.fails:
            fails[name] = begins + script.duration
        else:
            ends[name] = begins + script.duration
    if not fails:
        return max(ends.values()), set()
    first = min(fails.values())
    return first, {name for name, moment in fails.items() if moment - first < 1e-9}


@dataclass(frozen=True)
class Outcome:
    """``what``: answer, cancelled, the name of the step that failed, timeout of STEP, deadline, overloaded."""

    what: str
    answer: Mapping[str, Any] = field(default_factory=dict)


async def outcome_of(built, scope, inputs, asked, deadline) -> Outcome:
    with scope:
        try:
            response = await built.infer(
                inputs, outputs=asked, headers=HEADERS, parameters=PARAMETERS, timeout=deadline
            )
        except Boom as error:
            assert error.__notes__ == [f'in step "{error}"']
            return Outcome(str(error))
        except Overloaded:
            return Outcome("overloaded")
        except DeadlineExceeded as error:
            if error.message.startswith("the request took longer"):
                return Outcome("deadline")
            return Outcome(f"timeout of {error.message.split(chr(34))[1]}")
        return Outcome("answer", {name: response[name] for name in response.outputs})
    return Outcome("cancelled")


class Trouble:
    """One random graph with scripted steps, asked by some requests of which some are cut short."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.trace = Trace()
        self.graph = Graph.draw(self.rng, kinds=("async", "async", "async", "loop"))
        trouble = self.rng.choice([0, 0.1, 0.3])
        self.scripts = {name: Script.draw(self.rng, node.kind, trouble) for name, node in self.graph.nodes.items()}
        self.requests = self.rng.choice([1, 1, 2, 4])
        self.outcomes: Counter[str] = Counter()

    async def run(self) -> Counter[str]:
        functions = {
            name: scripted_function(node, self.scripts[name], self.trace) for name, node in self.graph.nodes.items()
        }
        policy = {name: script.policy for name, script in self.scripts.items()}
        async with pipeline(self.graph.steps(functions, **policy), output=list(self.graph.output)) as built:
            async with trio.open_nursery() as nursery:
                for number in range(self.requests):
                    nursery.start_soon(self.ask, built, number)
            check_limits(built, self.trace, self.seed)
        return self.outcomes

    async def ask(self, built, number) -> None:
        ASKED.set(number)
        rng = random.Random(self.seed * 10 + number)
        inputs, (asked, needed) = self.graph.request(rng), self.graph.wanted(rng)
        moment, failing = foretold(self.graph, needed, self.scripts)
        deadline = rng.uniform(0.01, 12) if rng.random() < 0.3 else 50
        leaves = rng.uniform(0.01, 12) if rng.random() < 0.3 else 51
        scope = trio.CancelScope(deadline=trio.current_time() + leaves)
        outcome = await outcome_of(built, scope, inputs, asked, deadline)
        assert not self.trace.left_running(number), f"seed {self.seed}: {self.trace.left_running(number)}"
        begun = check_order(self.graph, self.trace.of(number))
        if outcome.what == "answer":
            assert same(outcome.answer, self.graph.answer(inputs, asked)), f"seed {self.seed}"
            assert begun == needed, f"seed {self.seed}"
        if self.requests == 1:
            cut = {deadline: "deadline", leaves: "cancelled"}[min(deadline, leaves)]
            expected = {cut} if min(deadline, leaves) < moment else failing or {"answer"}
        else:
            expected = self.possible(needed, deadline < 50, leaves < 51)
        assert outcome.what in expected, f"seed {self.seed}: {outcome.what}, expected one of {expected}"
        self.outcomes[outcome.what.partition(" of ")[0] if outcome.what not in self.graph.nodes else "failure"] += 1

    def possible(self, needed: set[str], cut: bool, leaves: bool) -> set[str]:
        """What may become of a request that shares limits with others: waiting for them, all else may happen first."""
        failing = {name for name in needed if self.scripts[name].fails}
        timed = {f"timeout of {name}" for name in needed if self.scripts[name].timeout is not None}
        full = {"overloaded"} if any(self.scripts[name].queue is not None for name in needed) else set()
        cuts = {name for name, may in (("deadline", cut), ("cancelled", leaves)) if may}
        return failing | timed | full | cuts | {"answer"}


@pytest.mark.parametrize("block", range(5))
def test_failures_timeouts_deadlines_and_cancellations_leave_nothing_running_and_the_first_one_is_the_error(block):
    async def main():
        seen: Counter[str] = Counter()
        for seed in range(block * 300, block * 300 + 300):
            seen += await Trouble(seed).run()
        return seen

    seen = trio.run(main, clock=MockClock(autojump_threshold=0))
    # The cases are worth something only while each of these happens in them.
    assert all(seen[what] > 5 for what in ("answer", "failure", "timeout", "deadline", "cancelled", "overloaded")), seen


# ---- what goes wrong, with real threads


class Threads:
    """A random graph of threads and tasks in which a step fails, or cancels its own request and computes on."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.seed = seed
        self.trace = Trace()
        self.graph = Graph.draw(self.rng, kinds=("thread", "thread", "thread", "async"))
        self.bad = {number: self.rng.choice([*self.graph.nodes]) for number in range(3)}
        self.how = {number: self.rng.choice(["fails", "cancels"]) for number in range(3)}
        self.scopes = {number: trio.CancelScope() for number in range(3)}

    def function(self, node: Node):
        def misbehave():
            asked = ASKED.get()
            if self.bad[asked] != node.name:
                return
            if self.how[asked] == "fails":
                raise Boom(node.name)
            if node.kind == "async":
                self.scopes[asked].cancel()
            else:
                trio.from_thread.run_sync(self.scopes[asked].cancel)

        def work(inputs):
            with self.trace.running(node.name):
                misbehave()
                return returned(node, compute(node, inputs))

        async def wait_and_work(inputs):
            with self.trace.running(node.name):
                misbehave()
                return returned(node, compute(node, inputs))

        return shaped(node, work, wait_and_work)

    async def ask(self, built, number) -> None:
        ASKED.set(number)
        rng = random.Random(self.seed * 10 + number)
        inputs, (asked, needed) = self.graph.request(rng), self.graph.wanted(rng)
        outcome = await outcome_of(built, self.scopes[number], inputs, asked, 60)
        await idle(built._threads)
        begun = check_order(self.graph, self.trace.of(number))
        bad = self.bad[number]
        assert not self.trace.left_running(number), f"seed {self.seed}"
        after = {name for name in self.graph.nodes if bad in self.graph.ancestors({name})} - {bad}
        match bad in needed, self.how[number]:
            case True, "fails":
                assert outcome.what == bad, f"seed {self.seed}"
                assert not after & begun, f"seed {self.seed}"
            case True, "cancels" if after & needed:
                assert outcome.what == "cancelled", f"seed {self.seed}"
                assert not after & begun, f"seed {self.seed}"
            case True, _:
                # Cancelled by its last step: an answer that is there is given.
                assert outcome.what in ("cancelled", "answer"), f"seed {self.seed}"
            case _:
                assert outcome.what == "answer", f"seed {self.seed}"
                assert same(outcome.answer, self.graph.answer(inputs, asked)), f"seed {self.seed}"
                assert begun == needed, f"seed {self.seed}"


def test_threads_that_fail_or_are_abandoned_give_their_tokens_back_and_start_nothing_more():
    async def main():
        for seed in range(300):
            case = Threads(seed)
            functions = {name: case.function(node) for name, node in case.graph.nodes.items()}
            policy = {name: {"limit": case.rng.randint(1, 2)} for name in case.graph.nodes}
            async with pipeline(case.graph.steps(functions, **policy), output=list(case.graph.output)) as built:
                async with trio.open_nursery() as nursery:
                    for number in range(3):
                        nursery.start_soon(case.ask, built, number)
                check_limits(built, case.trace, seed)

    trio.run(main)

"""Loads and unloads that all workers make together or not at all; pure: who is to be told what.

A load has two halves. Each worker opens what it finds, beside what it serves, and says so; when the last one has, all
are told to serve it, and where one fails, or ends, all are told to let it be. One worker opens it before the others
do, and not the one that was asked: what ends a process ends that one alone, and its caller hears of it. Of one name
there is one load at a time, in order of asking; an unload waits for none and ends those that were asked for before it.
Every worker is told in the same order, so that all come to the same end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.errors import ModelNotReady
from server.channel import Answer, Begin, Failure, Made, ToWorker, Verb, Verdict

Told = tuple[int, ToWorker]
"""A worker, and what it is to be told."""

_UNLOADED = "It was unloaded while it was loading."
_ENDED = "A worker ended while it was loading it."
_NOBODY = "No worker is there to do it; ask again."


@dataclass(slots=True)
class _Change:
    verb: Verb
    model: str
    asker: tuple[int, int] | None
    """Who is to be answered: a worker, and its number of it."""
    number: int = 0
    told: set[int] = field(default_factory=set)
    """The workers in which it has begun."""
    inside: set[int] = field(default_factory=set)
    """Those of them in which it has not ended."""
    opened: set[int] = field(default_factory=set)
    decided: bool = False
    failure: Failure | None = None
    done: bool = False
    """Whether any worker has come to its end without a failure."""

    def answered(self) -> Iterator[Told]:
        if self.asker is not None:
            worker, ask = self.asker
            yield worker, Answer(ask, self.failure)


class Changes:
    """Those that are waited for, and what came of those before. Workers are told apart by number."""

    def __init__(self) -> None:
        self.made: dict[str, Made] = {}
        self.number = 0
        """How many times ``made`` has changed."""
        self._members: set[int] = set()
        self._under_way: dict[int, _Change] = {}
        self._lines: dict[str, deque[_Change]] = {}
        self._begun = 0

    @property
    def idle(self) -> bool:
        return not self._under_way

    @property
    def members(self) -> frozenset[int]:
        """The workers that make changes."""
        return frozenset(self._members)

    def join(self, worker: int) -> None:
        """It makes those that begin from now on. All that were made it has made, or is told to."""
        self._members.add(worker)

    # ---- what happens; each gives what is to be told, in order

    def asked(self, worker: int, ask: int, verb: Verb, model: str) -> Iterator[Told]:
        change = _Change(verb, model, (worker, ask))
        if verb == "unload":
            yield from self._ended_loads(model)
            yield from self._begin(change)
            return
        line = self._lines.setdefault(model, deque())
        line.append(change)
        if len(line) == 1:
            yield from self._begin(change)

    def dropped(self, worker: int, ask: int) -> None:
        """Who asked does not wait any more."""
        self._drop(lambda asker: asker == (worker, ask))

    def opened(self, worker: int, number: int) -> Iterator[Told]:
        change = self._under_way.get(number)
        if change is None or worker not in change.inside:
            return
        change.opened.add(worker)
        if change.decided or not change.inside <= change.opened:
            return
        if others := self._members - change.told:
            yield from self._begin_in(others, change)
        else:
            yield from self._decide(change)

    def over(self, worker: int, number: int, failure: Failure | None) -> Iterator[Told]:
        change = self._under_way.get(number)
        if change is None or worker not in change.inside:
            return
        change.inside.discard(worker)
        if failure is None:
            change.done = True
        elif change.verb == "unload" or change.decided:
            change.failure = change.failure or failure
        else:
            yield from self._refuse(change, failure)
        yield from self._end(change)

    def gone(self, worker: int) -> Iterator[Told]:
        """The worker has ended, whatever it was at."""
        self._members.discard(worker)
        self._drop(lambda asker: asker[0] == worker)
        for change in [*self._under_way.values()]:
            if worker not in change.inside:
                continue
            change.inside.discard(worker)
            if change.verb == "load" and not change.decided:
                # Perhaps since it was opening that: the others are not to try further.
                yield from self._refuse(change, Failure.of(ModelNotReady(change.model, _ENDED)))
            yield from self._end(change)

    # ---- steps of a change

    def _begin(self, change: _Change) -> Iterator[Told]:
        self._begun += 1
        change.number = self._begun
        self._under_way[change.number] = change
        yield from self._begin_in(self._members if change.verb == "unload" else self._first_to_load(change), change)
        if not change.told:
            change.failure = Failure.of(ModelNotReady(change.model, _NOBODY))
            change.decided = True
            yield from self._end(change)

    def _first_to_load(self, change: _Change) -> set[int]:
        asked = set() if change.asker is None else {change.asker[0]}
        return {min(self._members - asked or self._members)} if self._members else set()

    def _begin_in(self, workers: set[int], change: _Change) -> Iterator[Told]:
        change.told |= workers
        change.inside |= workers
        for worker in sorted(workers):
            yield worker, Begin(change.number, change.verb, change.model)

    def _decide(self, change: _Change) -> Iterator[Told]:
        change.decided = True
        self._note(change)
        for worker in sorted(change.inside):
            yield worker, Verdict(change.number, None)

    def _refuse(self, change: _Change, failure: Failure) -> Iterator[Told]:
        change.decided = True
        change.failure = failure
        for worker in sorted(change.inside):
            yield worker, Verdict(change.number, failure)

    def _end(self, change: _Change) -> Iterator[Told]:
        """Answers who asked, once it has ended in every worker; then the next of its line begins."""
        if change.inside or change.number not in self._under_way:
            return
        del self._under_way[change.number]
        if change.verb == "unload" and change.done:
            # A worker in which there was nothing to unload is as the others are now.
            change.failure = None
            self._note(change)
        yield from change.answered()
        if change.verb == "load":
            line = self._lines[change.model]
            line.popleft()
            if line:
                yield from self._begin(line[0])
            else:
                del self._lines[change.model]

    def _ended_loads(self, model: str) -> Iterator[Told]:
        line = self._lines.get(model, deque())
        failure = Failure.of(ModelNotReady(model, _UNLOADED))
        while len(line) > 1:
            waiting = line.pop()
            waiting.failure = failure
            yield from waiting.answered()
        for change in line:
            if not change.decided:
                yield from self._refuse(change, failure)

    def _note(self, change: _Change) -> None:
        """An unload ends after loads that were asked for later: what began last counts."""
        before = self.made.get(change.model)
        if before is None or before.number < change.number:
            self.made[change.model] = Made(change.number, change.verb)
            self.number += 1

    def _drop(self, is_its: Callable[[tuple[int, int]], bool]) -> None:
        """What has begun goes on, without who asked; what has not does not begin."""
        for model, line in [*self._lines.items()]:
            kept = [own for own in line if own.number or own.asker is None or not is_its(own.asker)]
            self._lines[model] = deque(kept)
        for change in self._under_way.values():
            if change.asker is not None and is_its(change.asker):
                change.asker = None


def missed(before: Mapping[str, Made], now: Mapping[str, Made]) -> Iterable[tuple[str, Verb]]:
    """What a worker that has made ``before`` is to make, to be as those that have made ``now``; in order."""
    later = [(made.number, model, made.verb) for model, made in now.items() if before.get(model) != made]
    return [(model, verb) for _, model, verb in sorted(later)]

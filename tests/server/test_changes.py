"""Changes that all workers make or none: in any order, with workers that fail and die, all come to the same end."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ModelNotFound, ModelNotReady
from server.changes import Changes, missed
from server.channel import Answer, Begin, Failure, Made, Verdict

NOWHERE = Failure.of(ModelNotFound("m"))
BROKEN = Failure.of(ModelNotReady("m", "no weights"))


def changes_of(*workers: int) -> Changes:
    changes = Changes()
    for worker in workers:
        changes.join(worker)
    return changes


def test_a_load_is_served_once_the_last_worker_has_opened_it_and_answered_once_all_serve_it():
    changes = changes_of(1, 2)
    assert [*changes.asked(1, 7, "load", "m")] == [(2, Begin(1, "load", "m"))]
    assert [*changes.opened(2, 1)] == [(1, Begin(1, "load", "m"))]
    assert changes.made == {}
    assert [*changes.opened(1, 1)] == [(1, Verdict(1, None)), (2, Verdict(1, None))]
    assert changes.made == {"m": Made(1, "load")}
    assert [*changes.over(1, 1, None)] == []
    assert not changes.idle
    assert [*changes.over(2, 1, None)] == [(1, Answer(7, None))]
    assert changes.idle


def test_one_that_fails_is_a_failure_for_all_in_its_words():
    changes = changes_of(1, 2, 3)
    [*changes.asked(1, 7, "load", "m")]
    [*changes.opened(2, 1)]
    assert [*changes.over(1, 1, BROKEN)] == [(2, Verdict(1, BROKEN)), (3, Verdict(1, BROKEN))]
    # What came too late to know.
    assert [*changes.opened(3, 1)] == []
    assert [*changes.over(3, 1, BROKEN)] == []
    assert [*changes.over(2, 1, BROKEN)] == [(1, Answer(7, BROKEN))]
    assert (changes.made, changes.number, changes.idle) == ({}, 0, True)


def test_what_the_first_to_open_it_cannot_or_dies_of_no_other_opens_and_who_asked_is_told():
    changes = changes_of(1, 2, 3)
    assert [*changes.asked(1, 7, "load", "m")] == [(2, Begin(1, "load", "m"))]
    assert [*changes.over(2, 1, BROKEN)] == [(1, Answer(7, BROKEN))]
    assert [*changes.asked(1, 8, "load", "m")] == [(2, Begin(2, "load", "m"))]
    ((told, answer),) = changes.gone(2)
    assert (told, answer.ask, answer.failure.code) == (1, 8, "UNAVAILABLE")
    assert (changes.made, changes.idle) == ({}, True)


def test_a_worker_that_is_there_alone_opens_what_it_was_asked_for():
    changes = changes_of(1)
    assert [*changes.asked(1, 7, "load", "m")] == [(1, Begin(1, "load", "m"))]
    assert [*changes.opened(1, 1)] == [(1, Verdict(1, None))]


def test_a_worker_that_joins_while_others_open_it_opens_it_too():
    changes = changes_of(1, 2)
    [*changes.asked(1, 7, "load", "m"), *changes.opened(2, 1)]
    changes.join(3)
    assert [*changes.opened(1, 1)] == [(3, Begin(1, "load", "m"))]
    assert [own for own, _ in changes.opened(3, 1)] == [1, 2, 3]


def test_a_worker_that_ends_while_it_opens_it_fails_the_load_and_one_that_ends_later_does_not():
    changes = changes_of(1, 2)
    [*changes.asked(2, 7, "load", "m"), *changes.opened(1, 1)]
    ((told, verdict),) = changes.gone(2)
    assert (told, verdict.failure.message) == (
        1, "Model with name m is not ready. A worker ended while it was loading it."
    )  # fmt: skip
    assert [*changes.over(1, 1, verdict.failure)] == [], "who asked has gone"
    changes.join(3)
    [*changes.asked(1, 8, "load", "m")]
    [*changes.opened(3, 2), *changes.opened(1, 2), *changes.over(1, 2, None)]
    assert [*changes.gone(3)] == [(1, Answer(8, None))]
    assert changes.made == {"m": Made(2, "load")}


def test_loads_of_one_name_come_after_each_other_and_those_of_another_do_not_wait():
    changes = changes_of(1)
    [*changes.asked(1, 1, "load", "m")]
    assert [*changes.asked(1, 2, "load", "m")] == []
    assert [*changes.asked(1, 3, "load", "n")] == [(1, Begin(2, "load", "n"))]
    [*changes.opened(1, 1)]
    assert [*changes.over(1, 1, None)] == [(1, Answer(1, None)), (1, Begin(3, "load", "m"))]


def test_an_unload_waits_for_no_load_and_ends_all_that_were_asked_for_before():
    changes = changes_of(1, 2)
    [*changes.asked(1, 1, "load", "m"), *changes.asked(2, 2, "load", "m"), *changes.opened(2, 1)]
    waiting, one, other, *begun = changes.asked(1, 3, "unload", "m")
    ended = Failure.of(ModelNotReady("m", "It was unloaded while it was loading."))
    assert waiting == (2, Answer(2, ended))
    assert [one, other] == [(1, Verdict(1, ended)), (2, Verdict(1, ended))]
    assert begun == [(1, Begin(2, "unload", "m")), (2, Begin(2, "unload", "m"))]
    [*changes.over(1, 2, None), *changes.over(2, 2, None)]
    assert changes.made == {"m": Made(2, "unload")}
    [*changes.over(1, 1, ended), *changes.over(2, 1, ended)]
    assert changes.idle


def test_an_unload_of_what_is_in_no_worker_is_not_found_and_makes_nothing():
    changes = changes_of(1, 2)
    [*changes.asked(1, 1, "unload", "m"), *changes.over(1, 1, NOWHERE)]
    assert [*changes.over(2, 1, NOWHERE)] == [(1, Answer(1, NOWHERE))]
    assert changes.made == {}
    [*changes.asked(1, 2, "unload", "m"), *changes.over(1, 2, NOWHERE)]
    assert [*changes.over(2, 2, None)] == [(1, Answer(2, None))], "one of them had it"
    assert changes.made == {"m": Made(2, "unload")}


def test_who_leaves_takes_along_what_has_not_begun():
    changes = changes_of(1)
    [*changes.asked(1, 1, "load", "m"), *changes.asked(1, 2, "load", "m"), *changes.asked(1, 3, "load", "m")]
    changes.dropped(1, 1)
    changes.dropped(1, 2)
    [*changes.opened(1, 1)]
    assert [*changes.over(1, 1, None)] == [(1, Begin(2, "load", "m"))]
    [*changes.opened(1, 2)]
    assert [*changes.over(1, 2, None)] == [(1, Answer(3, None))]


def test_where_nobody_is_there_to_make_it_that_is_a_failure():
    ((worker, answer),) = Changes().asked(1, 1, "load", "m")
    assert (worker, answer.failure.code) == (1, "UNAVAILABLE")


def test_what_was_missed_is_made_in_the_order_in_which_it_began():
    before = {"a": Made(1, "load"), "b": Made(2, "load")}
    now = {"b": Made(5, "unload"), "a": Made(1, "load"), "c": Made(4, "load")}
    assert missed(before, now) == [("c", "load"), ("b", "unload")]


# ---- any order


@dataclass
class Model:
    """A worker as far as changes go: a line of what it is told, and what it serves."""

    inbox: deque = field(default_factory=deque)
    served: dict[str, int] = field(default_factory=dict)
    opened: dict[int, str] = field(default_factory=dict)


class Fleet:
    """Workers that answer when chance has it."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.changes = Changes()
        self.workers: dict[int, Model] = {}
        self.born = 0
        self.asked: set[tuple[int, int]] = set()
        self.answered: list[tuple[int, int]] = []

    def tell(self, what) -> None:
        for worker, message in what:
            if isinstance(message, Answer):
                self.answered.append((worker, message.ask))
            if worker in self.workers:
                self.workers[worker].inbox.append(message)

    def start(self) -> None:
        """A new one begins with what the others have, where nothing is being changed."""
        if self.changes.idle:
            self.born += 1
            served = {name: made.number for name, made in self.changes.made.items() if made.verb == "load"}
            self.workers[self.born] = Model(served=served)
            self.changes.join(self.born)

    def die(self) -> None:
        if len(self.workers) > 1:
            worker = self.chance.choice([*self.workers])
            del self.workers[worker]
            self.tell(self.changes.gone(worker))

    def ask(self) -> None:
        worker, ask = self.chance.choice([*self.workers]), len(self.asked)
        self.asked.add((worker, ask))
        self.tell(self.changes.asked(worker, ask, self.chance.choice(["load", "load", "unload"]), "mn"[ask % 2]))

    def work(self) -> None:
        """One worker takes one message in."""
        busy = [number for number, own in self.workers.items() if own.inbox]
        if not busy:
            return
        number = self.chance.choice(busy)
        own, changes = self.workers[number], self.changes
        match own.inbox.popleft():
            case Begin(change, "unload", name):
                for load in [load for load, loaded in own.opened.items() if loaded == name]:
                    del own.opened[load]
                    self.tell(changes.over(number, load, BROKEN))
                had = own.served.pop(name, None)
                self.tell(changes.over(number, change, None if had else NOWHERE))
            case Begin(change, "load", name):
                if self.chance.random() < 0.3:
                    self.tell(changes.over(number, change, BROKEN))
                else:
                    own.opened[change] = name
                    self.tell(changes.opened(number, change))
            case Verdict(change, failure) if change in own.opened:
                name = own.opened.pop(change)
                if failure is None:
                    own.served[name] = change
                self.tell(changes.over(number, change, failure))


@given(seed=st.integers(0, 2**32), script=st.lists(st.sampled_from("ssdaaawwwwww"), max_size=80))
@pytest.mark.filterwarnings("error")
def test_whatever_happens_in_whatever_order_all_workers_end_with_the_same_models(seed, script):
    fleet = Fleet(random.Random(seed))
    fleet.start()
    for what in script:
        {"s": fleet.start, "d": fleet.die, "a": fleet.ask, "w": fleet.work}[what]()
    while any(own.inbox for own in fleet.workers.values()):
        fleet.work()
    assert fleet.changes.idle
    expected = {name: made.number for name, made in fleet.changes.made.items() if made.verb == "load"}
    assert [own.served for own in fleet.workers.values()] == [expected] * len(fleet.workers)
    assert len(fleet.answered) == len(set(fleet.answered)), "each is answered once"
    assert {own for own in fleet.asked if own[0] in fleet.workers} <= set(fleet.answered)

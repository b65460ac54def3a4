"""Several workers as one server: started, replaced, changed and stopped by a process that serves nobody.

It has one thread, no loop of trio's and no open model, and waits for signals, for the ends of its children and for what
they say, so that it can fork at any time. The workers share the socket: who is free accepts. One that begins while
others serve takes requests once it has opened what they have.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterable
from functools import partial

from server.changes import Changes
from server.channel import (
    Answer,
    Ask,
    AskStop,
    Drop,
    Failure,
    Follow,
    FromWorker,
    Join,
    Opened,
    Over,
    Ready,
    Settled,
    Stop,
    Together,
)
from server.collector import frozen
from server.controls import Controls
from server.crowd import Crowd
from server.exits import LEFT, STOP
from server.forked import Post, forked, how, signals_to, threads_left
from server.metrics import Metrics
from server.service import draining
from server.staff import Staff, Worker
from server.stopping import end_at_once

_LOG = logging.getLogger("pipeline_serve")
# A worker that ends sooner than that has not got far (systemd's start limit counts within 10 s).
_SHORT_LIFE = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 30.0
# So often each may end before any has come up; systemd's start limit is 5, too.
_TRIES = 5
# Beside what the workers have for their requests: models are closed within 10 s, or the worker ends by itself.
_MORE = 15.0
_NO_SIGNAL = 0


class CannotBegin(RuntimeError):
    """The workers cannot be what the server was started for."""


def pause_after(times: int) -> float:
    """Seconds until the next start of a worker that has ended early so many times in a row."""
    return 0.0 if times < 2 else min(_FIRST_PAUSE * 2.0 ** min(times - 2, 20), _LONGEST_PAUSE)


class Supervisor:
    """Of one run of a server with several workers."""

    def __init__(
        self, workers: int, work: Callable[[Post], int], *, metrics: Metrics, controls: Controls, patience: float
    ) -> None:
        """``work`` is what each does, in a process of its own; ``patience``: seconds that requests have at a stop."""
        self._places = range(workers)
        self._work = work
        self._metrics = metrics
        self._controls = controls
        self._patience = patience
        self._stack = contextlib.ExitStack()
        self._changes = Changes()
        self._crowd = Crowd(workers)
        # Place → when its next worker starts, and how many have ended early there in a row. Those that begin together
        # are the first ones; what can be started later only begins beside others that serve.
        self._due = dict.fromkeys(self._places, 0.0)
        self._first = set(self._places)
        self._has_forked = False
        self._early = dict.fromkeys(self._places, 0)
        self._ends_before_any = 0
        self._came_up = False
        self._together = False
        # What could not be opened in those that have served from the start.
        self._lacking: set[str] = set()
        self._give_up_at: float | None = None
        self._heard_signal = False
        self._failure: str | None = None
        self._code = 0

    def run(self, listening: socket.socket, announce: Callable[[], None]) -> int:
        """Serves until told to stop; ``announce`` is called once signals are heard. The exit code.

        In the main thread, where no loop runs. Closes the socket. Raises CannotBegin where workers end again and again
        before one of them has come up, or one says that it cannot be what it was started for.
        """
        self._listening = listening
        # What is there by now is never garbage: a collection in a worker does not write to it, and it stays shared.
        with frozen(), self._stack:
            self._set_up()
            announce()
            while self._staff or self._due:
                self._wait()
                self._start_due()
                self._let_in()
                self._metrics.serving(len(self._changes.members))
        if self._failure is not None:
            raise CannotBegin(self._failure)
        return self._code

    def _set_up(self) -> None:
        selector = self._stack.enter_context(selectors.DefaultSelector())
        self._selector, self._staff = selector, Staff(selector)
        self._hears, wakes = socket.socketpair()
        for own in (self._hears, wakes):
            own.setblocking(False)
            self._stack.callback(own.close)
        selector.register(self._hears, selectors.EVENT_READ)
        self._stack.enter_context(signals_to(wakes))
        self._stack.enter_context(self._controls.elsewhere(partial(_wake, wakes)))

    # ---- workers begin and end

    def _start(self, place: int) -> None:
        changes = self._changes
        # Where nobody serves, even one that has still to open its models answers better than nobody does.
        member = place in self._first or not changes.members
        ours, theirs = socket.socketpair()
        post = Post(place, self._crowd.place(place), theirs, member, self._together, dict(changes.made), changes.number)
        with theirs:
            process = forked(partial(self._as_worker, post, ours))
        self._staff.add(Worker(process, place, ours, member, changes.number))
        if member:
            changes.join(process)

    def _as_worker(self, post: Post, ours: socket.socket) -> int:
        self._stack.close()
        self._staff.let_go()
        ours.close()
        self._metrics.tally.take(post.place)
        for model, made in post.made.items():
            if made.verb == "unload":
                # What was counted of it by who had this place, and was not there to hear of it.
                self._metrics.unloaded(model)
        return self._work(post)

    def _start_due(self) -> None:
        now = time.monotonic()
        for place in [place for place, due in self._due.items() if due <= now]:
            try:
                self._start(place)
            except OSError as error:
                _LOG.error("no worker can be started: %s; trying again in %g s", error, _SHORT_LIFE)
                self._due[place] = now + _SHORT_LIFE
            else:
                del self._due[place]
                if not self._has_forked:
                    self._has_forked = True
                    self._warn_of_threads()
            self._first.discard(place)

    def _bury(self, worker: Worker, code: int, cpu: float) -> None:
        stops = self._give_up_at is not None
        self._metrics.ended(worker.place, cpu, replaced=not stops)
        self._crowd.left(worker.place)
        self._staff.tell(self._changes.gone(worker.process))
        if stops:
            if code:
                _LOG.error("worker %d %s", worker.process, how(code))
                self._code = LEFT if LEFT in {code, self._code} else 1
            return
        now = time.monotonic()
        early = worker.unfit or now - worker.born < _SHORT_LIFE
        self._early[worker.place] = self._early[worker.place] + 1 if early else 0
        pause = pause_after(self._early[worker.place])
        self._due[worker.place] = now + pause
        self._ends_before_any += not self._came_up
        if self._ends_before_any >= _TRIES * len(self._places):
            self._failure = f"workers end before they serve; the last one {how(code)}"
            self._stop("no worker comes up: stopping")
            return
        when = f"in {pause:g} s" if pause else "at once"
        _LOG.warning("worker %d %s; another one starts %s", worker.process, how(code), when)

    # ---- who takes requests

    def _settled(self, worker: Worker, number: int, failed: Iterable[str]) -> None:
        self._came_up = True
        worker.settled, worker.follows, worker.number = True, False, number
        if worker.member:
            self._lacking |= set(failed)
            return
        loaded = {model for model, made in self._changes.made.items() if made.verb == "load"}
        if lacks := sorted(set(failed) - (self._lacking - loaded)):
            self._leave_out(worker, f"it cannot open {', '.join(lacks)}, which the others serve")

    def _let_in(self) -> None:
        """Who is settled takes requests once it has made what the others have, and nothing is being changed."""
        changes = self._changes
        for worker in self._staff if self._give_up_at is None else ():
            if worker.member or worker.unfit or not worker.settled or not changes.idle:
                continue
            if worker.number == changes.number:
                worker.member = True
                changes.join(worker.process)
                self._staff.tell([(worker.process, Join())])
            elif not worker.follows:
                worker.follows = True
                self._staff.tell([(worker.process, Follow(changes.number, dict(changes.made)))])
        ready = sum(worker.member and worker.ready for worker in self._staff)
        if not self._together and ready == len(self._places):
            self._together = True
            _LOG.info("all %d workers are ready", ready)
            self._staff.tell_all(Together())

    def _leave_out(self, worker: Worker, why: str) -> None:
        """It is to end, and another one to be tried."""
        if not worker.unfit:
            worker.unfit = True
            _LOG.error("worker %d takes no requests: %s", worker.process, why)
            self._staff.tell([(worker.process, Stop())])

    # ---- what comes

    def _wait(self) -> None:
        """For whatever comes first, and does what that asks for."""
        times = [*self._due.values(), *([] if self._give_up_at is None else [self._give_up_at])]
        patience = max(min(times) - time.monotonic(), 0.0) if times else None
        for key, events in self._selector.select(patience):
            if key.data is None:
                self._hear()
                continue
            if events & selectors.EVENT_READ:
                for message in self._staff.said(key.data):
                    self._do(key.data, message)
            if events & selectors.EVENT_WRITE:
                self._staff.send(key.data)
        if self._give_up_at is not None and time.monotonic() >= self._give_up_at:
            _LOG.error("killing workers that do not stop: %s", ", ".join(str(own.process) for own in self._staff))
            self._give_up_at = time.monotonic() + _MORE
            self._code = LEFT
            self._staff.kill()

    def _hear(self) -> None:
        """Signals, and a stop that was asked for in this process. A signal that is the script's own is none of it."""
        for number in self._hears.recv(4096):
            if number == signal.SIGCHLD:
                for worker, last, code, cpu in self._staff.ends():
                    for message in last:
                        self._do(worker, message)
                    self._bury(worker, code, cpu)
            elif number == _NO_SIGNAL:
                self._stop()
            elif number in STOP:
                self._told_to_stop(signal.Signals(number))

    def _told_to_stop(self, number: signal.Signals) -> None:
        if self._heard_signal:
            self._staff.kill()
            end_at_once(number)
        self._heard_signal = True
        self._stop(f"{number.name}: draining, then stopping")

    def _do(self, worker: Worker, message: FromWorker) -> None:
        match message:
            case Settled(number, failed):
                self._settled(worker, number, failed)
            case Ready():
                worker.ready = True
            case AskStop(failure) if failure is not None and self._together:
                self._leave_out(worker, failure)
            case AskStop(failure):
                if self._give_up_at is None:
                    self._failure = failure
                self._stop()
            case Ask() | Drop() | Opened() | Over():
                self._change(worker.process, message)

    def _change(self, process: int, message: Ask | Drop | Opened | Over) -> None:
        changes = self._changes
        match message:
            case Ask(ask) if self._give_up_at is not None:
                self._staff.tell([(process, Answer(ask, Failure.of(draining())))])
            case Ask(ask, verb, model):
                self._staff.tell(changes.asked(process, ask, verb, model))
            case Drop(ask):
                changes.dropped(process, ask)
            case Opened(change):
                self._staff.tell(changes.opened(process, change))
            case Over(change, failure):
                self._staff.tell(changes.over(process, change, failure))

    # ---- its end

    def _stop(self, why: str = "asked to stop: draining, then stopping") -> None:
        """Every worker drains and ends; the port is theirs alone, and closed with the last of them."""
        if self._give_up_at is None:
            _LOG.info("%s", why)
            self._give_up_at = time.monotonic() + self._patience + _MORE
            self._due.clear()
            self._listening.close()
            self._staff.tell_all(Stop())

    def _warn_of_threads(self) -> None:
        if threads := threads_left():
            _LOG.warning(
                "this process has threads (%s), and its workers are without them: of what was used here, OpenMP, a GPU "
                "and downloads may hang in a worker; leave that to a model's start or load, which each worker calls",
                threads,
            )  # fmt: skip


def _wake(wakes: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        wakes.send(bytes([_NO_SIGNAL]))

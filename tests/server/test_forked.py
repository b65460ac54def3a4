"""How a worker is born and how it ended."""

from __future__ import annotations

import os
import signal
import socket

import numpy as np
import pytest

from server.exits import STOP
from server.forked import ended, forked, hear, how, signals_to

# From Python 3.12 on a fork beside a thread warns, and who runs the tests may have some.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def end_of(process: int) -> int:
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    end = ended(process)
    assert end is not None
    assert end[1] >= 0
    return end[0]


def raising(error: BaseException):
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize(
    ("work", "code", "told"),
    [
        (lambda: 0, 0, "ended with exit code 0"),
        (lambda: 7, 7, "ended with exit code 7"),
        (raising(SystemExit(3)), 3, "ended with exit code 3"),
        (raising(SystemExit("why")), 1, "ended with exit code 1"),
        (raising(ValueError("why")), 1, "ended with exit code 1"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL) or 0, 137, "was killed by SIGKILL"),
    ],
)
def test_a_process_does_its_work_and_ends_with_its_code_whatever_stands_below_on_the_stack(work, code, told):
    here = os.getpid()
    try:
        process = forked(work)
    finally:
        assert os.getpid() == here, "no worker comes back here"
    assert end_of(process) == code
    assert how(code) == told


def test_numpys_random_numbers_are_not_those_of_its_siblings():
    np.random.seed(7)  # noqa: NPY002  # it is about those
    read, write = os.pipe()

    def work() -> int:
        os.write(write, b"%.17f " % np.random.random())  # noqa: NPY002
        return 0

    for _ in range(3):
        assert end_of(forked(work)) == 0
    os.close(write)
    with os.fdopen(read) as told:
        drawn = told.read().split()
    assert len({*drawn, f"{np.random.random():.17f}"}) == 4  # noqa: NPY002


def test_a_signal_that_comes_before_a_worker_hears_is_heard_then():
    ours, theirs = socket.socketpair()

    def work() -> int:
        theirs.send(b"here")
        theirs.recv(1)
        signal.signal(signal.SIGTERM, lambda *_: os._exit(5))
        hear()
        return 6

    with ours, theirs:
        process = forked(work)
        ours.recv(4)
        os.kill(process, signal.SIGTERM)
        assert ended(process) is None
        ours.send(b"x")
        assert end_of(process) == 5
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & {*STOP}


def test_signals_are_bytes_and_the_handlers_of_before_come_back():
    before = signal.getsignal(signal.SIGTERM)
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with ours, theirs:
        with signals_to(theirs):
            os.kill(os.getpid(), signal.SIGTERM)
            assert ours.recv(10) == bytes([signal.SIGTERM])
            os.waitpid(forked(lambda: 0), 0)
            assert ours.recv(10) == bytes([signal.SIGCHLD])
        assert signal.getsignal(signal.SIGTERM) is before

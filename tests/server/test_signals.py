"""A real process, what a signal makes of it, and what it says: nothing."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.peers.environment import environment
from tests.serving import ROOT

# The import hangs, and says so: as a large library's does on a slow disk.
IMPORTING = """
import sys, types, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            print("importing", flush=True)
            time.sleep(600)

sys.meta_path.insert(0, Slow())
from server.command import main
main()
"""
WORKING = """
import threading
from server.signals import until_told

def work(cancel):
    print("working", flush=True)
    {does}

until_told(work)
"""


@pytest.fixture
def begun():
    """A process that has said its first line."""
    started = []

    def begun(program, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments], env=environment(PYTHONPATH=str(ROOT)), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        assert process.stdout.readline()
        return process

    yield begun
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("name", ["server.cli", "server.pull"])
def test_a_signal_while_a_command_imports_is_its_exit_code_and_no_words(begun, name, number, code):
    process = begun(IMPORTING.format(name=name), "pull", "s3://b/m")
    process.send_signal(number)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == code


@pytest.mark.parametrize("does", ["cancel.wait()", "threading.Event().wait()"])
def test_work_that_sees_its_flag_and_work_that_does_not_end_by_a_signal_all_the_same(begun, does):
    process = begun(WORKING.format(does=does))
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 143


def test_a_second_signal_changes_nothing(begun):
    process = begun(WORKING.format(does='cancel.wait(); print("told", flush=True); threading.Event().wait()'))
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "told\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130


def test_the_code_of_work_ends_the_process_whoever_still_waits_in_a_thread(begun):
    process = begun(WORKING.format(does="threading.Thread(target=threading.Event().wait).start(); return 3"))
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 3


def test_what_work_raises_is_raised(begun):
    process = begun(WORKING.format(does='raise ValueError("its own")'))
    assert "ValueError: its own" in process.communicate(timeout=60)[1]
    assert process.returncode == 1

"""Locks between descriptors, as between processes: flock knows no difference."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading

import pytest

from storage.errors import Cancelled
from storage.locks import freed, hold, locked


def test_one_has_it_and_the_other_waits_until_told_not_to(tmp_path):
    cancel = threading.Event()
    with locked(tmp_path / "deep/lock", threading.Event()):
        threading.Timer(0.05, cancel.set).start()
        with pytest.raises(Cancelled), locked(tmp_path / "deep/lock", cancel):
            raise AssertionError("two have it")
    with locked(tmp_path / "deep/lock", threading.Event()):
        pass


def test_the_next_has_it_when_the_first_lets_go(tmp_path):
    order = []
    inside = threading.Event()

    def second():
        inside.wait()
        with locked(tmp_path / "lock", threading.Event()):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with locked(tmp_path / "lock", threading.Event()):
        inside.set()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_lock_whose_file_was_removed_is_not_the_lock(tmp_path):
    took = threading.Event()

    def second():
        with locked(tmp_path / "lock", threading.Event()):
            took.set()

    with locked(tmp_path / "lock", threading.Event()):
        thread = threading.Thread(target=second)
        thread.start()
        (tmp_path / "lock").unlink()
    thread.join()
    assert took.is_set()
    assert (tmp_path / "lock").exists(), "the second holds one that others see"


def test_a_lock_whose_folder_was_removed_is_made_anew_by_those_who_waited(tmp_path):
    waiting = [threading.Event(), threading.Event()]
    took = []

    def another(number):
        waiting[number].set()
        with locked(tmp_path / "place/lock", threading.Event()):
            took.append(number)
            shutil.rmtree(tmp_path / "place")

    threads = [threading.Thread(target=another, args=(number,)) for number in range(2)]
    with locked(tmp_path / "place/lock", threading.Event()):
        for thread, begun in zip(threads, waiting, strict=True):
            thread.start()
            begun.wait()
        shutil.rmtree(tmp_path / "place")
    for thread in threads:
        thread.join()
    assert sorted(took) == [0, 1]


def test_a_process_that_is_killed_holds_nothing(tmp_path):
    code = (
        "import sys, threading; from pathlib import Path; from storage.locks import locked\n"
        "with locked(Path(sys.argv[1]), threading.Event()):\n    print('in', flush=True)\n    sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "in\n"
    process.kill()
    process.communicate()
    with locked(tmp_path / "lock", threading.Event()):
        pass


def test_what_somebody_holds_is_not_free_and_what_is_gone_cannot_be_held(tmp_path):
    path = tmp_path / "file"
    assert hold(path) is None
    path.touch()
    one, two = hold(path), hold(path)
    with freed(path) as mine:
        assert not mine
    os.close(one)
    os.close(two)
    with freed(path) as mine:
        assert mine
        assert hold(path) is None, "whoever removes it has it alone"
    with freed(tmp_path / "gone") as mine:
        assert not mine

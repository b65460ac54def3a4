"""A descriptor for another process is none of its standard streams, whatever this one was started with."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from storage.descriptors import apart
from tests.serving import environment

CHILD = """
import os, sys
from storage.descriptors import apart
from storage.pace import Pace

os.close(0)
os.close(1)
own, pace = apart(os.open(os.devnull, os.O_RDONLY)), Pace(1.0)
print(own >= 3, os.get_inheritable(own), pace.clock >= 3, file=sys.stderr)
for closed in (0, 1):
    try:
        os.fstat(closed)
    except OSError:
        print(closed, "is free", file=sys.stderr)
"""


def test_it_is_the_same_file_and_the_old_number_is_free():
    read, write = os.pipe()
    moved = apart(write)
    os.write(moved, b"one")
    os.close(moved)
    assert (os.read(read, 9), os.read(read, 9)) == (b"one", b"")
    os.close(read)


def test_one_that_is_closed_is_an_error():
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    with pytest.raises(OSError, match="Bad file descriptor"):
        apart(write)


def test_where_standard_streams_are_closed_nothing_takes_their_place():
    done = subprocess.run([sys.executable, "-c", CHILD], env=environment(), capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["True False True", "0 is free", "1 is free"]

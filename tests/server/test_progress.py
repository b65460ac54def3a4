"""What is shown of downloads on stderr, as lines and as a bar."""

from __future__ import annotations

import io
import os
import re
import sys
import threading
from contextlib import contextmanager

from server.progress import Lines, display, say
from storage.events import Fetched, Listed, Moved
from tests.terminal import everything

LONG = "https://host/a-long/path/to/a/model/of/somebody/model.bin"


def test_lines_come_once_a_tenth(capsys):
    lines = Lines()
    lines(Listed("s", 1, 1000, 0))
    for done in range(0, 1001, 5):
        lines(Moved("s", done, 1000))
    lines.rest()
    assert [line.split(" (")[0] for line in capsys.readouterr().err.splitlines()[1:]] == [
        f"s: {n} %" for n in range(10, 101, 10)
    ]


def test_what_is_said_is_one_line(capsys):
    say("a\n\x1b[2Jb")
    assert capsys.readouterr().err == "a \N{REPLACEMENT CHARACTER}[2Jb\n"


@contextmanager
def terminal(monkeypatch):
    """stderr is a terminal of 80 columns; afterwards the list has what it was sent, as plain lines."""
    main, other = os.openpty()
    sent: list[bytes] = []
    lines: list[str] = []

    thread = threading.Thread(target=lambda: sent.append(everything(main)))
    thread.start()
    with os.fdopen(other, "w") as writing, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", writing)
        patch.setenv("COLUMNS", "80")
        patch.setenv("TERM", "xterm")
        yield lines
    thread.join()
    lines += filter(None, re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(sent).decode())))


def test_a_terminal_has_a_bar_of_one_row_that_is_gone_before_anything_is_said(monkeypatch):
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stdout", pipe)
    with terminal(monkeypatch) as lines:
        bar = display(terminal=True)
        bar(Listed(LONG, 1, 2**30, 0))
        bar(Moved(LONG, 2**29, 2**30))
        print("stdout is not the bar's")
        bar(Fetched(LONG, 2**30, 2.0))
        bar(Moved(LONG, 2**30, 2**30))
        bar.rest()
    assert any(re.search(r"https://host/a-.*… [━╺╸ ]+512\.0 MiB of 1\.0 GiB, .*/s ", line) for line in lines)
    assert max(len(line) for line in lines[:-1]) <= 80
    assert lines[-1] == f"{LONG}: downloaded 1.0 GiB in 2.0 s, 512.0 MiB/s"
    assert pipe.getvalue() == "stdout is not the bar's\n"


def test_two_downloads_at_once_have_a_row_each_and_their_ends_are_said_above(monkeypatch):
    with terminal(monkeypatch) as lines:
        bar = display(terminal=True)
        for name in ("s3://b/one", "s3://b/two"):
            bar(Listed(name, 1, 100, 0))
            bar(Moved(name, 50, 100))
        bar(Fetched("s3://b/one", 100, 1.0))
        bar(Fetched("s3://b/two", 100, 1.0))
    assert any(line.startswith("s3://b/one: downloaded") for line in lines)
    assert any(line.startswith("s3://b/two ") for line in lines)
    assert lines[-1].startswith("s3://b/two: downloaded")


def test_each_download_has_its_own_tenths(capsys):
    lines = Lines()
    for name in ("a", "b"):
        lines(Listed(name, 1, 100, 0))
    lines(Moved("a", 50, 100))
    lines(Moved("b", 10, 100))
    assert [line[:7] for line in capsys.readouterr().err.splitlines()[2:]] == ["a: 50 %", "b: 10 %"]


def test_what_fails_on_a_terminal_leaves_no_bar(monkeypatch):
    with terminal(monkeypatch) as lines:
        bar = display(terminal=True)
        bar(Listed("s3://b/m", 1, None, 0))
        bar(Moved("s3://b/m", 2**20, None))
        bar.rest()
        bar.rest()
        say("pipeline-serve: it is refused")
    assert lines[-1] == "pipeline-serve: it is refused"

"""The process that pulls, asked as its parent asks it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from storage.messages import Alive, Brought, Frames, Job, framed
from storage.order import Limits
from storage.transfer import Crew
from tests.serving import environment
from tests.storage.origin import Fault

CHILD = "from storage.puller import main; main(1)"


def test_it_says_that_it_is_there_while_its_source_is_silent(origin, tmp_path):
    origin.files = {"/b/m.bin": b"one"}
    hold = threading.Event()
    origin.decide = lambda seen: Fault(wait=hold) if hold.wait() else None
    job = Job(
        uri="s3://b/m.bin",
        folder=Path(),
        options={},
        environment={"AWS_ENDPOINT_URL": origin.url, "awsAnonymousCredential": "true"},
        root=tmp_path / "cache",
        size=None,
        allow=(),
        ignore=(),
        digest=None,
        limits=Limits(),
        crew=Crew(),
        parent=os.getpid(),
    )
    told = []
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdin.write(framed(job))
        child.stdin.flush()
        frames = Frames()
        while not told:
            told += frames.feed(os.read(child.stdout.fileno(), 65536))
        assert told == [Alive()]
        hold.set()
        while not any(isinstance(message, Brought) for message in told):
            told += frames.feed(os.read(child.stdout.fileno(), 65536))
        child.stdin.close()
        assert child.wait() == 0

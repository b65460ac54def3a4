"""A pull in a process beside this one (``puller.py``), which so stays free for requests; its trio side.

What takes time over there takes nothing here: cores, for it has the last of them; the interpreter's lock; imports.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar, cast

import trio

from storage.errors import StorageError
from storage.events import Kept, Listed, Observer
from storage.messages import Brought, Failed, Frames, Job, Line, Message, framed
from storage.secret import shown

Given = TypeVar("Given")

# It gives way before it imports anything, and finds its modules as this process does, however this one was started.
# On Linux idle is more than nice: who wakes up takes the core from it at once. A sandbox may forbid either.
_START = """
import os, sys
try:
    os.nice(19)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
except (AttributeError, OSError):
    pass
import site
site.main()
sys.path[:] = sys.argv[1:]
from storage.puller import main
main()
"""
# Cancelled, a pull ends by itself, and says what it keeps; or it is killed, and seen to be gone.
_GRACE, _GONE = 0.2, 0.05


async def brought(job: Job, observe: Observer, take: Callable[[Brought], Given]) -> Given:
    """What ``take`` returns, called in a thread while the other process still has in use what it has brought.

    Raises what the pull raises, and StorageError where the process cannot be started or ends before it is done.
    Cancelled, it returns within 0.3 s, when that process has been killed at the latest. What was downloaded stays in
    the cache's working folder.
    """
    process = await _started(job)
    heard = _Heard(process, job, observe)
    try:
        result = await heard.result()
        return await trio.to_thread.run_sync(take, result, limiter=trio.CapacityLimiter(1))
    finally:
        await heard.end()


async def _started(job: Job) -> trio.Process:
    pace = job.crew.pace
    command = [sys.executable, "-S", "-c", _START, *map(str, sys.path)]
    try:
        return await trio.lowlevel.open_process(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,  # a terminal's Ctrl-C is for this process, which ends the other
            pass_fds=() if pace is None else (pace.clock,),
        )
    except OSError as error:
        told = f"no process can be started to pull {shown(job.uri)}: {error.strerror or error}"
        raise StorageError(f"{told}; it would be {sys.executable or 'a Python that is not known'}") from error


class _Heard:
    """A process that pulls, and what it has said so far."""

    def __init__(self, process: trio.Process, job: Job, observe: Observer) -> None:
        self._process, self._job, self._observe = process, job, observe
        self._stdin = cast("trio.abc.SendStream", process.stdin)  # pipes, as was asked for
        self._stdout = cast("trio.abc.ReceiveStream", process.stdout)
        self._frames = Frames()
        # Whether it has said all that there was; and what it leaves behind, unless it says so itself.
        self._over = False
        self._kept: Kept | None = None

    async def result(self) -> Brought:
        """Raises as ``brought``. Cancelled, nothing is changed."""
        with suppress(trio.BrokenResourceError):  # it has ended, which its output tells too
            await self._stdin.send_all(framed(self._job))
        while (messages := await self._more()) is not None:
            for message in messages:
                self._pass_on(message)
                match message:
                    case Brought():
                        return message
                    case Failed(error):
                        raise error
        raise StorageError(_ended(self._job.uri, await self._process.wait()))

    async def end(self) -> None:
        """There is no process afterwards; one that the system holds on goes when that ends."""
        with trio.CancelScope(shield=True):
            await self._stdin.aclose()
            with trio.move_on_after(0 if self._over else _GRACE):
                while (messages := await self._more()) is not None:
                    for message in messages:
                        self._pass_on(message)
                await self._process.wait()
            self._process.kill()
            with trio.move_on_after(_GONE):
                await self._process.wait()
            if self._process.returncode is None:
                trio.lowlevel.spawn_system_task(self._process.wait)
            await self._stdout.aclose()
            if self._kept is not None and await trio.Path(self._kept.folder / "journal").exists():
                self._observe(self._kept)

    async def _more(self) -> list[Message] | None:
        data = await self._stdout.receive_some()
        return self._frames.feed(data) if data else None

    def _pass_on(self, message: Message) -> None:
        match message:
            case Line(name, level, text):
                logging.getLogger(name).log(level, "%s", text)
            case Brought() | Failed():
                self._over, self._kept = True, None
            case Listed(source, folder=folder):
                self._kept = None if folder is None else Kept(source, folder)
                self._observe(message)
            case event:
                self._kept = None if isinstance(event, Kept) else self._kept
                self._observe(event)


def _ended(uri: str, code: int) -> str:
    """Why there is no model, though nobody said."""
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return f"the process that pulled {shown(uri)} {how}; the next pull goes on from there"

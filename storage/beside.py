"""A pull in a process beside this one (``puller.py``), which so stays free for requests; its trio side.

What takes time over there takes little here: of the cores, for it gives way; of the interpreter's lock; imports.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TypeVar, cast

import trio

from storage.descriptors import apart
from storage.errors import StorageError
from storage.events import Kept, Listed, Observer
from storage.messages import Alive, Brought, Failed, Frames, Job, Line, Message, framed
from storage.secret import shown

Given = TypeVar("Given")
_LOG = logging.getLogger("pipeline_serve.storage")

# It gives way before it imports anything, and finds its modules as this process does, however this one was started.
_START = """
import os, sys
try:
    os.nice(10)
except OSError:
    pass
said, sites, *path = sys.argv[1:]
if sites:
    import site
    site.main()
sys.path[:] = path
from storage.puller import main
main(int(said))
"""
_STDERR = 2
# Cancelled, a pull ends by itself, and says what it keeps; or it is killed, and seen to be gone.
_GRACE, _GONE = 0.2, 0.05


async def brought(job: Job, observe: Observer, take: Callable[[Brought], Given]) -> Given:
    """What ``take`` returns, called in a thread while the other process still has in use what it has brought.

    Raises what the pull raises, and StorageError where the process cannot be started, ends before it is done, says what
    cannot be read, or nothing at all for as long as a trickle is borne. Cancelled, it returns within 0.3 s, when that
    process has been killed at the latest. What was downloaded stays in the cache's working folder.
    """
    _LOG.info("pulling %s in a process beside this one", shown(job.uri))
    heard = await _started(job, observe)
    try:
        result = await heard.result()
        return await trio.to_thread.run_sync(take, result, limiter=trio.CapacityLimiter(1))
    finally:
        await heard.end()


async def _started(job: Job, observe: Observer) -> _Heard:
    failed = f"no process can be started to pull {shown(job.uri)}"
    if not sys.executable:
        raise StorageError(f"{failed}: it would be this Python, and sys.executable does not say where that is")
    printed, pace = _printed(), job.crew.pace
    try:
        with ExitStack() as undo:
            hears, low = os.pipe()
            undo.callback(os.close, hears)
            says = apart(low)
            try:
                process = await trio.lowlevel.open_process(
                    _command(says),
                    stdin=subprocess.PIPE,
                    stdout=printed,
                    stderr=printed,
                    process_group=0,  # a terminal's Ctrl-C is for this process, which ends the other
                    pass_fds=(says,) if pace is None else (says, pace.clock),
                )
            finally:
                os.close(says)
            undo.pop_all()
    except OSError as error:
        raise StorageError(f"{failed}: {error.strerror or error}; it would be {sys.executable}") from error
    return _Heard(process, trio.lowlevel.FdStream(hears), job, observe)


def _command(says: int) -> list[str]:
    """This Python, as cut off from its surroundings as it was started, and with no module of the current folder."""
    own = sys.flags
    isolated = [("-I", own.isolated), ("-E", own.ignore_environment), ("-s", own.no_user_site)]
    flags = [flag for flag, is_set in isolated if is_set]
    told = [str(says), "" if own.no_site else "sites", *map(str, sys.path)]
    return [sys.executable, *flags, "-P", "-S", "-c", _START, *told]


def _printed() -> int:
    """Where what is printed over there goes: where our errors do, and nowhere in a process started without those."""
    with suppress(OSError):
        os.fstat(_STDERR)
        return subprocess.DEVNULL if sys.__stderr__ is None else _STDERR
    return subprocess.DEVNULL


class _Heard:
    """A process that pulls, and what it has said so far."""

    def __init__(self, process: trio.Process, said: trio.abc.ReceiveStream, job: Job, observe: Observer) -> None:
        self._process, self._said, self._job, self._observe = process, said, job, observe
        self._stdin = cast("trio.abc.SendStream", process.stdin)  # a pipe, as was asked for
        self._frames = Frames()
        # Whether it has said all that there was; and what it leaves behind, unless it says so itself.
        self._over = False
        self._kept: Kept | None = None

    async def result(self) -> Brought:
        """Raises as ``brought``. Cancelled, nothing is changed."""
        # Where it has ended, or does not listen, its messages tell that, or their end.
        with suppress(trio.BrokenResourceError), trio.move_on_after(self._job.crew.patience):
            await self._stdin.send_all(framed(self._job))
        while (messages := await self._patiently()) is not None:
            for message in messages:
                self._pass_on(message)
                match message:
                    case Brought():
                        return message
                    case Failed(error):
                        raise error
        raise StorageError(self._told(_ended(await self._process.wait())))

    async def end(self) -> None:
        """There is no process afterwards; one that the system holds on goes when that ends."""
        with trio.CancelScope(shield=True):
            try:
                await self._stdin.aclose()
                with trio.move_on_after(0 if self._over else _GRACE), suppress(StorageError):
                    while (messages := await self._more()) is not None:
                        for message in messages:
                            self._pass_on(message)
                    await self._process.wait()
            finally:
                self._process.kill()
                with trio.move_on_after(_GONE):
                    await self._process.wait()
                if self._process.returncode is None:
                    trio.lowlevel.spawn_system_task(self._process.wait)
                await self._said.aclose()
            if self._kept is not None and await trio.Path(self._kept.folder / "journal").exists():
                self._observe(self._kept)

    async def _patiently(self) -> list[Message] | None:
        """``_more``, from one that is at it: whatever it waits for, it says so every few seconds."""
        patience = self._job.crew.patience
        with trio.move_on_after(patience):
            try:
                return await self._more()
            except StorageError as error:
                self._over = True  # of one that talks nonsense nothing is waited for
                raise StorageError(self._told(f"said what is no message of it ({error}), and was ended")) from error
        raise StorageError(self._told(f"said nothing for {patience:.0f} s, and was ended"))

    async def _more(self) -> list[Message] | None:
        """Raises StorageError for what is no message."""
        data = await self._said.receive_some()
        return self._frames.feed(data) if data else None

    def _pass_on(self, message: Message) -> None:
        match message:
            case Line(name, level, text):
                logging.getLogger(name).log(level, "%s", text)
            case Brought() | Failed():
                self._over, self._kept = True, None
            case Alive():
                pass
            case Listed(source, folder=folder):
                self._kept = None if folder is None else Kept(source, folder)
                self._observe(message)
            case event:
                self._kept = None if isinstance(event, Kept) else self._kept
                self._observe(event)

    def _told(self, what: str) -> str:
        return f"the process that pulled {shown(self._job.uri)} {what}; the next pull goes on from there"


def _ended(code: int) -> str:
    """Why there is no model, though nobody said."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

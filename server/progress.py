"""How the command's pulls get on, on stderr: a bar on a terminal, else a line per tenth."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from server.transfers import amount, far, rate, sentence
from storage.events import Event, Listed, Moved
from storage.secret import legible

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_STEPS = 10


class Display(Protocol):
    """Who shows what happens; an Observer of the pulls, which come one after the other."""

    def __call__(self, event: Event, /) -> None: ...

    def rest(self) -> None:
        """Gives the terminal back, for other words: nothing moves on it until the next download begins."""
        ...


def display(*, terminal: bool) -> Display:
    """The one for stderr as it is."""
    return Bar(_bars()) if terminal else Lines()


def say(text: str) -> None:
    """A line on stderr."""
    print(legible(text), file=sys.stderr, flush=True)  # noqa: T201


@dataclass(frozen=True, slots=True)
class _Pace:
    """Of a download: what was there, and since when more comes."""

    there: int = 0
    began: float = field(default_factory=time.monotonic)

    def so_far(self, done: int) -> str:
        return rate(done - self.there, time.monotonic() - self.began)


@dataclass(slots=True)
class Lines:
    """A line when a download begins, at each tenth of it, and when it has ended."""

    _tenth: int = 0
    _pace: _Pace = field(default_factory=_Pace)

    def __call__(self, event: Event, /) -> None:
        match event:
            case Listed(there=there):
                self._tenth, self._pace = 0, _Pace(there)
                say(sentence(event))
            case Moved(source, done, size):
                tenth = done * _STEPS // size if size else done // 2**30
                if tenth > self._tenth:
                    self._tenth = tenth
                    say(f"{source}: {far(done, size)}, {self._pace.so_far(done)}")
            case _:
                say(sentence(event))

    def rest(self) -> None:
        return


@dataclass(slots=True)
class Bar:
    """A bar while a download lasts, which is gone before anything else is said."""

    _bars: Progress
    _task: TaskID | None = None
    _pace: _Pace = field(default_factory=_Pace)

    def __call__(self, event: Event, /) -> None:
        match event:
            case Listed(source, _, size, there):
                self.rest()
                self._pace = _Pace(there)
                self._task = self._bars.add_task(legible(source), total=size, completed=there, told="")
                self._bars.start()
            case Moved(_, done, size):
                if self._task is not None:  # a thread that was left behind may tell once more
                    whole = f" of {amount(size)}" if size else ""
                    told = f"{amount(done)}{whole}, {self._pace.so_far(done)}"
                    self._bars.update(self._task, completed=done, told=told)
            case _:
                self.rest()
                say(sentence(event))

    def rest(self) -> None:
        self._bars.stop()
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None


def _bars() -> Progress:
    """Of one row that fits the terminal. stdout is not its own: it may be the pipe that waits for the path."""
    from rich.console import Console  # noqa: PLC0415  # slow, and of no use where nobody watches
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.table import Column  # noqa: PLC0415

    return Progress(
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, ratio=2)),
        BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=4)),
        TextColumn("{task.fields[told]}", markup=False, table_column=Column(no_wrap=True)),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        expand=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )

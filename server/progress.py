"""How the command's pulls get on, on stderr: a bar on a terminal, else a line per tenth."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from server.transfers import Pace, Tenths, amount, sentence
from storage.events import Event, Listed, Moved
from storage.secret import legible

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Display(Protocol):
    """Who shows what happens; an Observer of pulls, each known by its source."""

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


@dataclass(slots=True)
class Lines:
    """A line when a download begins, at each tenth of it, and when it has ended."""

    _tenths: Tenths = field(default_factory=Tenths)

    def __call__(self, event: Event, /) -> None:
        line = self._tenths.line(event)
        if line is not None:
            say(line)

    def rest(self) -> None:
        return


@dataclass(slots=True)
class Bar:
    """A row per download while it lasts, above which the others' ends are said."""

    _bars: Progress
    _rows: dict[str, tuple[TaskID, Pace]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, event: Event, /) -> None:
        match event:
            case Listed(source, _, size, there):
                self._end(source)
                with self._lock:
                    row = self._bars.add_task(legible(source), total=size, completed=there, told="")
                    self._rows[source] = row, Pace(there)
                    self._bars.start()
            case Moved(source, done, size):
                own = self._rows.get(source)
                if own is not None:  # a thread that was left behind may tell once more
                    row, pace = own
                    whole = f" of {amount(size)}" if size else ""
                    self._bars.update(row, completed=done, told=f"{amount(done)}{whole}, {pace.so_far(done)}")
            case _:
                self._end(event.source)
                self._bars.console.print(legible(sentence(event)), markup=False, highlight=False, soft_wrap=True)

    def rest(self) -> None:
        for source in list(self._rows):
            self._end(source)

    def _end(self, source: str) -> None:
        with self._lock:
            own = self._rows.pop(source, None)
            if not self._rows:
                self._bars.stop()
            if own is not None:
                self._bars.remove_task(own[0])


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

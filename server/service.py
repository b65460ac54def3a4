"""What all requests of a server share: its models, what it was told, and how it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import trio

from pipeline.errors import ServerNotReady
from pipeline.repository import Repository
from pipeline.steps.cores import cores
from pipeline.wire.cloudevents import Sender
from pipeline.wire.codec import Reply
from pipeline.wire.numbers import ReadPieces, with_orjson
from server.access import Answered
from server.enclose import Enclose, enclose_by
from server.request_ids import RequestIds
from server.routes import Routes

if TYPE_CHECKING:
    from server.fleet import Fleet

Page = Callable[[Mapping[str, str]], Reply | Awaitable[Reply]]
"""What a GET of a path beside the protocols shows, to a caller with these headers; awaited where it takes its time."""
FindPage = Callable[[str], Page | None]
"""The page at a path, as things are now."""

T = TypeVar("T")
# Work on bodies is computing: more at once would take no less time, and each its memory, which gzip can make a thousand
# times what was sent.
_LEAST_THREADS = 2


def draining() -> ServerNotReady:
    """What is said of a server that stops."""
    return ServerNotReady("Server is not ready. It is draining.")


class Service:
    """What every request of a server shares. ``max_body``: bytes, decoded or not; ``numbers``: see ``Call``."""

    def __init__(  # noqa: PLR0913  # what a server was told
        self,
        repository: Repository,
        *,
        ready: str,
        name: str,
        version: str,
        max_body: int = 64 << 20,
        pages: FindPage = lambda _: None,
        enclose: Enclose | None = None,
        numbers: ReadPieces = with_orjson,
    ) -> None:
        self.repository = repository
        self.routes = Routes()
        self.ids = RequestIds()
        self.max_body = max_body
        self.find_page = pages
        self.enclose = enclose or enclose_by(Sender())
        self.numbers = numbers
        self.ready = ready
        self.name = name
        self.version = version
        self._threads = trio.CapacityLimiter(max(_LEAST_THREADS, cores()))
        self.draining = False
        self.owns_interrupts = False
        """Whether Ctrl-C is heard elsewhere: then a KeyboardInterrupt here is a step's own, and fails its request."""
        self.on_answer: list[Callable[[Answered], None]] = []
        self.companions: list[Callable[[], Awaitable[None]]] = []
        """What runs beside it for as long as it serves, and is cancelled last."""
        self.changes: Repository | Fleet = repository
        """What loads and unloads: alone, or with others that serve the same."""
        self.together: Callable[[], bool] = lambda: True
        """Whether those others have been ready, too."""

    async def in_thread(self, work: Callable[[], T]) -> T:
        """What the work on a body gives, in a thread of the server's own: no code that hangs takes one of those.

        Cancelled, the thread ends by itself, and what it made is dropped.
        """
        return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._threads)

    def require_going_on(self) -> None:
        if self.draining:
            raise draining()

    def require_ready(self) -> None:
        self.require_going_on()
        if not self.together() or not self.is_ready():
            raise ServerNotReady

    def is_ready(self) -> bool:
        """Whether its models are what is asked of them, whoever else there is."""
        loaded = self.repository.ready("all" if self.ready == "now" else self.ready)
        return loaded and (self.ready != "now" or all(pipeline.is_ready for pipeline in self.repository))

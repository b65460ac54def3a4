"""What a supervisor and a worker tell each other, as lines of JSON over a pair of sockets; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, Literal, Self, TypeVar

import msgspec

from pipeline.errors import Code, InferError, ModelNotFound, ModelNotReady, retold

Verb = Literal["load", "unload"]


class Failure(msgspec.Struct, frozen=True):
    """An error of a change, in the words that its caller is told."""

    code: str
    message: str

    @classmethod
    def of(cls, error: InferError) -> Self:
        return cls(error.code.name, error.message)

    def error(self) -> InferError:
        code = Code[self.code]
        kind = {Code.NOT_FOUND: ModelNotFound, Code.UNAVAILABLE: ModelNotReady}.get(code, InferError)
        return retold(kind, code, self.message)


class Made(msgspec.Struct, frozen=True):
    """The last change of a name that was made, and which one of all that began it was."""

    number: int
    verb: Verb


# ---- what a worker says


class Settled(msgspec.Struct, frozen=True, tag=True):
    """Each model of its start is open, but for those that ``failed``; it has made what was made up to ``number``."""

    number: int
    failed: frozenset[str]


class Ready(msgspec.Struct, frozen=True, tag=True):
    """It is what ``--ready`` asks for."""


class Ask(msgspec.Struct, frozen=True, tag=True):
    """One of its callers wants a change; ``ask`` is the worker's own number of it."""

    ask: int
    verb: Verb
    model: str


class Drop(msgspec.Struct, frozen=True, tag=True):
    """The caller has left: what has not begun need not."""

    ask: int


class Opened(msgspec.Struct, frozen=True, tag=True):
    """What a load found is open, and not served before it is agreed."""

    change: int


class Over(msgspec.Struct, frozen=True, tag=True):
    """The change has come to its end in this worker."""

    change: int
    failure: Failure | None


class AskStop(msgspec.Struct, frozen=True, tag=True):
    """The server is to stop; ``failure``: since this worker cannot be what it was started for."""

    failure: str | None


FromWorker = Settled | Ready | Ask | Drop | Opened | Over | AskStop


# ---- what it is told


class Stop(msgspec.Struct, frozen=True, tag=True):
    """Drain, then end."""


class Together(msgspec.Struct, frozen=True, tag=True):
    """All workers are ready, or were: from now on each answers for itself."""


class Join(msgspec.Struct, frozen=True, tag=True):
    """Take requests."""


class Follow(msgspec.Struct, frozen=True, tag=True):
    """Make what was made meanwhile, up to ``number``."""

    number: int
    made: Mapping[str, Made]


class Begin(msgspec.Struct, frozen=True, tag=True):
    """Make that change: of a load, open what is found, and say so."""

    change: int
    verb: Verb
    model: str


class Verdict(msgspec.Struct, frozen=True, tag=True):
    """Whether what was opened is to be served: all have opened it, or one has failed."""

    change: int
    failure: Failure | None


class Answer(msgspec.Struct, frozen=True, tag=True):
    """What came of a change that was asked for."""

    ask: int
    failure: Failure | None


ToWorker = Stop | Together | Join | Follow | Begin | Verdict | Answer

Message = TypeVar("Message")


def line(message: FromWorker | ToWorker) -> bytes:
    return msgspec.json.encode(message) + b"\n"


class Lines(Generic[Message]):
    """Messages out of bytes as they come; a line that is not whole yet is kept."""

    def __init__(self, kind: type[Message]) -> None:
        self._decoder = msgspec.json.Decoder(kind)
        self._rest = b""

    def fed(self, data: bytes) -> Iterator[Message]:
        *whole, self._rest = (self._rest + data).split(b"\n")
        for own in whole:
            yield self._decoder.decode(own)

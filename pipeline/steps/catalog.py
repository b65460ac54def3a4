"""The step kinds there are, by the files of this folder; what one must offer, and what it is given to work with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import trio

import pipeline.steps as folder
from pipeline.code.load import Code
from pipeline.engine.limit import Limit, Tokens
from pipeline.errors import told
from pipeline.graph.interface import Interface
from pipeline.graph.source import Fault
from pipeline.graph.spec import StepSpec
from pipeline.plugins import plugins
from pipeline.steps.readiness import Readiness
from pipeline.tensors.signature import Signature

if TYPE_CHECKING:
    from pipeline.engine.asyncio_loop import AsyncioLoop

# What a step's `close` gets when the process wants to stop: longer than a flush, shorter than anybody's patience.
CLOSE_SECONDS = 5.0


class Storage(Protocol):
    """Who brings models. The engine is given one and knows none."""

    def refusal(self, uri: str, options: Mapping[str, Any], /) -> str | None:
        """Why this URI cannot be fetched with those options, told without looking; None where it can be tried."""
        ...

    def local(self, uri: str, folder: Path, /) -> Path | None:
        """Where it is, for what needs no fetching; None for all else, and where nothing is there."""
        ...

    def lend(
        self, uri: str, folder: Path, options: Mapping[str, Any], digest: str | None, /
    ) -> AbstractAsyncContextManager[Path]:
        """The local file or folder, which stays there until the block ends. Relative paths are relative to ``folder``.

        ``options`` are of the source; ``digest``: ``sha256:…`` of the one file it must be. Raises OSError that names
        what was looked for. Cancelled, it leaves nothing half-made behind.
        """
        ...


@dataclass(frozen=True, slots=True)
class Home:
    """Where a graph lives: what its relative paths and its user code are relative to, and who brings its models.

    ``model``: what it is served as, once that is settled. ``code``: the user's, as it was when the graph was read.
    """

    folder: Path
    storage: Storage
    model: str = ""
    code: Code = field(default_factory=Code, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """An opened step: ``function(inputs, context)``, to be awaited unless ``blocking``; on ``loop`` where there is one.

    ``signature`` is what a model file tells of itself, once it is open; ``certain``: the graph is held to it.
    ``readiness`` stands where the step depends on something that may be ready or not while it is open. ``where``: what
    it asks, as a log line may show it.
    ``limited`` hears of the limit of the step, where work may go on when its call has ended. ``turns``: what the step
    shares with others for its limit, unless the graph sets one.
    """

    function: Callable[..., Any]
    blocking: bool
    signature: Signature = Signature()
    certain: bool = False
    readiness: Readiness | None = None
    where: str | None = None
    loop: AsyncioLoop | None = None
    limited: Callable[[Limit], object] | None = None
    turns: Tokens | None = None


class StepKind(Protocol):
    """A file of ``pipeline/steps/``. ``KEYS``: action word → the option words that go with it."""

    KEYS: Mapping[str, Collection[str]]

    def schema(self) -> Mapping[str, Any]:
        """Each of these words → the JSON Schema of its value, which editors show."""
        ...

    def describe(self, step: StepSpec, home: Home, faults: list[Fault], /) -> Interface | None:
        """What the step takes and gives, told without downloading anything; its faults are appended."""
        ...

    def open_step(self, step: StepSpec, home: Home, /) -> AbstractAsyncContextManager[Call]:
        """The step, ready to be called until the context ends. Raises why it cannot be."""
        ...


@runtime_checkable
class Learns(Protocol):
    """What a kind may offer as well, whose steps are other servers: their metadata, for ``check --remotes``."""

    async def learn(self, step: StepSpec, home: Home, /) -> Signature | None:
        """What the step's server tells of the model, None where its protocol has no word for that.

        Raises InferError where it cannot be asked, ValueError as ``open_step`` does. Cancelled, nothing is left open.
        """
        ...


def learner(kind: StepKind) -> Learns | None:
    """The kind, where its steps can be asked what they know."""
    return kind if isinstance(kind, Learns) else None


def step_kinds() -> dict[str, StepKind]:
    """Action word → the kind that answers to it. Raises ValueError where two do."""
    kinds: dict[str, StepKind] = {}
    for name, kind in plugins(folder, "KEYS").items():
        for word in kind.KEYS:
            if word in kinds:
                raise ValueError(f"two files of pipeline/steps answer to {word}, the second is {name}.py")
            kinds[word] = kind
    return kinds


@contextmanager
def harmless(what: str) -> Iterator[None]:
    """What opening or closing a step raises fails that step, not the process with everybody else's models in it.

    SystemExit, asyncio's CancelledError and the like would: raises RuntimeError instead, naming ``what`` was done. Ours
    to pass on are a cancellation, be it in the group of a nursery, and Ctrl-C.
    """
    ours = (trio.Cancelled, KeyboardInterrupt)
    try:
        yield
    except (Exception, *ours):
        raise
    except BaseException as error:
        if isinstance(error, BaseExceptionGroup) and (passed := error.subgroup(ours)):
            raise passed from None
        raise RuntimeError(f"{what} raised {told(error)}") from error

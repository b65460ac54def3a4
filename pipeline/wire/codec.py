"""What every protocol file of this folder offers, and the transport-neutral call and reply it works on."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from pipeline.plugins import plugins
from pipeline.tensors.message import Command, InferResponse, Result, Verb
from pipeline.tensors.signature import Expectation
from pipeline.wire.numbers import ReadPieces, with_orjson

DEFAULT_PROTOCOL = "v2"
"""What a client of ours speaks where nobody says otherwise."""
PREDICTOR_PROTOCOL = "v1"
"""What a transformer asks its predictor in where nobody says otherwise, as under KServe."""
LISTS: Mapping[str, str] = {"v1": "instances", "v2": "inputs"}
"""What a request's body has as a list, where it has it: protocol → key."""
TIMEOUT_HEADER = "x-request-timeout"
"""How much time the caller gives its request: seconds, or a duration with its unit."""
REQUEST_ID_HEADER = "x-request-id"
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


def is_request_id(text: str) -> bool:
    """Whether a header and a log line can carry it unchanged; a server replaces any other."""
    return _REQUEST_ID.fullmatch(text) is not None


def beyond_one_hop(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a request without those that are about one exchange: its time, and the form of its bodies."""
    return {
        name: value for name, value in parameters.items() if name != "timeout" and not name.startswith("binary_data")
    }


class Call(msgspec.Struct, frozen=True, eq=False):
    """One request as a transport brings it. ``path`` is percent-decoded; header names are in lower case.

    ``id``: the caller's ``x-request-id``, or one made for the call; a request whose body names none has this one.
    ``json``: whether the body is JSON, where that is known; else its type says so. ``numbers``: what reads those of a
    large one.
    """

    method: str
    path: str
    headers: Mapping[str, str] = {}
    body: bytes | memoryview = b""
    id: str = ""
    json: bool | None = None
    numbers: ReadPieces = with_orjson


class Reply(msgspec.Struct, frozen=True, eq=False):
    """One reply. ``body`` is in parts, so that a codec need not join what is already in memory.

    ``stream``: what the body is instead, part by part as it is made. Who sends it closes it.
    """

    status: int
    headers: Mapping[str, str] = {}
    body: Sequence[bytes | memoryview] = ()
    stream: AsyncIterator[bytes | str] | None = None


class Route(msgspec.Struct, frozen=True):
    """``template``: a path with ``{model}`` and ``{version}`` in it.

    ``asks``: the verb that a model is run for, or what makes a command for the server of what the template matched;
    ``has_body``: that command is told in the body as well, which the codec decodes.
    """

    method: str
    template: str
    asks: Verb | Callable[..., Command]
    has_body: bool = False

    @property
    def verb(self) -> Verb | None:
        """None where the server is asked, and no model run."""
        return self.asks if isinstance(self.asks, str) else None


Options = Any
"""A codec's own facts about how the caller wants to be answered; they travel beside the request, never in it."""


class Codec(Protocol):
    """One protocol, both directions. Nothing here does I/O or knows a clock."""

    ROUTES: Sequence[Route]
    UNNAMED: Collection[str]
    """What the one output of a reply is called where it came without a name. Empty where every tensor has its own, and
    JSON travels as the text of one."""

    def decode(
        self, call: Call, route: Route, model: str, version: str, expectation: Expectation, /
    ) -> tuple[Command, Options]:
        """Server side: the command that a call with a body means. Raises InferError by blame, never anything else."""
        ...

    def encode(self, result: Result, options: Options, /) -> Reply:
        """Server side. Raises InferError where the result cannot be said in the way the caller asked for."""
        ...

    def takes_long(self, response: InferResponse, options: Options, /) -> bool:
        """Server side: whether others would notice how long ``encode`` takes for that."""
        ...

    def preferring(self, binary: bool, /) -> Options:
        """Client side: tensors to travel in binary, both ways, where the protocol has that; else as JSON."""
        ...

    def travelling(self, parameters: Mapping[str, Any], /) -> Mapping[str, Any]:
        """Client side: those of a request, made in any protocol, that go on with it to another server in this one."""
        ...

    def encode_request(self, command: Command, options: Options, /) -> Call:
        """Client side: the call that asks this. Raises InvalidInput where the protocol or JSON cannot say it."""
        ...

    def decode_reply(self, reply: Reply, command: Command, /) -> Result:
        """Client side: what was answered. Raises the InferError that the server meant."""
        ...


def codecs() -> dict[str, Codec]:
    """Name → codec, for every file of this folder that has routes: adding a protocol edits nothing else."""
    import pipeline.wire as folder  # noqa: PLC0415  # the codecs import this file

    return plugins(folder, "ROUTES")


def inferring(found: Mapping[str, Codec]) -> dict[str, Codec]:
    """Those of them that models are asked in, and can be asked by others."""
    return {name: codec for name, codec in found.items() if any(route.verb for route in codec.ROUTES)}

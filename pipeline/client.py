"""A client of our protocols, async and blocking: the server's codecs in the other direction.

async with Client("http://localhost:8080") as client:
    response = await client.infer("iris", {"rows": rows})
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Self, TypeVar, overload

import anyio
import msgspec

from pipeline.asking import budget_of, headers_of, named, request_of, size_of
from pipeline.blocking import LoopThread, blocking, entered, left
from pipeline.errors import Code, DeadlineExceeded, InferError, InvalidInput, retold
from pipeline.exchange import Cert, Peer, Verify
from pipeline.graph.units import format_duration, seconds_of, size
from pipeline.tensors.message import (
    AskIndex,
    AskLive,
    AskModel,
    AskModelReady,
    AskModels,
    AskReady,
    AskServer,
    Command,
    Index,
    Infer,
    InferResponse,
    Live,
    Loaded,
    LoadModel,
    ModelMetadata,
    ModelReady,
    Models,
    ModelState,
    OfRepository,
    Ready,
    Result,
    ServerMetadata,
    Unloaded,
    UnloadModel,
)
from pipeline.threads import in_thread_if_large
from pipeline.wire.codec import DEFAULT_PROTOCOL, Call, Codec, Reply, codecs, inferring
from pipeline.wire.statuses import bare

S = TypeVar("S", bound=Result)

_NOT_NOW = (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED)


class Client:
    """One server, asked over HTTP; runs on trio and on asyncio, and many tasks may share it.

    Errors are the server's own, of the class it raised: InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady,
    Overloaded (its ``headers["retry-after"]`` is seconds), DeadlineExceeded, InferenceError. A server that cannot be
    reached, or whose reply cannot be read, is an InferError of Code.BAD_UPSTREAM that names the URL. A call that is
    cancelled closes its connection at once, and our server then cancels the request, through every step.
    """

    def __init__(  # noqa: PLR0913  # keywords, each with a default
        self,
        url: str,
        *,
        protocol: str = DEFAULT_PROTOCOL,
        binary: bool = True,
        timeout: float | str | None = 60.0,
        headers: Mapping[str, str] | None = None,
        verify: Verify = True,
        cert: Cert | None = None,
        connections: int = 100,
        max_reply: int | str | None = 2**30,
        trust_env: bool = True,
    ) -> None:
        """``url``: ``http://…``, ``https://…``, with a path where a gateway has one, or ``unix:PATH``.

        ``binary``: tensors travel as raw bytes, both ways, where the protocol can; False: as JSON. ``timeout``: seconds
        (or ``"300ms"``) for a whole call that names none itself; None: no bound. ``headers`` go with every call.
        ``verify``: False, a file or folder of certificate authorities, or an ``ssl.SSLContext``; ``cert``: the client's
        certificate, as a file or (certificate, key[, password]). ``connections``: calls past them wait for one.
        ``max_reply``: bytes of a reply's body (or ``"64MiB"``), None for no bound. ``trust_env``: proxies and
        certificate authorities as the environment names them. Raises ValueError, TypeError for a URL that is no text,
        and InvalidInput for headers that cannot be sent.
        """
        found = codecs()
        known = inferring(found)
        if protocol not in known:
            raise ValueError(f"protocol is {' or '.join(known)}, not {protocol!r}")
        self._codec = known[protocol]
        self._repository = codecs()["repository"]
        self._options = self._codec.preferring(binary)
        self._has_versions = any("{version}" in route.template for route in self._codec.ROUTES)
        try:
            self._budget = math.inf if timeout is None else seconds_of(timeout)
        except ValueError as error:
            raise ValueError(f"timeout: {error}") from None
        try:
            most = size(max_reply) if isinstance(max_reply, str) else max_reply
        except ValueError as error:
            raise ValueError(f"max_reply: {error}") from None
        self._headers = headers_of(headers)
        self._peer = Peer(url, verify=verify, cert=cert, connections=connections, max_reply=most, trust_env=trust_env)

    def __repr__(self) -> str:
        return f"<Client of {self._peer.url}>"

    def blocking(self) -> BlockingClient:
        """The same client for code that blocks: ``with Client(url).blocking() as client: client.infer(…)``."""
        return BlockingClient(self)

    async def __aenter__(self) -> Self:
        """Connects to nobody yet. Raises RuntimeError where it is open, ValueError for unusable certificates."""
        await self._peer.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Closes every connection, cancelled or not; calls that are still under way fail."""
        await self._peer.__aexit__(*exc_info)

    def __enter__(self) -> NoReturn:
        raise TypeError(f'{self!r} is async: "async with" opens it, or "with Client(…).blocking() as client"')

    def __exit__(self, *exc_info: object) -> None:
        raise AssertionError("it is never entered so")

    # ---- models

    async def infer(  # noqa: PLR0913  # as Pipeline.infer
        self,
        model: str,
        inputs: Mapping[str, Any],
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | str | None = None,
        version: str | int = "",
        id: str | int | None = None,
    ) -> InferResponse:
        """One request: arrays (or lists, numbers, text, JSON) by input name, as ``Pipeline.infer`` takes them.

        ``timeout`` bounds the call from connecting to the last byte, and goes along for the server to keep; None is the
        client's own, ``math.inf`` no bound. Arrays of the answer are read-only, views of the reply where it is binary.

        Raises InferError by blame, see the class. Cancelled, the connection is closed at once and the request with it.
        """
        self._require_versions(version)
        request = request_of(
            model, inputs, outputs=outputs, parameters=parameters, headers=self._all(headers), version=version, id=id
        )
        return await self._asked(Infer(request, "predict"), InferResponse, timeout)

    async def explain(  # noqa: PLR0913  # as Pipeline.infer
        self,
        model: str,
        inputs: Mapping[str, Any],
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | str | None = None,
        version: str | int = "",
        id: str | int | None = None,
    ) -> InferResponse:
        """As ``infer``, for the model's explanation. Raises InferError (UNIMPLEMENTED) where the model has none."""
        self._require_versions(version)
        request = request_of(
            model, inputs, outputs=outputs, parameters=parameters, headers=self._all(headers), version=version, id=id
        )
        return await self._asked(Infer(request, "explain"), InferResponse, timeout)

    # ---- questions; cancelled, each closes its connection

    async def live(self, *, timeout: float | str | None = None) -> bool:
        """Whether the server answers at all and says so. Raises InferError where it cannot be reached."""
        return await self._says(AskLive(), timeout)

    async def ready(
        self, model: str | None = None, version: str | int = "", *, timeout: float | str | None = None
    ) -> bool:
        """Whether the server, or that model, takes requests now.

        Raises ModelNotFound for a model that is not there, InferError where the server cannot be reached.
        """
        if model is None:
            _require_no(version)
            return await self._says(AskReady(), timeout)
        return await self._says(AskModelReady(*self._named(model, version)), timeout)

    @overload
    async def metadata(self, model: None = None, *, timeout: float | str | None = None) -> ServerMetadata: ...

    @overload
    async def metadata(
        self, model: str, version: str | int = "", *, timeout: float | str | None = None
    ) -> ModelMetadata: ...

    async def metadata(
        self, model: str | None = None, version: str | int = "", *, timeout: float | str | None = None
    ) -> ServerMetadata | ModelMetadata:
        """Name, version and extensions of the server; of a model: its versions and what it takes and gives.

        Raises ModelNotFound, InferError.
        """
        if model is None:
            _require_no(version)
            return await self._asked(AskServer(), ServerMetadata, timeout)
        return await self._asked(AskModel(*self._named(model, version)), ModelMetadata, timeout)

    async def models(self, *, timeout: float | str | None = None) -> tuple[str, ...]:
        """The names of all models. Raises InferError."""
        return tuple((await self._asked(AskModels(), Models, timeout)).names)

    # ---- its repository, in either protocol; cancelled, each closes its connection

    async def load(self, model: str, *, timeout: float | str | None = None) -> None:
        """Has the server serve what lies in its repository under that name now; returns once it does.

        Raises ModelNotFound for a name that is nowhere; ModelNotReady, which says why it cannot be, and then the older
        one serves on; DeadlineExceeded, after which, as after a cancellation, it may be loaded still: ``index`` tells.
        """
        await self._asked(LoadModel(named(model, "")[0]), Loaded, timeout)

    async def unload(self, model: str, *, timeout: float | str | None = None) -> None:
        """Ends that model, in all versions, after its last request; cancelled, it ends too. Raises ModelNotFound."""
        await self._asked(UnloadModel(named(model, "")[0]), Unloaded, timeout)

    async def index(self, *, ready: bool = False, timeout: float | str | None = None) -> tuple[ModelState, ...]:
        """The state of every model, of those that could be loaded too; ``ready``: of those that are alone."""
        return tuple((await self._asked(AskIndex(ready), Index, timeout)).models)

    # ---- the way there and back

    def _all(self, headers: Mapping[str, str] | None) -> dict[str, str]:
        return {**self._headers, **headers_of(headers)}

    def _named(self, model: str, version: str | int) -> tuple[str, str]:
        self._require_versions(version)
        return named(model, version)

    def _require_versions(self, version: str | int) -> None:
        if version != "" and not self._has_versions:
            raise InvalidInput(f"calls of this protocol name no version; leave {version} out, or take another protocol")

    async def _says(self, command: AskLive | AskReady | AskModelReady, timeout: float | str | None) -> bool:
        try:
            result = await self._ask(command, timeout)
        except InferError as error:
            if error.code in _NOT_NOW:
                return False
            raise
        match result:
            case Live(yes) | Ready(yes) | ModelReady(_, yes):
                return yes
            case _:
                raise _crossed(command, result)

    async def _asked(self, command: Command, kind: type[S], timeout: float | str | None) -> S:
        result = await self._ask(command, timeout)
        if not isinstance(result, kind):
            raise _crossed(command, result)
        return result

    async def _ask(self, command: Command, timeout: float | str | None) -> Result:
        budget = self._budget if timeout is None else budget_of(timeout)
        with anyio.move_on_after(budget):
            call = await in_thread_if_large(
                size_of(command), lambda: self._codec_of(command).encode_request(command, self._options)
            )
            call = msgspec.structs.replace(call, headers={**self._headers, **call.headers})
            reply = await self._peer.exchange(call)
            return await in_thread_if_large(sum(map(len, reply.body)), lambda: self._read(call, reply, command))
        told = f"{self._peer.url} gave no whole answer within {format_duration(budget)}"
        raise DeadlineExceeded(f"{told}; timeout=… gives it more time")

    def _codec_of(self, command: Command) -> Codec:
        return self._repository if isinstance(command, OfRepository) else self._codec

    def _read(self, call: Call, reply: Reply, command: Command) -> Result:
        try:
            return self._codec_of(command).decode_reply(reply, command)
        except InferError as error:
            where = f"{call.method} {self._peer.url}{call.path}"
            if reply.status < 400:
                told = f"{where}: {error.message}; is it a server of this protocol?"
                raise InferError(error.code, told) from None
            if error.message != bare(reply.status):
                raise
            told = f"{where} was answered with {error.message}, in no words of the protocol"
            raise retold(type(error), error.code, told, status=error.status, headers=error.headers) from None


class BlockingClient:
    """``Client`` for code that blocks; many threads may share it. Ctrl-C cancels the call that it interrupts.

    In a ``with`` block, or between ``open()`` and ``close()`` where a block is in the way, as in a notebook.
    """

    def __init__(self, client: Client) -> None:
        self.loop = LoopThread(client, repr(client))

    def __repr__(self) -> str:
        return f"{self.loop.subject!r}, blocking"

    def open(self) -> Self:
        """Starts the thread. Raises RuntimeError where it is open already, ValueError for unusable certificates."""
        return entered(self)

    def close(self) -> None:
        """Closes every connection and ends the thread; calls that other threads wait for end as cancelled."""
        self.loop.close()

    __enter__ = entered
    __exit__ = left

    infer = blocking(Client.infer)
    explain = blocking(Client.explain)
    live = blocking(Client.live)
    ready = blocking(Client.ready)
    models = blocking(Client.models)
    load = blocking(Client.load)
    unload = blocking(Client.unload)
    index = blocking(Client.index)

    @overload
    def metadata(self, model: None = None, *, timeout: float | str | None = None) -> ServerMetadata: ...

    @overload
    def metadata(self, model: str, version: str | int = "", *, timeout: float | str | None = None) -> ModelMetadata: ...

    def metadata(
        self, model: str | None = None, version: str | int = "", *, timeout: float | str | None = None
    ) -> ServerMetadata | ModelMetadata:
        """As ``Client.metadata``."""
        return self.loop.call(functools.partial(self.loop.subject.metadata, model, version, timeout=timeout))


def _require_no(version: str | int) -> None:
    if version != "":
        raise InvalidInput(f"version {version} is that of a model; name the model too")


def _crossed(command: Command, result: Result) -> AssertionError:
    return AssertionError(f"{type(command).__name__} was answered with {type(result).__name__}")

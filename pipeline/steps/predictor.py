"""The servers that an open model asks: the predictor of a transformer, and an explainer.

They are asked on the loop that the model's async hooks run on, be it trio's or asyncio's.
"""

from __future__ import annotations

import contextvars
import functools
import math
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from pipeline.asking import size_of
from pipeline.engine.step import Context
from pipeline.errors import DeadlineExceeded, InferError
from pipeline.graph.units import format_duration
from pipeline.graph.words import VERBS
from pipeline.hooks import Headers
from pipeline.model import Model, asking, verb_of
from pipeline.steps.forwarding import TRACE, travelling
from pipeline.steps.meanwhile import meanwhile
from pipeline.steps.secrets import secrets_of
from pipeline.steps.upstream import in_its_words, lost, refused, unreadable
from pipeline.tensors.message import Infer, InferRequest, InferResponse, Verb
from pipeline.threads import in_thread_if_large
from pipeline.wire.codec import REQUEST_ID_HEADER, Call, Codec, Reply, codecs, inferring
from pipeline.wire.json_tensors import dump_asked
from pipeline.wire.statuses import JSON, body_of

if TYPE_CHECKING:
    from pipeline.engine.asyncio_loop import AsyncioLoop
    from pipeline.exchange import Peer

_FORWARDED = (*TRACE, REQUEST_ID_HEADER)
# They describe the body and the connection of the one reply; and each server names itself and its time.
_OF_ONE_REPLY = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "date", "inference-header-content-length"}
    | {"keep-alive", "server", "trailer", "transfer-encoding", "upgrade", "vary", REQUEST_ID_HEADER}
)
_ASKED_FOR: contextvars.ContextVar[Context] = contextvars.ContextVar("asked_for")


@contextmanager
def asked_for(context: Context) -> Iterator[None]:
    """Within it, what the model asks is asked for that request, whose time it has. Hooks pass no context on."""
    token = _ASKED_FOR.set(context)
    try:
        yield
    finally:
        _ASKED_FOR.reset(token)


@asynccontextmanager
async def predictors(step: str, model: Model, loop: AsyncioLoop | None) -> AsyncIterator[str | None]:
    """Within it the model can ask the servers that it names; gives their URLs, for the log, None where it has none.

    Connects to nobody yet. Raises ValueError for a host that is none, or a protocol that is not ours. Cancelled, every
    connection is closed.
    """
    servers: dict[Verb, Server] = {}
    for verb in map(verb_of, VERBS):
        if (server := server_of(model, verb)) is not None:
            servers[verb] = server
    if not servers:
        yield None
        return
    async with AsyncExitStack() as stack:
        for server in servers.values():
            await stack.enter_async_context(_opened(server.peer, loop))
        stack.enter_context(asking(model, _Predictor(step, model, servers)))
        yield " and ".join(dict.fromkeys(server.peer.url for server in servers.values()))


@asynccontextmanager
async def _opened(peer: Peer, loop: AsyncioLoop | None) -> AsyncIterator[None]:
    if loop is None:
        async with peer, meanwhile(peer.close_idle):
            yield
        return
    await loop.run(peer.__aenter__)
    try:
        async with meanwhile(functools.partial(loop.run, peer.close_idle)):
            yield
    finally:
        with trio.CancelScope(shield=True):
            await loop.run(peer.__aexit__)


@dataclass(frozen=True, slots=True)
class Server:
    peer: Peer
    codec: Codec
    seconds: float
    retries: int


def server_of(model: Model, verb: Verb) -> Server | None:
    """Whom the model asks for that verb, not open. Raises ValueError for a host or a protocol that is none."""
    config = model.predictor_config
    host = model.explainer_host if verb == "explain" else config.predictor_host if config is not None else None
    if config is None or not host:
        return None
    from pipeline.exchange import Peer  # noqa: PLC0415  # httpx, which few models need

    known = inferring(codecs())
    if config.predictor_protocol not in known:
        told = f'model "{model.name}": predictor_protocol is {" or ".join(known)}, not {config.predictor_protocol!r}'
        raise ValueError(told)
    codec = known[config.predictor_protocol]
    scheme = "https" if config.predictor_use_ssl else "http"
    peer = Peer(host if "://" in host else f"{scheme}://{host}", ca=model.predictor_ca, connections=None)
    seconds = float(config.predictor_request_timeout_seconds or math.inf)
    return Server(peer, codec, seconds, int(config.predictor_request_retries or 0))


class _Predictor:
    """One model's questions."""

    def __init__(self, step: str, model: Model, servers: Mapping[Verb, Server]) -> None:
        self._step = step
        self._model = model
        self._servers = servers

    async def __call__(
        self, verb: Verb, payload: Any, headers: Mapping[str, str], response_headers: Headers | None, /
    ) -> Any:
        """The server's answer to the payload, of the payload's kind: JSON to JSON, and tensors to tensors."""
        server = self._servers.get(verb)
        if server is None:
            raise RuntimeError(f'model "{self._model.name}" has been open since before it was told whom to ask')
        asked = self._model.dialect.asked(payload)
        command = Infer(self._request(server.codec, asked, headers), verb)
        call = await in_thread_if_large(size_of(command), lambda: self._written(server, command, asked, payload))
        reply = await self._exchanged(server, verb, call)
        secrets = secrets_of(server.peer.url, call.headers)
        if reply.status >= 400:
            refusal = refused(self._whom(verb), server.peer.url, call, reply, command, secrets)
            raise in_its_words(refusal, server.peer.url, reply, secrets)
        if response_headers is not None:
            response_headers |= {name: text for name, text in reply.headers.items() if name not in _OF_ONE_REPLY}
        try:
            size = sum(map(len, reply.body))
            return await in_thread_if_large(size, lambda: self._read(server, reply, command, asked is not None))
        except InferError as error:
            raise unreadable(self._whom(verb), error, server.peer.url, call, reply, secrets) from None

    async def _exchanged(self, server: Server, verb: Verb, call: Call) -> Reply:
        """The reply, within the predictor's time and the request's. A connection that fails is tried again."""
        import anyio  # noqa: PLC0415  # with httpx, since the model was opened

        from pipeline.exchange import NotConnected, connecting  # noqa: PLC0415

        context = _ASKED_FOR.get(None)
        seconds = min(server.seconds, math.inf if context is None else context.remaining())
        with anyio.move_on_after(seconds):
            try:
                return await connecting(functools.partial(server.peer.exchange, call), server.retries, NotConnected)
            except InferError as error:
                raise lost(self._whom(verb), error, secrets_of(server.peer.url, call.headers)) from None
        spent = format_duration(server.seconds if seconds == server.seconds else max(seconds, 0.0))
        told = f"{self._whom(verb)} did not answer within {spent}"
        raise DeadlineExceeded(told, internals=f"{call.method} {server.peer.url}{call.path}")

    def _whom(self, verb: Verb) -> str:
        """How its callers, who know of no step, are told of the server."""
        return f'the {"explainer" if verb == "explain" else "predictor"} of model "{self._model.name}"'

    def _written(self, server: Server, command: Infer, asked: InferRequest | None, payload: Any) -> Call:
        call = server.codec.encode_request(command, server.codec.preferring(self._model.dialect.in_binary(payload)))
        headers = command.request.headers
        match payload:
            case _ if asked is not None:
                return call
            case bytes() | str():
                body = payload if isinstance(payload, bytes) else payload.encode()
                return Call(call.method, call.path, {**headers, "content-type": "application/octet-stream"}, body)
            case _:
                return Call(
                    call.method, call.path, {**headers, **JSON}, dump_asked("what goes to the predictor", payload)
                )

    def _read(self, server: Server, reply: Reply, command: Infer, typed: bool) -> Any:
        if not typed:
            return body_of(reply, command)
        result = server.codec.decode_reply(reply, command)
        if not isinstance(result, InferResponse):
            raise AssertionError(f"a request was answered with a {type(result).__name__}")
        match list(result.outputs.items()):
            case [(name, only)] if name in server.codec.UNNAMED:
                result = msgspec.structs.replace(result, outputs={self._step: only})
        return self._model.dialect.answered(result)

    def _request(self, codec: Codec, asked: InferRequest | None, headers: Mapping[str, str]) -> InferRequest:
        """What is asked, under the model's own name, as under KServe; a protocol that names no outputs chooses none."""
        names = (*_FORWARDED, *self._model.forwards)
        own = asked or InferRequest(model=self._model.name, inputs={})
        return msgspec.structs.replace(
            own,
            model=self._model.name,
            version="",
            outputs=() if codec.UNNAMED else own.outputs,
            parameters=codec.travelling(own.parameters),
            headers=travelling(self._step, names, headers, headers.get(REQUEST_ID_HEADER, "")),
        )

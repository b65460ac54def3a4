"""THE function: a call in, a reply out. Whatever goes wrong between them is decided here.

Call → route → admission → body → decode → run → encode → Reply, under one cancel scope. The transport owns the task:
when the client leaves it cancels it, and all work below stops.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, TypeVar

import msgspec
import trio

from pipeline.engine.deadlines import Timer
from pipeline.engine.stream import stream_of
from pipeline.errors import Code, DeadlineExceeded, InferError
from pipeline.graph.units import format_duration
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
    Live,
    Loaded,
    LoadModel,
    ModelMetadata,
    ModelReady,
    Models,
    Question,
    Ready,
    Result,
    ServerMetadata,
    Unloaded,
    UnloadModel,
    Verb,
)
from pipeline.tensors.signature import Expectation
from pipeline.wire.cloudevents import Event, opened
from pipeline.wire.codec import REQUEST_ID_HEADER, Call, Reply
from pipeline.wire.statuses import STATUS, error_reply
from server.access import Answered
from server.deadline import header_timeout
from server.encoding import ACCEPTS, Plain, accepted, encoded, to_plain
from server.failure import as_shown
from server.log import begin, end, failed, failed_because
from server.routes import Match, wrong_method
from server.sending import Sending, Wire
from server.service import Service

ReadBody = Callable[[], Awaitable[bytes | memoryview]]
"""A view is of what was received, and read-only."""
T = TypeVar("T")
_READING = ("GET", "HEAD")
_GOES_ON = ", and goes on; the index has its end"
# 256 KiB of JSON take some 5 ms to read, and odd ones ten times that; a trip to a thread takes 0.05.
_LARGE = 2**18
# 64 KiB take some 0.7 ms to code.
_LARGE_TO_CODE = 2**16


class _Exchange(msgspec.Struct, eq=False):
    """One call and its reply while they come and go. ``headers`` are the request's own."""

    method: str
    path: str
    headers: Mapping[str, str]
    id: str
    read_body: ReadBody
    wire: Wire | None
    timer: Timer | None
    received: int = 0
    """Bytes of the body, once it is here."""
    sending: Sending | None = None
    """What of the reply is sent while it is made."""


async def handle(  # noqa: PLR0913, PLR0917  # a call is all of this
    service: Service,
    method: str,
    path: str,
    headers: Mapping[str, str],
    read_body: ReadBody,
    wire: Wire | None = None,
    timer: Timer | None = None,
) -> Reply:
    """The reply to one call. Header names in lower case; ``read_body`` is asked once the request is admitted.

    An answer that is a stream is sent over ``wire`` while it is made; then nothing is left to send of the reply, and a
    wire that was not told its end is to be cut, so that the caller sees that something is missing. ``timer``: what
    ends the requests of this task whose time is up, one after the other.

    Never raises but for cancellation, which cancels the request and every step below it. A load or an unload that has
    begun goes on, and a step that computes in a thread ends by itself.
    """
    start = time.perf_counter()
    known_as = service.ids.of(headers)
    # The request's own: a step may write into them, and one that passes them on passes on the id of our log.
    own = {**headers, REQUEST_ID_HEADER: known_as}
    exchange = _Exchange(method, path, own, known_as, read_body, wire, timer)
    lines = begin(known_as)
    try:
        reply = await _answer(service, exchange)
    except trio.Cancelled:
        _tell(service, exchange, start, None)
        raise
    except (Exception, KeyboardInterrupt) as error:  # the one place: a request's failure is its reply
        if isinstance(error, KeyboardInterrupt) and not service.owns_interrupts:
            raise
        shown = as_shown(error, known_as)
        reply = error_reply(shown)
        if shown.internals is not None:
            failed_because(known_as, f"{method} {path}", shown.message, shown.internals)
        elif shown.code is Code.DEADLINE_EXCEEDED:
            failed_because(known_as, f"{method} {path}", shown.message)
        elif _begun(exchange) or (reply.status >= 500 and (shown is not error or shown.code is Code.INTERNAL)):
            failed(known_as, f"{method} {path}", error)
    finally:
        end(lines)
    reply = Reply(reply.status, {**reply.headers, REQUEST_ID_HEADER: known_as}, reply.body)
    _tell(service, exchange, start, reply)
    return reply


def refuse(service: Service, error: InferError, method: str, path: str) -> Reply:
    """The reply to what could not be read as a call, which has its line and its count as every call has."""
    reply, known_as = error_reply(error), service.ids.of({})
    size = 0 if method == "HEAD" else sum(map(len, reply.body))
    answered = Answered(known_as, method, path, reply.status, 0.0, size, when=time.time())
    for tell in service.on_answer:
        tell(answered)
    return Reply(reply.status, {**reply.headers, REQUEST_ID_HEADER: known_as}, reply.body)


def _begun(exchange: _Exchange) -> bool:
    return exchange.sending is not None and exchange.sending.begun


def _tell(service: Service, exchange: _Exchange, start: float, reply: Reply | None) -> None:
    """Whoever wants to know of a call that ended; without a ``reply`` where its client left before."""
    if not service.on_answer:
        return
    sending, whole = exchange.sending, True
    if sending is not None and sending.begun:
        status = STATUS[Code.CANCELLED] if reply is None else sending.status
        size, whole = sending.size, sending.ended and reply is not None
    elif reply is None:
        status, size = STATUS[Code.CANCELLED], 0
    else:
        status, size = reply.status, 0 if exchange.method == "HEAD" else sum(map(len, reply.body))
    took = time.perf_counter() - start
    answered = Answered(
        exchange.id, exchange.method, exchange.path, status, took, size, whole, exchange.received, time.time()
    )
    for tell in service.on_answer:
        tell(answered)


async def _answer(service: Service, exchange: _Exchange) -> Reply:
    match = service.routes.match(exchange.method, exchange.path)
    if match is None:
        return await _page(service, exchange)
    match match.route.asks:
        case str() as verb:
            return await _infer(service, match, verb, exchange)
        case make if not match.route.has_body:
            names = {"model": match.model, "version": match.version}
            command = make(**{name: text for name, text in names.items() if text})
        case _:
            asked = (match.model, match.version, Expectation())
            command, _, _ = await _read(service, match, exchange, asked)
    return match.codec.encode(await _executed(service, command, header_timeout(exchange.headers)), None)


async def _page(service: Service, exchange: _Exchange) -> Reply:
    """What stands beside the protocols. Raises InferError (NOT_FOUND) for a path that nothing is known of."""
    path = exchange.path
    page = service.find_page(path)
    if page is None and path.endswith("/"):
        page = service.find_page(path.rstrip("/"))
    if page is None:
        raise InferError(Code.NOT_FOUND, "Not Found")
    if exchange.method not in _READING:
        raise wrong_method(_READING)
    shown = page(exchange.headers)
    return await _coded(service, shown if isinstance(shown, Reply) else await shown, exchange.headers)


async def _executed(service: Service, command: Command, patience: float) -> Result:
    """What a command for the server comes to, waited for ``patience`` seconds at most: then DeadlineExceeded is raised.

    A change of what it serves goes on then, as where it is cancelled.
    """
    repository = service.repository
    match command:
        case AskIndex(ready):
            return Index(await _within(patience, repository.index(ready=ready)))
        case LoadModel(model):
            service.require_going_on()
            await _within(patience, service.changes.load(model), _GOES_ON)
            return Loaded(model)
        case UnloadModel(model):
            await _within(patience, service.changes.unload(model), _GOES_ON)
            return Unloaded(model)
        case Infer():
            raise AssertionError("an inference request is run, not asked")
        case question:
            return await _within(patience, _ask(service, question))


async def _within(seconds: float, work: Coroutine[Any, Any, T], then: str = "") -> T:
    if seconds == math.inf:
        return await work
    with trio.move_on_after(seconds):
        return await work
    raise DeadlineExceeded(f"this takes longer than {format_duration(seconds)}{then}")


async def _infer(service: Service, match: Match, verb: Verb, exchange: _Exchange) -> Reply:
    pipeline, headers = service.repository.get(match.model, match.version), exchange.headers
    # Not ready goes before anything that is wrong with what is asked, as in KServe: it may be right in a moment.
    async with pipeline.admitted(verb, header_timeout(headers), exchange.timer) as allowance:
        asked = (pipeline.name, pipeline.version, pipeline.expectation)
        command, options, event = await _read(service, match, exchange, asked)
        if not isinstance(command, Infer):
            raise AssertionError(f"{match.route.template} decoded to a {type(command).__name__}")
        request = command.request
        if request.timeout is not None:
            allowance.shorten(request.timeout)
        response = await pipeline.answer(request, verb, allowance)
        stream = stream_of(response)
        try:
            if match.codec.takes_long(response, options):
                reply = await service.in_thread(partial(match.codec.encode, response, options))
            else:
                reply = match.codec.encode(response, options)
            if event is not None:
                reply = service.enclose(reply, event, pipeline.name)
            if stream is not None:
                exchange.sending = Sending(exchange.wire, {REQUEST_ID_HEADER: exchange.id}, service.max_body)
                return await exchange.sending.all_of(reply, stream)
            return await _coded(service, reply, headers) if ACCEPTS in headers else reply
        finally:
            if stream is not None:
                await stream.aclose()


Asked = tuple[str, str, Expectation]
"""The model, its version, and what its codec may know of it."""


async def _read(service: Service, match: Match, exchange: _Exchange, asked: Asked) -> tuple[Command, Any, Event | None]:
    """The command of a call with its body, the codec's options, and the event that the call was.

    What is large, or may become so, is decoded in a thread: others would notice it. Cancelled, as ``in_thread``.
    """
    plain = to_plain(exchange.headers, service.max_body)
    body = await exchange.read_body()
    exchange.received = len(body)
    call = Call(exchange.method, exchange.path, exchange.headers, body, exchange.id, numbers=service.numbers)
    if plain is None and len(body) < _LARGE:
        return _decoded(match, call, plain, asked)
    return await service.in_thread(partial(_decoded, match, call, plain, asked))


def _decoded(match: Match, call: Call, plain: Plain | None, asked: Asked) -> tuple[Command, Any, Event | None]:
    if plain is not None:
        call = msgspec.structs.replace(call, body=plain(call.body))
    call, event = opened(call)
    return *match.codec.decode(call, match.route, *asked), event


async def _coded(service: Service, reply: Reply, headers: Mapping[str, str]) -> Reply:
    """The reply in a coding that the caller accepts, where that makes it smaller. What is large is coded in a thread.

    Cancelled, as ``in_thread``.
    """
    if "content-encoding" in reply.headers:
        return reply
    size = sum(map(len, reply.body))
    coding = accepted(headers, reply.headers.get("content-type", ""), size)
    if coding is None:
        return reply
    code = partial(encoded, reply.body, coding)
    body = code() if size < _LARGE_TO_CODE else await service.in_thread(code)
    if body is None:
        return reply
    return Reply(reply.status, {**reply.headers, "content-encoding": coding, "vary": ACCEPTS}, body)


async def _ask(service: Service, question: Question) -> Result:
    repository = service.repository
    match question:
        case AskLive():
            return Live(live=True)
        case AskReady():
            service.require_ready()
            return Ready(ready=True)
        case AskServer():
            return ServerMetadata(service.name, service.version)
        case AskModels():
            return Models(repository.names())
        case AskModel(model, version):
            pipeline = repository.get(model, version)
            return ModelMetadata(pipeline.name, repository.versions(model), "", pipeline.signature)
        case AskModelReady(model, version):
            pipeline = repository.get(model, version)
            await pipeline.look_ready()
            return ModelReady(pipeline.name, ready=True)

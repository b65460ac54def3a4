"""``run``: one request through a graph, without a port."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import trio

from pipeline.errors import InferError, text_of
from pipeline.observe import DetachedDone, Event, RequestDone
from pipeline.pipeline import Pipeline
from pipeline.repository import Repository
from pipeline.tensors.message import Verb
from pipeline.wire.json_tensors import parse
from pipeline.wire.media import is_json, media_of
from pipeline.wire.openapi import descriptions
from pipeline.wire.written import written_in
from server.config import CacheConfig, environment
from server.examples import path_of
from server.handle import handle
from server.log import configure, observer
from server.progress import Display, display
from server.report import FAULTS, blueprints
from server.service import Service
from server.version import NAME, VERSION
from storage import Storage
from storage.order import Order

_FAILED = 1
_OK = 200


def run_once(graph: Path | str, request: Path, verb: Verb, cache: CacheConfig | None = None) -> int:
    """The exit code: 0 answered, 1 the request failed (its error is on stdout), 2 the graph or the file has faults.

    How its models' downloads get on is shown on stderr.
    """
    told = cache or CacheConfig()
    shown = display(terminal=sys.stderr.isatty())
    order = Order(observe=shown)
    storage = Storage(environment(), told.cache_dir, told.cache_size, told.offline or None, order)
    drawn = blueprints([graph], storage)
    if drawn is None:
        return FAULTS
    try:
        body = sys.stdin.buffer.read() if str(request) == "-" else request.read_bytes()
    except OSError as error:
        print(f"{request}: cannot be read: {error.strerror or error}", file=sys.stderr)  # noqa: T201
        return FAULTS
    configure("warning", "text")
    return trio.run(partial(_answer, Pipeline.from_blueprint(drawn[0]), body, verb, shown))


async def _answer(pipeline: Pipeline, body: bytes, verb: Verb, shown: Display) -> int:
    pipeline.observers.append(_print_timings)
    service = Service(Repository([pipeline]), ready="all", name=NAME, version=VERSION)

    async def read_body() -> bytes:
        return body

    async with AsyncExitStack() as stack:
        try:
            await _opened(pipeline, stack, shown)
        except Exception as error:  # noqa: BLE001  # a model that does not load; its own reason is what the user needs
            print(f'model "{pipeline.name}" cannot be loaded: {text_of(error)}', file=sys.stderr)  # noqa: T201
            return _FAILED
        reply = await handle(service, "POST", _path(pipeline.name, body, verb), {}, read_body)
        # What is no JSON goes out as it is, to the last byte.
        end = b"\n" if is_json(media_of(reply.headers)) and reply.headers.get("content-type") else b""
        sys.stdout.buffer.write(b"".join((*reply.body, end)))
        # Detached steps may take longer than anybody waits for an answer.
        sys.stdout.flush()
    return 0 if reply.status == _OK else _FAILED


async def _opened(pipeline: Pipeline, stack: AsyncExitStack, shown: Display) -> None:
    try:
        await stack.enter_async_context(pipeline)
    finally:
        shown.rest()


def _path(model: str, body: bytes, verb: Verb) -> str:
    """Where the protocol asks that the request is written in; one that is in none is left for the first to refuse."""
    try:
        description = written_in(parse(body))
    except InferError:
        description = None
    asking = (own for own in descriptions().values() if any(route.verb for route in own.CODEC.ROUTES))
    return path_of(description or next(asking), model, verb)


def _print_timings(event: Event) -> None:
    match event:
        case RequestDone(spans=spans, calls=calls):
            timings = [(span.step, span.end - span.start) for span in spans]
            timings += [(f"  {own.called} ×{own.count} for {own.step}", own.seconds) for own in calls]
            timings.append(("total", event.seconds))
            width = max(len(what) for what, _ in timings)
            for what, seconds in timings:
                print(f"{what:{width}}  {seconds * 1e3:10.3f} ms", file=sys.stderr)  # noqa: T201
        case DetachedDone(step=step, seconds=seconds, error=None):
            print(f"{step} (detached)  {seconds * 1e3:.3f} ms", file=sys.stderr)  # noqa: T201
        case DetachedDone():
            observer(event)

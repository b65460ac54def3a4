"""Whether a transformer's predictor is ready, where its settings say that the transformer counts on that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pipeline.errors import InferError
from pipeline.model import Model
from pipeline.steps.predictor import Server, server_of
from pipeline.steps.readiness import Watched, watched
from pipeline.steps.secrets import secrets_of
from pipeline.steps.upstream import unready
from pipeline.tensors.message import AskModelReady, ModelReady


@asynccontextmanager
async def predictor_watched(model: Model) -> AsyncIterator[Watched | None]:
    """What is known of the predictor, asked again and again until the context ends; None where it does not count.

    Raises ValueError for a host or a protocol that is none. Cancelled, its connection is closed.
    """
    config = model.predictor_config
    server = server_of(model, "predict") if config is not None and config.predictor_health_check else None
    if server is None:
        yield None
        return

    async def ask() -> str | None:
        return await _why_not_ready(server, model.name)

    async with server.peer, watched(ask) as known:
        yield known


async def _why_not_ready(server: Server, name: str) -> str | None:
    """The reason, with the URL; None where the model is ready. Cancelled, the connection is closed."""
    command = AskModelReady(name)
    call = server.codec.encode_request(command, server.codec.preferring(False))
    try:
        result = server.codec.decode_reply(await server.peer.exchange(call), command)
    except InferError as error:
        return unready(server.peer.url, call, error, secrets_of(server.peer.url, call.headers))
    return None if isinstance(result, ModelReady) and result.ready else f"{server.peer.url}{call.path} says no"

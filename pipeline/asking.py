"""What a caller in Python passes, as the request that is sent; pure. Raises InvalidInput that names the argument."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import InvalidInput
from pipeline.graph.units import seconds_of
from pipeline.tensors.given import mapping_of, value_of
from pipeline.tensors.message import Command, Infer, InferRequest
from pipeline.tensors.shown import quoted
from pipeline.tensors.signature import TensorSpec
from pipeline.tensors.tensor import Tensor
from pipeline.wire.codec import REQUEST_ID_HEADER, TIMEOUT_HEADER, is_request_id
from pipeline.wire.reply_headers import TOKEN

# RFC 9110, 5.1 and 5.5, but for bytes past ASCII, which every server reads in its own way.
_HEADER = re.compile(rf"{TOKEN}: [\t\x20-\x7e]*")
HEADER_NAME = f"^{TOKEN}$"
"""Matches the name of a header: ECMA-262, for a JSON Schema."""
# They describe the body and the connection (RFC 9110, 7.6.1), which are made here. Headers of a request that is passed
# on have them too, and would be wrong.
_OWN = frozenset(
    {"accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "keep-alive"}
    | {"inference-header-content-length", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)


def request_of(  # noqa: PLR0913  # as Pipeline.infer
    model: str,
    inputs: Mapping[str, Any],
    *,
    outputs: Sequence[str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    version: str | int = "",
    id: str | int | None = None,
) -> InferRequest:
    """The arguments of ``Client.infer`` as a request; one without an id has that of its header, or gets one."""
    model, version = named(model, version)
    headers = headers_of(headers)
    known_as = id_of(id, headers)
    # A protocol whose bodies have no place for it has it from the header, as has every line of the server's log.
    own = {REQUEST_ID_HEADER: known_as} if is_request_id(known_as) else {}
    return InferRequest(
        model=model,
        version=version,
        id=known_as,
        inputs={name: value_of(name, given) for name, given in mapping_of("inputs", inputs).items()},
        outputs=(outputs,) if isinstance(outputs, str) else tuple(outputs or ()),
        parameters=mapping_of("parameters", parameters or {}),
        headers={**headers, **own},
    )


def asked_in_process(  # noqa: PLR0913, PLR0917  # as Pipeline.infer
    model: str,
    version: str,
    specs: Mapping[str, TensorSpec],
    inputs: Mapping[str, Any],
    outputs: Sequence[str] | None,
    parameters: Mapping[str, Any] | None,
    headers: Mapping[str, str] | None,
    timeout: float | None,
    id: str | int | None,
) -> InferRequest:
    """The arguments of ``Pipeline.infer`` as a request; ``specs``: what is expected, by the name of the input."""
    sent = {name.lower(): str(text) for name, text in mapping_of("headers", headers or {}).items()}
    given = mapping_of("inputs", inputs)
    # A model that takes one input takes it under any name.
    alone = next(iter(specs.values())) if len(specs) == len(given) == 1 else None
    return InferRequest(
        model=model,
        inputs={name: value_of(name, own, specs.get(name, alone)) for name, own in given.items()},
        id=id_of(id, sent),
        version=version,
        outputs=(outputs,) if isinstance(outputs, str) else tuple(outputs or ()),
        parameters=mapping_of("parameters", parameters or {}),
        headers=sent,
        timeout=timeout,
    )


def id_of(id: str | int | None, headers: Mapping[str, str]) -> str:
    """The id of a request, as text: the caller's, else that of the header (names in lower case), else a new one."""
    return ("" if id is None else str(id)) or headers.get(REQUEST_ID_HEADER, "") or str(uuid.uuid4())


def budget_of(timeout: float | str) -> float:
    """Seconds, from a number of them or a duration with its unit."""
    try:
        return seconds_of(timeout)
    except ValueError as error:
        raise InvalidInput(f"timeout: {error}") from None


def named(model: str, version: str | int | None) -> tuple[str, str]:
    """Model and version as they stand in a path; a name that would make it another path is refused."""
    model, version = str(model), "" if version is None else str(version)
    if not model or not _is_segment(model):
        raise InvalidInput(f'a model is named by a text without "/", not {quoted(model)}')
    if not _is_segment(version):
        raise InvalidInput(f'a version is a number or a text without "/", not {quoted(version)}')
    return model, version


def _is_segment(name: str) -> bool:
    return "/" not in name and name not in (".", "..")


def size_of(command: Command) -> int:
    """Bytes that writing the command takes, at least."""
    match command:
        case Infer(request):
            return sum(value.array.nbytes for value in request.inputs.values() if isinstance(value, Tensor))
        case _:
            return 0


def headers_of(given: Mapping[str, str] | None) -> dict[str, str]:
    """In lower case, without those that are made here."""
    headers = {name.lower(): str(text).strip() for name, text in mapping_of("headers", given or {}).items()}
    for name, text in headers.items():
        if not _HEADER.fullmatch(f"{name}: {text}"):
            raise InvalidInput(f"header {quoted(name)}: its name is one word, its text printable ASCII in one line")
    return {name: text for name, text in headers.items() if name not in _OWN}


def unforwardable(name: str) -> str | None:
    """Why a header of that name, in lower case, cannot travel on with the request that it came with; None if it can."""
    if not _HEADER.fullmatch(f"{name}: "):
        return "the name of a header is one word, like x-user"
    if name == TIMEOUT_HEADER:
        return "the time that is left travels by itself"
    if name in ("host", "proxy-authorization") or name in _OWN:
        return "it is about one connection or one body, and each call has its own"
    return None

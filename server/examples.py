"""Requests to try a model with: those that its author keeps beside the graph, else made ones; in every protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import InferError, InvalidInput
from pipeline.pipeline import Pipeline
from pipeline.tensors.message import Infer, InferRequest, Verb
from pipeline.tensors.sample import sample
from pipeline.tensors.signature import check
from pipeline.tensors.tensor import Tensor
from pipeline.wire.codec import codecs, inferring
from pipeline.wire.json_tensors import parse
from pipeline.wire.openapi import Description
from pipeline.wire.written import request_in, written_in

# A larger request beside a graph is data, and no example to read.
_LARGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Example:
    """A request that an author wrote, read by the protocol that it is written in."""

    description: Description
    body: Any
    request: InferRequest


def beside(folder: Path) -> dict[Path, bytes]:
    """``request.json``, in any protocol, and one named after each: what authors keep beside their graph."""
    found: dict[Path, bytes] = {}
    for name in ["request.json", *(f"request-{protocol}.json" for protocol in inferring(codecs()))]:
        file = folder / name
        try:
            if not file.is_file():
                continue
            with file.open("rb") as opened:
                text = opened.read(_LARGEST + 1)
        except OSError:
            continue
        if len(text) <= _LARGEST:
            found[file] = text
    return found


def requests_to(model: Pipeline, bodies: Iterable[bytes]) -> Iterator[Example]:
    """The bodies that are requests to the model; a folder may hold several graphs beside one request."""
    for text in bodies:
        try:
            body = parse(text)
            description = written_in(body)
            request = _decoded(description, model, text) if description else None
        except InferError:
            continue
        if description is not None and request is not None:
            yield Example(description, body, request)


def path_of(description: Description, model: str, verb: Verb) -> str:
    """Where that protocol asks a model for a verb."""
    return description.CODEC.encode_request(Infer(InferRequest(model=model, inputs={}), verb), None).path


def example(description: Description, model: Pipeline, verb: Verb, written: Sequence[Example]) -> Any:
    """The author's own request, else the same values from another protocol's, else zeros; None where none can be said.

    JSON that is no tensor means what it does in its own protocol only; so do parameters.
    """
    for own in written:
        if own.description is description:
            return own.body
    asked = [own.request for own in written if all(isinstance(value, Tensor) for value in own.request.inputs.values())]
    made = sample(model.expectation)
    if made is not None:
        asked.append(InferRequest(model=model.name, inputs=made))
    for request in asked:
        told = InferRequest(model=model.name, inputs=request.inputs)
        try:
            return parse(description.CODEC.encode_request(Infer(told, verb), None).body)
        except InvalidInput:
            continue
    return None


def _decoded(description: Description, model: Pipeline, text: bytes) -> InferRequest | None:
    """Raises InferError for a body that is none of a request to this model."""
    request = request_in(description, text, model.name, model.version, model.expectation)
    if request is None:
        return None
    inputs, names = request.inputs, model.expectation.names
    if check(model.blueprint.spec.inputs, inputs, "input") is not None:
        return None
    return None if names and not inputs.keys() <= set(names) else request

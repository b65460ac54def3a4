"""Requests that people write into files: which protocol they are written in, and what they say in it."""

from __future__ import annotations

from typing import Any

from pipeline.tensors.message import Infer, InferRequest
from pipeline.tensors.signature import Expectation
from pipeline.wire.codec import Call
from pipeline.wire.openapi import Description, descriptions


def written_in(body: Any) -> Description | None:
    """The protocol of which that JSON value is an inference request."""
    return next((own for own in descriptions().values() if own.is_written_in(body)), None)


def request_in(
    description: Description, text: bytes, model: str, version: str, expectation: Expectation
) -> InferRequest | None:
    """The request to predict that these bytes are in that protocol; None where it has another command for them.

    Raises InferError for a body that is none of a request to this model.
    """
    codec = description.CODEC
    route = next(route for route in codec.ROUTES if route.verb == "predict")
    command, _ = codec.decode(Call("POST", "", body=text), route, model, version, expectation)
    return command.request if isinstance(command, Infer) else None

"""What goes out as it is: bytes, or a stream of them. As an answer it stands by itself; no protocol carries it in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pipeline.errors import InvalidInput, WrongAnswer
from pipeline.tensors.shown import quoted
from pipeline.tensors.tensor import Raw, Said, Value
from pipeline.wire.codec import Reply
from pipeline.wire.reply_headers import BODY, with_added


def raw_answer(outputs: Mapping[str, Value]) -> Raw | None:
    """The one output that goes out as it is; None where there is something to be said."""
    if len(outputs) == 1:
        (only,) = outputs.values()
        if isinstance(only, Raw):
            return only
    return None


def raw_reply(raw: Raw, added: Mapping[str, str]) -> Reply:
    """The reply as it is; what it is of, the headers say that its model adds."""
    headers = with_added({}, added, BODY)
    match raw.data:
        case bytes() as data:
            return Reply(200, headers, (data,))
        case stream:
            return Reply(200, headers, stream=stream)


def said_outputs(outputs: Mapping[str, Value]) -> Mapping[str, Said]:
    """Raises WrongAnswer naming the one that would go out as it is, had it no others beside it."""
    if raw := _raw_in(outputs):
        name, what = raw
        raise WrongAnswer(f"output {quoted(name)} is {what}, which goes out by itself, and there are {len(outputs)}")
    return cast("Mapping[str, Said]", outputs)


def said_inputs(inputs: Mapping[str, Value]) -> Mapping[str, Said]:
    """Raises InvalidInput naming the one that no protocol carries."""
    if raw := _raw_in(inputs):
        name, what = raw
        raise InvalidInput(f"input {quoted(name)} is {what}, which no protocol carries; send the bytes as an array")
    return cast("Mapping[str, Said]", inputs)


def _raw_in(values: Mapping[str, Value]) -> tuple[str, str] | None:
    for name, value in values.items():
        if isinstance(value, Raw):
            return name, value.describe()
    return None

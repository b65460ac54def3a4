"""What goes out as it is: bytes, or a stream of them. As an answer it stands by itself; no protocol carries it in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pipeline.errors import InvalidInput, WrongAnswer
from pipeline.tensors.shown import quoted
from pipeline.tensors.tensor import Json, Raw, Said, Tensor, Value
from pipeline.wire.codec import Reply
from pipeline.wire.reply_headers import BODY, with_added


def raw_or_said(outputs: Mapping[str, Value]) -> Raw | Mapping[str, Said]:
    """The one output that goes out as it is, or all of them where they are to be said.

    Raises WrongAnswer naming one that would go out as it is, had it no others beside it.
    """
    for name, value in outputs.items():
        match value:
            case Tensor() | Json():
                continue
            case Raw() if len(outputs) == 1:
                return value
            case Raw():
                reason = f"is {value.describe()}, which goes out by itself, and there are {len(outputs)}"
                raise WrongAnswer(f"output {quoted(name)} {reason}")
    return cast("Mapping[str, Said]", outputs)


def raw_reply(raw: Raw, added: Mapping[str, str]) -> Reply:
    """The reply as it is; what it is of, the headers say that its model adds."""
    headers = with_added({}, added, BODY)
    match raw.data:
        case bytes() as data:
            return Reply(200, headers, (data,))
        case stream:
            return Reply(200, headers, stream=stream)


def said_inputs(inputs: Mapping[str, Value]) -> Mapping[str, Said]:
    """Raises InvalidInput naming the one that no protocol carries."""
    for name, value in inputs.items():
        if isinstance(value, Raw):
            reason = f"is {value.describe()}, which no protocol carries; send the bytes as an array"
            raise InvalidInput(f"input {quoted(name)} {reason}")
    return cast("Mapping[str, Said]", inputs)

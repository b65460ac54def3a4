"""What goes out as it is: bytes, or a stream of them. As an answer it stands by itself; no protocol carries it in."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.errors import InvalidInput, WrongAnswer
from pipeline.tensors.shown import quoted
from pipeline.tensors.tensor import Raw, Said, Value
from pipeline.wire.codec import Reply
from pipeline.wire.reply_headers import BODY, with_added


def raw_answer(outputs: Mapping[str, Value]) -> Raw | None:
    """The one output that goes out as it is; None where there is something to be said."""
    match list(outputs.values()):
        case [Raw() as only]:
            return only
        case _:
            return None


def raw_reply(raw: Raw, added: Mapping[str, str]) -> Reply:
    """The reply as it is; what it is of, the headers say that its model adds."""
    headers = with_added({}, added, BODY)
    match raw.data:
        case bytes() as data:
            return Reply(200, headers, (data,))
        case stream:
            return Reply(200, headers, stream=stream)


def said_outputs(outputs: Mapping[str, Value]) -> dict[str, Said]:
    """Raises WrongAnswer naming the one that would go out as it is, had it no others beside it."""
    if raw := _raw_in(outputs):
        name, what = raw
        raise WrongAnswer(f"output {quoted(name)} is {what}, which goes out by itself, and there are {len(outputs)}")
    return {name: value for name, value in outputs.items() if not isinstance(value, Raw)}


def said_inputs(inputs: Mapping[str, Value]) -> dict[str, Said]:
    """Raises InvalidInput naming the one that no protocol carries."""
    if raw := _raw_in(inputs):
        name, what = raw
        raise InvalidInput(f"input {quoted(name)} is {what}, which no protocol carries; send the bytes as an array")
    return {name: value for name, value in inputs.items() if not isinstance(value, Raw)}


def _raw_in(values: Mapping[str, Value]) -> tuple[str, str] | None:
    return next(((name, value.describe()) for name, value in values.items() if isinstance(value, Raw)), None)

"""An answer that comes in parts: what a step yields, watched until it ends or is closed.

The parts are made while the request lasts: its place, its deadline and its cancellation hold until the last of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec

from pipeline.engine.failure import code_of
from pipeline.engine.place import stopped
from pipeline.errors import Code, WrongAnswer
from pipeline.tensors.message import InferResponse
from pipeline.tensors.tensor import Raw, Value

Parts = AsyncIterator[bytes | str]
Ended = Callable[[Code | None], None]
"""Is told once how it ended: None where every part was taken, CANCELLED where nobody took the rest."""


class Stream:
    """The parts of one answer, each as bytes. Whoever iterates closes it, however far that went."""

    def __init__(self, step: str, parts: Parts, ended: Ended) -> None:
        self._step = step
        self._parts = parts
        self._ended: Ended | None = ended
        self._code: Code | None = Code.CANCELLED

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        """Raises what the step raises, WrongAnswer for a part that is neither. Cancelled, so is the step."""
        try:
            return self._bytes(await anext(self._parts))
        except StopAsyncIteration:
            self._code = None
            raise
        except BaseException as error:  # noqa: BLE001  # judged, and raised
            raise self._failed(error)  # noqa: B904

    async def aclose(self) -> None:
        """Ends the step's own code; what that raises then is raised. Cancelled, its clean-up is cancelled too."""
        try:
            if (close := getattr(self._parts, "aclose", None)) is not None:
                await close()
        except BaseException as error:  # noqa: BLE001  # judged, and raised
            raise self._failed(error)  # noqa: B904
        finally:
            ended, self._ended = self._ended, None
            if ended is not None:
                ended(self._code)

    def _bytes(self, part: Any) -> bytes:
        match part:
            case bytes():
                return part
            case str():
                return part.encode()
            case bytearray() | memoryview():
                return bytes(part)
            case _:
                told = f'step "{self._step}" streams a {type(part).__name__}; a part of an answer is bytes or text'
                raise WrongAnswer(told)

    def _failed(self, error: BaseException) -> BaseException:
        judged = stopped(error, self._step)
        self._code = code_of(judged)
        return judged


def parts_of(outputs: Mapping[str, Value]) -> tuple[str, Parts] | None:
    """The name and the parts of the stream that they are. Raises WrongAnswer where it is not the only output."""
    for name, value in outputs.items():
        if type(value) is Raw and not isinstance(value.data, bytes):
            if len(outputs) > 1:
                others = f"and there are {len(outputs)}"
                raise WrongAnswer(f'output "{name}" is a stream, which is an answer by itself, {others}')
            return name, value.data
    return None


def watched(name: str, parts: Parts, ended: Ended) -> Mapping[str, Value]:
    """The stream as an output, watched."""
    return {name: Raw(Stream(name, aiter(parts), ended))}


def stream_of(response: InferResponse) -> Stream | None:
    """The stream that the response is, for whoever has it to close; None where it is whole."""
    for value in response.outputs.values():
        if isinstance(value, Raw) and isinstance(value.data, Stream):
            return value.data
    return None


async def whole(response: InferResponse) -> InferResponse:
    """The response, with the bytes of all its parts where it is a stream. Cancelled, that is closed."""
    stream = stream_of(response)
    if stream is None:
        return response
    async with aclosing(stream):
        data = b"".join([part async for part in stream])
    return msgspec.structs.replace(response, outputs=dict.fromkeys(response.outputs, Raw(data)))

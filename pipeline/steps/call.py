"""``call``: another server, asked over HTTP in the protocol that its URL names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from pipeline.asking import size_of
from pipeline.engine.blame import Blame
from pipeline.engine.step import Context
from pipeline.errors import InferError, InvalidInput
from pipeline.graph.interface import Interface, Parameter
from pipeline.graph.source import Fault
from pipeline.graph.spec import StepSpec
from pipeline.steps.catalog import Call, Home
from pipeline.steps.forwarding import travelling
from pipeline.steps.meanwhile import meanwhile
from pipeline.steps.readiness import watched
from pipeline.steps.remote import Remote, remote_of, words
from pipeline.steps.secrets import secrets_of
from pipeline.steps.upstream import INPUT_REFUSED, called_by, lost, refused, refused_step, unreadable, unready
from pipeline.tensors.forms import Bound, Form
from pipeline.tensors.forms import describe as described
from pipeline.tensors.message import (
    AskModel,
    AskModelReady,
    Infer,
    InferRequest,
    InferResponse,
    ModelMetadata,
    ModelReady,
)
from pipeline.tensors.nested import tensor_of
from pipeline.tensors.signature import Signature
from pipeline.tensors.tensor import Json, Raw, Tensor, Value
from pipeline.threads import in_thread_if_large
from pipeline.wire import codec as wire
from pipeline.wire.statuses import body_of

if TYPE_CHECKING:
    from pipeline.exchange import Peer

KEYS = {"call": ("params", "forward", "ready")}


def schema() -> Mapping[str, Any]:
    """The JSON Schema of each word, for editors."""
    return words()


def describe(step: StepSpec, home: Home, faults: list[Fault]) -> Interface:
    """A call takes what it gets and gives what its server answers. Nobody is asked."""
    remote = remote_of(step, home, faults)
    if step.where == "asyncio":
        message = f'step "{step.name}": place: asyncio is for code of your own, and a call is ours; leave it out'
        faults.append(Fault(step.at("place"), message))
    # Where JSON is what travels, a request whose values form no tensor goes on as it came.
    takes_json = remote is not None and remote.asked.codec.UNNAMED
    parameters = (Parameter("instances", Form.LIST, required=False),) if takes_json else ()
    return Interface(parameters, gives=None, blocking=False, limit=None, takes_rest=True)


@asynccontextmanager
async def open_step(step: StepSpec, home: Home) -> AsyncIterator[Call]:
    """The step, its connections kept from call to call, idle ones 4 s; with ``ready`` its server is watched meanwhile.

    Raises ValueError for faults and for certificates that cannot be used, naming the file. Cancelled, every connection
    is closed.
    """
    remote = _remote(step, home)
    # The step's limit bounds its calls, and without one that of the graph does. A probe waits for none of them.
    connections = None if step.limit is None else step.limit + 1
    async with remote.peer(connections) as peer, meanwhile(peer.close_idle):
        asking = _Asking(step, remote, peer)
        if not remote.ready:
            yield Call(asking.call, blocking=False, where=remote.where)
            return
        async with watched(asking.why_not_ready) as readiness:
            yield Call(asking.call, blocking=False, readiness=readiness, where=remote.where)


async def learn(step: StepSpec, home: Home) -> Signature | None:
    """What the server tells of the model, None where its protocol has no word for that.

    Raises InferError where it cannot be asked, ValueError as ``open_step``. Cancelled, its connection is closed.
    """
    remote = _remote(step, home)
    asked = remote.asked
    if not any(route.asks is AskModel for route in asked.codec.ROUTES):
        return None
    command = AskModel(asked.model, asked.version)
    async with remote.peer(1) as peer:
        reply = await peer.exchange(asked.codec.encode_request(command, None))
    result = asked.codec.decode_reply(reply, command)
    return result.signature if isinstance(result, ModelMetadata) else None


def _remote(step: StepSpec, home: Home) -> Remote:
    faults: list[Fault] = []
    remote = remote_of(step, home, faults)
    if remote is None or faults:
        raise ValueError(faults[0].message)
    return remote


class _Asking:
    """One step's calls."""

    def __init__(self, step: StepSpec, remote: Remote, peer: Peer) -> None:
        self._name = step.name
        self._blame = Blame(step)
        self._remote = remote
        self._asked = remote.asked
        self._codec = remote.asked.codec
        self._options = self._codec.preferring(remote.binary)
        self._peer = peer

    async def call(self, inputs: Mapping[str, Bound], context: Context) -> Mapping[str, Value]:
        """What the server answers, by name. Raises InferError by blame, in words that name the step and no URL.

        Cancelled, the connection is closed at once, by which the server knows that nobody waits any more.
        """
        values = {name: self._value(name, given, context) for name, given in inputs.items()}
        request = self._request(values, context)
        command = Infer(request, self._asked.verb)
        call = await in_thread_if_large(size_of(command), lambda: self._written(command, context))
        try:
            reply = await self._peer.exchange(call)
        except InferError as error:
            raise lost(called_by(self._name), error, self._secrets(call)) from None
        if reply.status >= 400:
            refusal = refused(called_by(self._name), self._peer.url, call, reply, command, self._secrets(call))
            if reply.status in INPUT_REFUSED and self._blame.made_by_caller(inputs, context):
                refusal = refused_step(str(context.caller), refusal)
            raise refusal
        try:
            return await in_thread_if_large(sum(map(len, reply.body)), lambda: self._read(reply, command))
        except InferError as error:
            raise unreadable(called_by(self._name), error, self._peer.url, call, reply, self._secrets(call)) from None

    def _read(self, reply: wire.Reply, command: Infer) -> Mapping[str, Value]:
        if self._remote.as_json:
            return {self._name: Json(body_of(reply, command))}
        result = self._codec.decode_reply(reply, command)
        if not isinstance(result, InferResponse):
            raise AssertionError(f"a request was answered with a {type(result).__name__}")
        match list(result.outputs.items()):
            case [(name, Json(body, reason))] if name in self._codec.UNNAMED:
                return {self._name: Json(body, f'the answer of step "{self._name}" is no tensor: {reason}')}
            case [(name, only)] if name in self._codec.UNNAMED:
                return {self._name: only}
        return result.outputs

    def _secrets(self, call: wire.Call) -> Collection[str]:
        return secrets_of(self._remote.base, call.headers)

    async def why_not_ready(self) -> str | None:
        """The reason, with the URL; None where the model is ready. Cancelled, the connection is closed."""
        command = AskModelReady(self._asked.model, self._asked.version)
        call = self._codec.encode_request(command, self._options)
        try:
            result = self._codec.decode_reply(await self._peer.exchange(call), command)
        except InferError as error:
            return unready(self._peer.url, call, error, self._secrets(call))
        return None if isinstance(result, ModelReady) and result.ready else f"{self._peer.url}{call.path} says no"

    def _request(self, values: Mapping[str, Value], context: Context) -> InferRequest:
        return InferRequest(
            model=self._asked.model,
            version=self._asked.version,
            inputs=values,
            id=context.id,
            parameters=self._parameters(values, context),
            headers=travelling(self._name, self._remote.forward, context.headers, context.id),
        )

    def _parameters(self, values: Mapping[str, Value], context: Context) -> Mapping[str, Any]:
        """Those of the caller's request that travel. A body that a step made itself is all that it wants to say."""
        match list(values.values()):
            case [Json(dict())] if self._codec.UNNAMED:
                return {}
        return self._codec.travelling(context.parameters)

    def _value(self, name: str, given: Bound, context: Context) -> Value:
        match given:
            case Json(bool() | int() | float() | str() as scalar):
                # A header, a parameter, a number that a step returned: as a tensor it has a datatype everywhere.
                return tensor_of([scalar])
            case Tensor() | Json():
                return given
            case Raw():
                reason = f"is {given.describe()}, which no other server is sent"
                raise self._blame.misfit(name, given, context, reason)
            case several:
                reason = f"is one tensor, and it got {described(several)}; say which one, as step.tensor"
                raise self._blame.misfit(name, several, context, reason)

    def _written(self, command: Infer, context: Context) -> wire.Call:
        """The call. Raises by blame where the protocol cannot carry an input: an infinity, in JSON."""
        try:
            return self._codec.encode_request(command, self._options)
        except InvalidInput as error:
            name = next(filter(lambda name: self._refuses(command, name), command.request.inputs), None)
            reason = f'cannot be sent on by step "{self._name}": {error.message}'
            if name is None:  # what is left are the request's own parameters
                raise InvalidInput(f"the request {reason}") from None
            raise self._blame.misfit(name, command.request.inputs.get(name), context, reason) from None

    def _refuses(self, command: Infer, name: str) -> bool:
        one = InferRequest(model=command.request.model, inputs={name: command.request.inputs[name]})
        try:
            self._codec.encode_request(Infer(one, command.verb), self._options)
        except InvalidInput:
            return True
        return False

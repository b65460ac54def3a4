"""``Model``: the class that people know from KServe. Its hooks answer one request after the other.

class Iris(Model):
    def predict(self, payload, headers=None):
        return {"predictions": self.tree.predict(payload["instances"])}

How it sees requests and says answers is its dialect; where its hooks run is for ``steps/models.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from pipeline.engine.step import Answering
from pipeline.errors import InvalidInput
from pipeline.hooks import Headers, Hook, Manner, hook_of, hops_of, manner_of
from pipeline.predictor_config import PredictorConfig
from pipeline.tensors.answer import values_of
from pipeline.tensors.message import InferRequest, InferResponse, Verb
from pipeline.tensors.own import copied
from pipeline.tensors.tensor import Json, Raw, Tensor, Value
from pipeline.wire.codec import LISTS

_NO_EXPLAINER = "Could not find explainer_host."


class Dialect(Protocol):
    """How the models of one API see requests and say answers. ``place``: where their async hooks run."""

    place: Literal["loop", "asyncio"]

    def payload(self, request: InferRequest, /) -> Any:
        """What the first hook is given: any JSON or bytes where the request is plain, else that API's own request."""
        ...

    def answer(self, result: Any, request: InferRequest, answering: Answering, /) -> Mapping[str, Value] | Value:
        """What the hooks made of it, as values; one by itself is named by who asks. Never an iterator: those are sent.

        What else the reply has goes into ``answering``. Raises WrongAnswer where it is no answer.
        """
        ...

    def asked(self, payload: Any, /) -> InferRequest | None:
        """That API's own request, which a model passes on to its predictor; None where it is JSON, and sent as it is.

        Model, id and headers are filled in by who sends it.
        """
        ...

    def in_binary(self, payload: Any, /) -> bool:
        """Whether the tensors of such a request travel as raw bytes, both ways, where the protocol has them."""
        ...

    def answered(self, response: InferResponse, /) -> Any:
        """What a predictor answered to such a request, as that API's hooks see it."""
        ...


class Upstream(Protocol):
    """Who asks other servers for a model while it is open."""

    async def __call__(
        self, verb: Verb, payload: Any, headers: Mapping[str, str], response_headers: Headers | None, /
    ) -> Any:
        """What the server for that verb answers. Raises InferError by blame. Cancelled, the connection is closed."""
        ...


class Native:
    """The dialect of this project: JSON as it was sent, else our ``InferRequest``; async hooks on trio."""

    place: Literal["loop", "asyncio"] = "loop"

    def payload(self, request: InferRequest, /) -> Any:
        return request.body if request.plain else request

    def answer(self, result: Any, request: InferRequest, answering: Answering, /) -> Mapping[str, Value] | Value:
        match result:
            case InferResponse():
                answering.id = result.id
                answering.parameters |= copied(result.parameters)
                answering.headers |= result.headers
                answering.output_parameters |= copied(result.output_parameters)
                return values_of(request.model, result)
            case Tensor() | Json() | Raw():
                return result
            case bytes() | bytearray() | memoryview():
                return Raw(bytes(result))
            case str():
                return Raw(result.encode())
            case dict() | list() | tuple() | bool() | int() | float() | np.generic():
                return Json(result)
            case _:
                found = values_of(request.model, result)
                return found[request.model] if isinstance(result, np.ndarray) else found

    def asked(self, payload: Any, /) -> InferRequest | None:
        return payload if isinstance(payload, InferRequest) else None

    def in_binary(self, payload: Any, /) -> bool:
        return True

    def answered(self, response: InferResponse, /) -> Any:
        return response


class Model:
    """A model, a transformer or an explainer, with KServe's hooks; each may be ``def`` or ``async def``.

    ``preprocess(payload, headers)``, then ``predict(payload, headers)`` or ``explain(payload, headers)``, then
    ``postprocess(result, headers)``; a hook may take fewer of them. ``headers`` is a dict of the request's own, with
    names in lower case. With ``return_response_headers`` predict and postprocess get a third dict, of what the reply's
    headers are to be. ``predict`` may return an iterator, or be a generator, of bytes or text: it is streamed.

    One that has a ``predictor_host`` and no ``predict`` of its own is a transformer: that server is asked.
    Under KServe nothing runs beside a synchronous hook, so here one of them runs at a time, in a thread; several at
    once where the graph gives the step a ``limit``.
    """

    dialect: ClassVar[Dialect] = Native()
    explains: ClassVar[Any] = "explain"
    """What a ``__call__`` of the author's own is given as the verb of an explanation."""

    name: str = ""
    ready: bool = False
    engine: bool = False
    explainer_host: str | None = None
    predictor_host: str | None = None
    predictor_protocol: str = PredictorConfig.predictor_protocol
    predictor_use_ssl: bool = PredictorConfig.predictor_use_ssl
    predictor_request_timeout_seconds: float = PredictorConfig.predictor_request_timeout_seconds
    predictor_request_retries: int = PredictorConfig.predictor_request_retries
    predictor_health_check: bool = PredictorConfig.predictor_health_check
    predictor_ca: str | None = None
    """A file, or folder, of the authorities that are trusted of its servers, in the place of the system's."""
    predictor: PredictorConfig | None = None
    """What a server was told of a predictor, for models that name none themselves."""
    required_response_headers: bool = False
    forwards: Sequence[str] = ()
    """Headers of the request that go on to its predictor, in lower case, beside its id and the trace context."""
    upstreams: tuple[Upstream, ...] = ()
    """Who asks other servers for it: the steps that hold it open."""

    def __init__(
        self,
        name: str,
        return_response_headers: bool = False,
        *,
        predictor_host: str | None = None,
        predictor_protocol: str | None = None,
        predictor_use_ssl: bool | None = None,
        explainer_host: str | None = None,
    ) -> None:
        self.name = name
        self.ready = False
        self.engine = False
        self.required_response_headers = return_response_headers
        # What is not given is what the class says.
        given = {
            "predictor_host": predictor_host,
            "predictor_protocol": predictor_protocol,
            "predictor_use_ssl": predictor_use_ssl,
            "explainer_host": explainer_host,
        }
        for attribute, value in given.items():
            if value is not None:
                setattr(self, attribute, value)

    # ---- its life

    async def healthy(self) -> bool:
        """Whether it takes requests. Your own is asked before each, and by probes; cancelled, it has said nothing."""
        return self.ready

    def load(self) -> bool:
        """Loads what the model needs, and says that it is ready. False, or an exception: it is not served."""
        self.ready = True
        return self.ready

    def start(self) -> None:
        """Called once it is loaded, before the first request."""
        self.ready = True

    async def start_engine(self) -> None:
        """Runs beside the requests where ``engine`` is true, and is cancelled once the last one is answered."""
        self.ready = True

    def stop(self) -> None:
        """Called after the last request."""
        self.ready = False

    def stop_engine(self) -> None:
        self.ready = False

    # ---- what it tells of itself

    def get_input_types(self) -> list[dict[str, Any]]:
        """``[{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]``, for the model's metadata."""
        return []

    def get_output_types(self) -> list[dict[str, Any]]:
        """As ``get_input_types``."""
        return []

    @property
    def predictor_config(self) -> PredictorConfig | None:
        """The server that it asks where it has no ``predict`` of its own."""
        return PredictorConfig.of(self) if self.predictor_host or self.predictor is None else self.predictor

    # ---- what it does

    async def __call__(
        self, body: Any, headers: Mapping[str, str] | None = None, verb: Any = "predict"
    ) -> tuple[Any, Headers]:
        """(what the hooks make of the body, the headers that they want in the reply): all of them, right here.

        Cancelled, the hook that runs is cancelled.
        """
        value, own, said = body, headers if isinstance(headers, dict) else dict(headers or {}), Headers()
        for hop in hops_of(hooks_of(self, verb_of(verb))):
            value = await hop.awaited(value, own, said)
        return value, said

    async def preprocess(self, payload: Any, headers: Any = None) -> Any:
        """What ``predict`` gets of the payload: JSON as it was sent, bytes where it is none, or an InferRequest."""
        return payload

    def validate(self, payload: Any) -> Any:
        """Refuses what ``preprocess`` made where the predictor's protocol has no place for it, and returns it."""
        config = self.predictor_config
        key = None if config is None else LISTS.get(config.predictor_protocol)
        if isinstance(payload, dict) and key in payload and not isinstance(payload[key], list):
            raise InvalidInput(f'Expected "{key}" to be a list')
        return payload

    async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        """The answer; by default the predictor's, with its headers. Cancelled, the connection to that is closed."""
        config = self.predictor_config
        if config is None:
            raise NotImplementedError("Could not find PredictorConfig.")
        if not config.predictor_host:
            raise NotImplementedError("Could not find predictor_host.")
        return await self._upstream("predict", payload, headers or {}, response_headers)

    async def explain(self, payload: Any, headers: Any = None) -> Any:
        """The explanation; by default that of the server at ``explainer_host``. Cancelled, as ``predict``."""
        if not self.explainer_host:
            raise NotImplementedError(_NO_EXPLAINER)
        return await self._upstream("explain", payload, headers or {}, None)

    async def postprocess(self, result: Any, headers: Any = None, response_headers: Any = None) -> Any:
        """The reply of what ``predict``, or ``explain``, gave."""
        return result

    @property
    def _upstream(self) -> Upstream:
        if not self.upstreams:
            raise RuntimeError(f'model "{self.name}" asks other servers while it is open: as a step of a Pipeline')
        return self.upstreams[-1]


@contextmanager
def asking(model: Model, upstream: Upstream) -> Iterator[None]:
    """Within it the model asks other servers through that one; what is served under two names is open twice."""
    model.upstreams = (*model.upstreams, upstream)
    try:
        yield
    finally:
        model.upstreams = tuple(own for own in model.upstreams if own is not upstream)


def has_own(model: Model | type[Model], hook: str) -> bool:
    """Whether its author wrote that hook."""
    kind = model if isinstance(model, type) else type(model)
    own = not isinstance(model, type) and hook in vars(model)
    return own or getattr(kind, hook) is not getattr(Model, hook)


def hooks_of(model: Model, verb: Verb) -> Sequence[Hook]:
    """The hooks that answer, in order, without those that are there by default and do nothing.

    An author's own ``__call__`` is all there is.
    """
    if has_own(model, "__call__"):
        return [_whole(model, verb)]
    offered = 3 if model.required_response_headers else 2
    validate = hook_of(model.validate, offered=1)
    if not has_own(model, "validate"):
        validate = Hook(validate.call, manner_of(model.validate, is_quick=True))
    before = [hook_of(model.preprocess, offered=2, name="preprocess")] if has_own(model, "preprocess") else []
    after = [hook_of(model.postprocess, offered=offered, name="postprocess")] if has_own(model, "postprocess") else []
    main = _explain(model) if verb == "explain" else hook_of(model.predict, offered=offered, name="predict")
    return [*before, validate, main, *after]


def _explain(model: Model) -> Hook:
    """Where there is nobody to ask, a model whose own hooks are synchronous is one still."""

    def refuse(value: Any, headers: Headers, response_headers: Headers) -> Any:
        raise NotImplementedError(_NO_EXPLAINER)

    has_answer = has_own(model, "explain") or model.explainer_host
    return hook_of(model.explain, offered=2, name="explain") if has_answer else Hook(refuse, Manner.AT_ONCE)


def _whole(model: Model, verb: Verb) -> Hook:
    """Its own ``__call__``, which gives an answer, or (answer, response headers) as the one here does."""
    how = {} if verb == "predict" else {"verb": model.explains}
    manner = manner_of(model.__call__)

    def unpacked(result: Any, response_headers: Headers) -> Any:
        match result:
            case tuple([answer, dict() as said]):
                response_headers.update(said)
                return answer
        return result

    async def awaited(body: Any, headers: Headers, response_headers: Headers) -> Any:
        return unpacked(await model(body, headers=headers, **how), response_headers)

    def called(body: Any, headers: Headers, response_headers: Headers) -> Any:
        return unpacked(model(body, headers=headers, **how), response_headers)

    return Hook(awaited if manner is Manner.AWAITED else called, manner)


def verb_of(verb: Any) -> Verb:
    """A verb of ours from one of ours or from an enumeration's member of that name."""
    return "explain" if str(getattr(verb, "name", verb)).lower() == "explain" else "predict"

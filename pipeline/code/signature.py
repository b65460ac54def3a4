"""What a function asks for, read from its signature: one Parameter per tensor it takes, and the forms of the rest.

Annotations select the form; ``Annotated[np.ndarray, "FP32[n,4]"]`` declares datatype and dimensions too.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

import numpy as np

from pipeline.code.annotations import annotations_of, parameters_of, unaliased
from pipeline.engine.step import Context
from pipeline.graph.interface import Parameter
from pipeline.tensors.forms import Form
from pipeline.tensors.message import InferRequest
from pipeline.tensors.signature import TensorSpec, parse_spec

_EMPTY = inspect.Parameter.empty
_FORMS: dict[Any, Form] = {
    _EMPTY: Form.ANY,
    Any: Form.ANY,
    object: Form.ANY,
    np.ndarray: Form.ARRAY,
    list: Form.LIST,
    tuple: Form.LIST,
    collections.abc.Sequence: Form.LIST,
    collections.abc.Iterable: Form.LIST,
    dict: Form.DICT,
    collections.abc.Mapping: Form.DICT,
    int: Form.INT,
    float: Form.FLOAT,
    bool: Form.BOOL,
    str: Form.STR,
    bytes: Form.BYTES,
    InferRequest: Form.REQUEST,
    Context: Form.CONTEXT,
}
# What modules import for type checkers only, and name in a text.
_BY_NAME = {"ndarray": np.ndarray, "InferRequest": InferRequest, "Context": Context}


# What a parameter may be besides a tensor.
_NO_TENSOR = (Form.REQUEST, Form.CONTEXT, Form.HANDLE)


class BadSignature(Exception):
    """A function that no tensors can be bound to; the text names the parameter and the way out."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One parameter of the function, in its order. ``keyword``: it must be passed by name."""

    parameter: Parameter
    keyword: bool
    default: Any = None


@dataclass(frozen=True, slots=True)
class Signature:
    """``rest``: the function has ``**kwargs``, which takes every tensor that no parameter does."""

    arguments: tuple[Argument, ...]
    rest: bool
    returns: TensorSpec | None
    returns_one: bool
    """Whether the function is annotated to return exactly one tensor."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Those that tensors feed."""
        own = (argument.parameter for argument in self.arguments)
        return tuple(parameter for parameter in own if parameter.form not in _NO_TENSOR)

    @property
    def reads_request(self) -> bool:
        return any(argument.parameter.form is Form.REQUEST for argument in self.arguments)


def signature_of(
    function: Callable[..., Any],
    *,
    bound: frozenset[str] = frozenset(),
    handles: frozenset[str] = frozenset(),
    skip: int = 0,
) -> Signature:
    """The signature of a function; parameters in ``bound`` are fed already, the first ``skip`` are (``self``).

    Those named as one of ``handles`` get it, whatever their annotation. Raises BadSignature.
    """
    if isinstance(function, np.ufunc):
        # Newer numpy lists `out`, `where`, `dtype`, … too, which are no tensors of a request.
        return _positional(["x"] if function.nin == 1 else [f"x{number + 1}" for number in range(function.nin)])
    try:
        parameters = list(parameters_of(function).values())[skip:]
    except (TypeError, ValueError):
        # Functions written in C may tell nothing of themselves: one array in, one out.
        return _positional(["x"])
    if isinstance(function, functools.partial):
        bound |= frozenset(function.keywords)
    hints = annotations_of(function, _BY_NAME)
    arguments: list[Argument] = []
    rest = False
    for position, parameter in enumerate(parameters):
        match parameter.kind:
            case inspect.Parameter.VAR_KEYWORD:
                rest = True
            case inspect.Parameter.VAR_POSITIONAL:
                raise BadSignature(f"its parameter *{parameter.name} has no name to bind a tensor to; use **kwargs")
            case kind if parameter.name not in bound:
                annotation = hints.get(parameter.name, _EMPTY)
                form, spec = (Form.HANDLE, None) if parameter.name in handles else _form(parameter.name, annotation)
                needed = Parameter(parameter.name, form, spec, required=parameter.default is _EMPTY)
                keyword = kind is not inspect.Parameter.POSITIONAL_ONLY and len(arguments) < position
                keyword = keyword or kind is inspect.Parameter.KEYWORD_ONLY
                arguments.append(Argument(needed, keyword, parameter.default))
    returns = hints.get("return", _EMPTY)
    return Signature(tuple(arguments), rest, _spec(returns, "its result"), _is_one(returns))


def _positional(names: list[str]) -> Signature:
    arguments = tuple(Argument(Parameter(name), keyword=False) for name in names)
    return Signature(arguments, rest=False, returns=None, returns_one=False)


def _form(name: str, annotation: Any) -> tuple[Form, TensorSpec | None]:
    annotation = unaliased(_without_none(unaliased(annotation)))
    origin = get_origin(annotation)
    if origin is Annotated:
        form, _ = _form(name, get_args(annotation)[0])
        return form, _spec(annotation, f'its parameter "{name}"')
    plain = origin or annotation
    arguments = get_args(annotation)
    if plain is list and arguments == (str,):
        return Form.TEXTS, None
    if plain in (dict, collections.abc.Mapping) and len(arguments) == 2 and _is_array(arguments[1]):
        return Form.ARRAYS, None
    if _is_array(annotation):
        return Form.ARRAY, None
    if _is_frame(plain):
        return Form.FRAME, None
    if typing.is_typeddict(plain):
        return Form.DICT, None
    try:
        return _FORMS[plain], None
    except (KeyError, TypeError):
        forms = ", ".join(form.value for form in Form if form not in (Form.ANY, Form.HANDLE))
        hint = "; did you mean np.ndarray?" if annotation is np.array else f"; a tensor becomes {forms}"
        raise BadSignature(f'its parameter "{name}" has the type {_shown(annotation)}{hint}') from None


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [argument for argument in get_args(annotation) if argument is not types.NoneType]
        return inner[0] if len(inner) == 1 else Any
    return annotation


def _spec(annotation: Any, what: str) -> TensorSpec | None:
    annotation = unaliased(annotation)
    if get_origin(annotation) is not Annotated:
        return None
    texts = [extra for extra in get_args(annotation)[1:] if isinstance(extra, str) and "[" in extra]
    if not texts:
        return None
    try:
        return parse_spec(texts[0])
    except ValueError as error:
        raise BadSignature(f"{what} is annotated {texts[0]!r}: {error}") from None


def _is_array(annotation: Any) -> bool:
    annotation = unaliased(annotation)
    if get_origin(annotation) is Annotated:
        annotation = unaliased(get_args(annotation)[0])
    return annotation is np.ndarray or get_origin(annotation) is np.ndarray


def _is_frame(annotation: Any) -> bool:
    name = getattr(annotation, "__name__", "")
    return name == "DataFrame" and getattr(annotation, "__module__", "").partition(".")[0] == "pandas"


def _is_one(annotation: Any) -> bool:
    annotation = unaliased(annotation)
    if get_origin(annotation) is Annotated:
        return _is_one(get_args(annotation)[0])
    return _is_array(annotation) or annotation in (int, float, bool, str, bytes)


def _shown(annotation: Any) -> str:
    return getattr(annotation, "__name__", None) or str(annotation)


def gives(step: str, signature: Signature) -> dict[str, TensorSpec | None] | None:
    """The outputs that a function's annotation tells of: one tensor named as the step, or nothing known."""
    return {step: signature.returns} if signature.returns_one or signature.returns else None

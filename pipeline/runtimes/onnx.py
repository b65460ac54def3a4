"""ONNX models, by onnxruntime. What a file tells of itself is known to ``check`` without it."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import told
from pipeline.graph.words import listed
from pipeline.runtimes.catalog import CannotOpen, Misfit, Opened, Told, missing_extra
from pipeline.runtimes.feeding import fed, fitted, text
from pipeline.runtimes.onnx_file import DATATYPES
from pipeline.runtimes.onnx_file import tell as tell
from pipeline.runtimes.options import whole
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.forms import Bound
from pipeline.tensors.signature import TensorSpec
from pipeline.tensors.tensor import Json, Tensor, Value, frozen, tensor

SUFFIXES = (".onnx",)
PARAMS = ("providers", "intra_op_num_threads", "inter_op_num_threads")

# As onnxruntime writes types: "tensor(float)".
_TYPES = {
    "float": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7, "string": 8, "bool": 9,
    "float16": 10, "double": 11, "uint32": 12, "uint64": 13, "bfloat16": 16,
}  # fmt: skip
# Without being told: the one that computes everywhere, before it the one that people install a build of its own for.
_PREFERRED = ("CUDAExecutionProvider", "CPUExecutionProvider")
# Nothing: what it would write of an error it raises as well.
_FATAL = 4
# What it says where a node failed, where one of its own checks did, and how it names the place.
_RUNNING, _CHECKED = "while running", " was false. "
_PLACE = re.compile(r"^\S+:\d+ (?:(?:.*?\)|\w+) (?=[A-Z]))?")
_BUFFER = re.compile(r"requested buffer of size (\d+)")
# How much of onnxruntime's own words an error carries.
_SHOWN = 300


def open_model(path: Path, step: str, params: Mapping[str, Any], threads: int) -> Opened:
    """The model at ``path``; inputs and outputs under its own names.

    ``params``: ``providers`` (a list of names, or a map name → options), ``intra_op_num_threads``,
    ``inter_op_num_threads``. An output that is no tensor (a classifier's probabilities by class) is JSON.
    """
    try:
        import onnxruntime as ort  # noqa: PLC0415  # an extra
    except ImportError:
        raise missing_extra(path, "onnx", "onnxruntime") from None
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = whole(params, "intra_op_num_threads", threads)
    options.inter_op_num_threads = whole(params, "inter_op_num_threads", 1)
    # Threads that spin while they wait take the cores from other models, and from the loop.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers = _providers(params.get("providers"), ort.get_available_providers())
    written = tell(path)
    try:
        session = ort.InferenceSession(path, options, providers=providers)
    except Exception as error:  # its classes are made at run time, for each of its codes
        raise CannotOpen(f"{path} cannot be opened: {told(error)}") from error
    known = _told(session, written)
    odd = next((own for own in session.get_inputs() if _datatype(own.type) is None), None)
    if odd is not None:
        raise CannotOpen(f'{path.name} takes "{odd.name}" as {odd.type}, and no request has such a thing')
    model = _Model(ort, session, known, {own.name: own.type for own in session.get_inputs()})
    return Opened(model.predict, known.signature)


@dataclass(frozen=True, slots=True)
class _Model:
    """``types``: of its inputs, as onnxruntime writes them."""

    ort: Any
    session: Any
    known: Told
    types: Mapping[str, str]

    def predict(self, inputs: Mapping[str, Bound]) -> Mapping[str, Value]:
        found = fed(inputs, self.known.inputs)
        feed = {
            own: fitted(name, value, _datatype(self.types[own]) or Datatype.FP32, self.known.inputs[own])
            for own, (name, value) in found.items()
        }
        taken = {own: text(found[own][0], value) if value.datatype is Datatype.BYTES else value.array
                 for own, value in feed.items()}  # fmt: skip
        names = list(self.known.outputs)
        try:
            answers = self._ask(names, taken)
        except Exception as error:
            named = {own: name for own, (name, _) in found.items()}
            if (misfit := _refused(self.session, self.known.inputs, named, feed, error)) is None:
                raise
            raise misfit from error
        return {name: _value(answer) for name, answer in zip(names, answers, strict=True)}

    def _ask(self, names: list[str], feed: Mapping[str, np.ndarray[Any, Any]]) -> list[Any]:
        specs = {**self.known.inputs, **self.known.outputs}.values()
        if not any(spec is not None and spec.datatype is Datatype.BF16 for spec in specs):
            answers: list[Any] = self.session.run(names, feed)
            return answers
        # numpy has no such type, and onnxruntime's arrays are numpy's: its own values hold the bits.
        from_numpy = self.ort.OrtValue.ortvalue_from_numpy_with_onnx_type
        values = {name: from_numpy(np.asarray(array), _element(self.types[name])) for name, array in feed.items()}
        return [_unwrapped(value) for value in self.session.run_with_ort_values(names, values)]


def _providers(asked: Any, available: Sequence[str]) -> list[Any]:
    names: Mapping[str, Mapping[str, Any]]
    match asked:
        case None:
            return [name for name in _PREFERRED if name in available]
        case list() if all(isinstance(name, str) for name in asked):
            names = {name: {} for name in asked}
        case dict() if all(isinstance(own, dict | None) for own in asked.values()):
            names = {name: own or {} for name, own in asked.items()}
        case _:
            raise CannotOpen("providers is a list of names, or a map name → options")
    missing = [name for name in names if name not in available]
    if missing:
        raise CannotOpen(f"this onnxruntime has no {listed(missing)}; it has {listed(available)}")
    return list(names.items())


def _element(written: str) -> int:
    """The number of a tensor's type, 0 for what is no tensor."""
    kind, _, element = written.rstrip(")").partition("(")
    return _TYPES.get(element, 0) if kind == "tensor" else 0


def _datatype(written: str) -> Datatype | None:
    return DATATYPES.get(_element(written))


def _told(session: Any, file: Told | None) -> Told:
    """What the session knows, which has worked out shapes that the file does not tell; but tells no shape as ``[]``."""

    def specs(values: Any, written: Mapping[str, TensorSpec | None] | None) -> dict[str, TensorSpec | None]:
        found: dict[str, TensorSpec | None] = {}
        for own in values:
            datatype = _datatype(own.type)
            shapeless = not own.shape and written is not None and written.get(own.name) is None
            dims = tuple(dim if isinstance(dim, int) and dim >= 0 else -1 for dim in own.shape)
            found[own.name] = None if datatype is None or shapeless else TensorSpec(datatype, dims)
        return found

    inputs = specs(session.get_inputs(), file.inputs if file else None)
    return Told(inputs, specs(session.get_outputs(), file.outputs if file else None))


def _unwrapped(value: Any) -> Any:
    """The array of one of onnxruntime's values; that of a BF16 is a copy of its bits."""
    if value.data_type() != "tensor(bfloat16)":
        return value.numpy()
    raw = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return Tensor(Datatype.BF16, frozen(np.frombuffer(raw, Datatype.BF16.dtype).reshape(value.shape())))


def _value(answer: Any) -> Value:
    match answer:
        case Tensor():
            return answer
        case np.ndarray():
            return tensor(answer)
        case _:
            return Json(_json(answer))


def _json(answer: Any) -> Any:
    """A sequence, a map, nothing: what JSON has for it. Labels that are numbers become text, as JSON's keys are."""
    match answer:
        case dict():
            return {str(key): _json(own) for key, own in answer.items()}
        case list():
            return [_json(own) for own in answer]
        case np.ndarray():
            return answer.tolist()
        case _:
            return answer


def _refused(
    session: Any,
    known: Mapping[str, TensorSpec | None],
    names: Mapping[str, str],
    feed: Mapping[str, Tensor],
    error: Exception,
) -> Misfit | None:
    """Why the model refuses values, where it does: sizes that must be equal and are not, else onnxruntime's own words.

    None where the error is not about what it was given. ``names``: the model's name of an input → as which it came.
    """
    sizes: dict[str, tuple[int, str]] = {}
    for own in session.get_inputs():
        for size, dim in zip(feed[own.name].shape, own.shape, strict=False):
            first, where = sizes.setdefault(dim, (size, own.name)) if isinstance(dim, str) else (size, own.name)
            if first != size:
                told = feed[own.name].describe()
                return Misfit(names[own.name], f'is {told}; its "{dim}" is {size}, and that of "{where}" is {first}')
    empty = next((own for own, value in feed.items() if value.array.size == 0), None)
    if empty is not None:
        return Misfit(names[empty], f"has no elements ({feed[empty].describe()}), which the model does not take")
    kind, text = type(error).__name__, str(error)
    if kind == "InvalidArgument":
        name = next(iter(names), None)
    elif kind in ("Fail", "RuntimeException") and _RUNNING in text and _is_of_sizes(text):
        # What a model leaves open is the caller's to choose; integers may be sizes.
        name = next((own for own in names if _is_open(known[own]) or feed[own].datatype.is_integer), None)
    else:
        name = None
    return None if name is None else Misfit(names[name], f"is refused by the model: {_words(text)}")


def _is_open(spec: TensorSpec | None) -> bool:
    return spec is None or -1 in spec.shape


def _is_of_sizes(text: str) -> bool:
    """Whether sizes failed that no state of this machine would make good: they contradict, or exceed all its memory."""
    if asked := _BUFFER.search(text):
        return int(asked[1]) > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return any(sign in text for sign in (_CHECKED, "overflow", "must be >= 0"))


def _words(text: str) -> str:
    """onnxruntime's own sentence, without where in its sources it stands and what it checked there."""
    inner = text.strip().rpartition("Status Message: ")[2].rpartition("FAIL : ")[2].partition("\n")[0]
    return (_PLACE.sub("", inner.rpartition(_CHECKED)[2]) or "it does not suit it")[:_SHOWN]

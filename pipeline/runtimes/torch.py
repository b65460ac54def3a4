"""PyTorch: TorchScript modules (``.pt``, ``.pth``) and exported programs (``.pt2``).

Both are programs by themselves; what ``torch.save`` writes needs the author's code, and is refused with the way out.
"""

from __future__ import annotations

import importlib
import io
import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import told
from pipeline.runtimes.catalog import CannotOpen, Misfit, Opened, Told, missing_extra
from pipeline.runtimes.feeding import fed, fitted
from pipeline.runtimes.options import whole
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.forms import Bound, describe
from pipeline.tensors.signature import TensorSpec
from pipeline.tensors.tensor import Json, Tensor, Value, frozen, tensor

SUFFIXES = (".pt", ".pth", ".pt2")
PARAMS = ("device", "threads")

_DATATYPES = {
    "bool": Datatype.BOOL, "uint8": Datatype.UINT8, "uint16": Datatype.UINT16, "uint32": Datatype.UINT32,
    "uint64": Datatype.UINT64, "int8": Datatype.INT8, "int16": Datatype.INT16, "int32": Datatype.INT32,
    "int64": Datatype.INT64, "float16": Datatype.FP16, "bfloat16": Datatype.BF16, "float32": Datatype.FP32,
    "float64": Datatype.FP64,
}  # fmt: skip
# How much of PyTorch's own words an error carries.
_SHOWN = 300
_RAISED = ("RuntimeError: ", "torch.jit.Error: ")
_ARCHIVE = b"PK\x03\x04"
_PICKLE = b"\x80"


def open_model(path: Path, step: str, params: Mapping[str, Any], threads: int) -> Opened:
    """The program at ``path``. Outputs are named as the step (``STEP_0``, … of a tuple), or by a dict's keys.

    ``params``: ``device`` (``cpu``, ``cuda:1``), ``threads`` of one call. An exported program tells what it takes and
    gives; a TorchScript module tells names alone, and FP64 goes in as the datatype of its weights.
    """
    try:
        torch: Any = importlib.import_module("torch")  # an extra, and seconds to import
    except ImportError:
        raise missing_extra(path, "torch", "torch") from None
    count = whole(params, "threads", threads)
    try:
        device = torch.device(params.get("device", "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, TypeError, AssertionError, ValueError) as error:
        raise CannotOpen(f"params.device {params['device']!r} is none that is here: {_words(error)}") from error
    load = _exported if path.suffix.lower() == ".pt2" else _scripted
    loaded = load(torch, path, device)
    many = len(loaded.outputs)
    names = [step] if many == 1 else [f"{step}_{place}" for place in range(many)]
    known = Told(loaded.inputs, dict(zip(names, loaded.outputs, strict=True)))
    return Opened(_Model(torch, loaded, step, device, count).predict, known.signature)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """``call`` takes tensors in the order of ``inputs``; ``outputs`` are those of a tensor or a tuple, where it tells.

    ``floats``: the dtype that FP64 goes in as, where the program does not tell what it takes.
    """

    call: Callable[[Sequence[Any]], Any]
    inputs: Mapping[str, TensorSpec | None]
    outputs: Sequence[TensorSpec | None]
    floats: Any


def _scripted(torch: Any, path: Path, device: Any) -> _Loaded:
    _refuse_weights(path)
    # Said at every load, to whoever wrote the model; a filter for good, since `catch_warnings` is not safe in threads.
    warnings.filterwarnings("ignore", message=r"`torch\.jit\.load` is deprecated", category=DeprecationWarning)
    try:
        module = torch.jit.load(path, map_location=device).eval()
        arguments = module.forward.schema.arguments[1:]
    except (RuntimeError, AttributeError, ValueError, OSError) as error:
        raise CannotOpen(f"{path} is no TorchScript module: {_words(error)}") from error
    needed = [own for own in arguments if not own.has_default_value()]
    odd = next((own for own in needed if str(own.type) != "Tensor"), None)
    if odd is not None:
        raise CannotOpen(f'{path.name}: forward takes "{odd.name}" as {odd.type}, and a request has tensors')
    weights = (own.dtype for own in (*module.parameters(), *module.buffers()) if own.is_floating_point())
    inputs = dict.fromkeys(own.name for own in needed)
    return _Loaded(lambda tensors: module(*tensors), inputs, (), next(weights, torch.float32))


def _refuse_weights(path: Path) -> None:
    """Raises CannotOpen for a file of ``torch.save``: weights, or a pickle of the author's own classes."""
    way_out = "torch.export.save(torch.export.export(model, example), 'model.pt2') writes one that is a program"
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        with path.open("rb") as file:
            if file.read(1) == _PICKLE:
                raise CannotOpen(f"{path.name} is of torch.save, and has no program: {way_out}") from None
        return
    if any(name.endswith("/data.pkl") for name in names) and not any(name.endswith("/constants.pkl") for name in names):
        raise CannotOpen(f"{path.name} is of torch.save, a state dict or a pickled class, and no program: {way_out}")


def _exported(torch: Any, path: Path, device: Any) -> _Loaded:
    try:
        _refuse_code(torch, path)
        # It would write a page of its own into the log before it raises.
        program = torch.export.load(io.BytesIO(path.read_bytes()))
        specs = {node.name: _spec(node.meta.get("val")) for node in program.graph.nodes if node.op == "placeholder"}
        if device.type != "cpu":
            program = torch.export.passes.move_to_device_pass(program, device)
        module = program.module()
    except (RuntimeError, ValueError, KeyError, AttributeError, OSError, zipfile.BadZipFile) as error:
        raise CannotOpen(f"{path} is no exported program that this torch can load: {_words(error)}") from error
    names = program.graph_signature.user_inputs
    if any(not isinstance(name, str) or specs.get(name) is None for name in names):
        raise CannotOpen(f"{path.name} takes values that are no tensors; export a forward of tensors")
    (result,) = (node for node in program.graph.nodes if node.op == "output")
    # Those of a dict have names that the program keeps to itself.
    told = program.call_spec.out_spec.type is not dict
    outputs = [_spec(getattr(own, "meta", {}).get("val")) for own in result.args[0]] if told else []
    structure = program.call_spec.in_spec

    def call(tensors: Sequence[Any]) -> Any:
        arguments, named = structure.unflatten(tensors)
        return module(*arguments, **named)

    return _Loaded(call, {name: specs[name] for name in names}, outputs, None)


def _refuse_code(torch: Any, path: Path) -> None:
    """Raises where a pickle in the archive is more than tensors: ``torch.export.load`` would run what it names."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                head = member.read(len(_ARCHIVE))
                if head != _ARCHIVE and head[:1] != _PICKLE:
                    continue
                try:
                    torch.load(io.BytesIO(head + member.read()), weights_only=True)
                except pickle.UnpicklingError:
                    raise CannotOpen(
                        f"{path.name} holds a pickle of more than tensors, {name}: code, not run"
                    ) from None


def _spec(value: Any) -> TensorSpec | None:
    """Of a tensor as torch.export describes one; sizes that are expressions are any."""
    datatype = _DATATYPES.get(str(getattr(value, "dtype", "")).removeprefix("torch."))
    if datatype is None:
        return None
    return TensorSpec(datatype, tuple(size if isinstance(size, int) else -1 for size in value.shape))


@dataclass(frozen=True, slots=True)
class _Model:
    torch: Any
    loaded: _Loaded
    step: str
    device: Any
    threads: int

    def predict(self, inputs: Mapping[str, Bound]) -> Mapping[str, Value]:
        torch = self.torch
        # Of the thread that asks: each has a number of its own, with the OpenMP that PyTorch is built with.
        if self.threads and torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        found = fed(inputs, self.loaded.inputs)
        tensors = [self._tensor(name, value, self.loaded.inputs[own]) for own, (name, value) in found.items()]
        try:
            with torch.inference_mode():
                answer = self.loaded.call(tensors)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, IndexError, AssertionError) as error:
            name = next((name for name, _ in found.values()), None)
            if name is None:
                raise
            raise Misfit(name, f"is refused by the model: {_words(error)}") from error
        return self._values(answer)

    def _tensor(self, name: str, value: Bound, spec: TensorSpec | None) -> Any:
        """A copy: a program may write into what it is given, and steps share arrays."""
        if spec is not None:
            value = fitted(name, value, spec.datatype, spec)
        match value:
            case Tensor(Datatype.BYTES) | Json():
                raise Misfit(name, f"is {describe(value)}; the model takes numbers")
            case Tensor(Datatype.BF16, array):
                own = self.torch.tensor(array.view(np.int16)).view(self.torch.bfloat16)
            case Tensor(datatype, array):
                own = self.torch.tensor(array)
                if spec is None and datatype is Datatype.FP64:
                    own = own.to(self.loaded.floats)
            case _:
                raise Misfit(name, f"is {describe(value)}; the model takes one tensor")
        return own.to(self.device)

    def _values(self, answer: Any) -> Mapping[str, Value]:
        match answer:
            case dict():
                return {str(key): self._value(own) for key, own in answer.items()}
            case tuple() | list() if len(answer) != 1:
                return {f"{self.step}_{place}": self._value(own) for place, own in enumerate(answer)}
            case tuple() | list():
                return {self.step: self._value(answer[0])}
            case _:
                return {self.step: self._value(answer)}

    def _value(self, answer: Any) -> Value:
        if not isinstance(answer, self.torch.Tensor):
            return tensor(np.asarray(answer))
        own = answer.detach().cpu()
        if own.dtype is self.torch.bfloat16:
            bits = own.contiguous().view(self.torch.int16).numpy()
            return Tensor(Datatype.BF16, frozen(bits.view(Datatype.BF16.dtype)))
        return tensor(own.numpy())


def _words(error: Exception) -> str:
    """What PyTorch says, without the traceback of the program that comes before it, or after it."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()] or [told(error)]
    found = [line for line in lines if line.startswith(_RAISED)]
    return (found[-1].partition(": ")[2] if found else lines[0])[:_SHOWN]

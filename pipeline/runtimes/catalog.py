"""The runtimes there are, by the files of this folder; what one must offer; and which one a model file is for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pipeline.runtimes as folder
from pipeline.graph.words import listed
from pipeline.plugins import plugins
from pipeline.tensors.forms import Bound
from pipeline.tensors.signature import Signature, TensorSpec
from pipeline.tensors.tensor import Value

# What tells a model file's kind is at its beginning.
_HEAD = 1024
# What Git has in the place of a large file that was not brought.
_POINTER = b"version https://git-lfs."


class Misfit(ValueError):
    """An input the model cannot take: its name, and why (a clause: "has 3 features, the model takes 4")."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f'"{name}" {reason}')
        self.name = name
        self.reason = reason


class CannotOpen(Exception):
    """A model that cannot be opened: which one, why, and what to do."""


class Unclear(CannotOpen):
    """Which file, or which runtime is meant; ``reason`` is a clause about the path."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.reason = reason


def missing_extra(path: Path, extra: str, library: str) -> CannotOpen:
    """What to raise where that library is not installed."""
    return CannotOpen(f'{path.name} needs {library}: pip install "pipeline-serve[{extra}]"')


class Predict(Protocol):
    def __call__(self, inputs: Mapping[str, Bound], /) -> Mapping[str, Value]:
        """Blocking; called in a worker thread. Raises Misfit."""
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """A model in memory. ``signature`` is what it knows of itself; ``certain`` where that is no guess from a trial."""

    predict: Predict
    signature: Signature
    certain: bool = True


class Runtime(Protocol):
    """A file of this folder; imports what it stands for only inside ``open_model``."""

    SUFFIXES: Collection[str]
    PARAMS: Collection[str]

    def open_model(self, path: Path, step: str, params: Mapping[str, Any], threads: int, /) -> Opened:
        """The model at that path. ``threads``: those that one call may compute in, unless ``params`` say otherwise.

        Blocking; called in a worker thread. Raises CannotOpen.
        """
        ...


@runtime_checkable
class Recognizes(Protocol):
    """What a runtime offers as well whose files end like others'."""

    def recognizes(self, head: bytes, /) -> bool:
        """Whether a file that begins so is one of its models."""
        ...


@runtime_checkable
class Tells(Protocol):
    """What a runtime may offer as well: what a model takes and gives, read from its file by itself."""

    def tell(self, path: Path, /) -> Told | None:
        """None where that cannot be told. Takes no longer for a large model. Raises CannotOpen where it is none."""
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """Tensor name → its spec, None where that is not known; all names there are, in order."""

    inputs: Mapping[str, TensorSpec | None]
    outputs: Mapping[str, TensorSpec | None]

    @property
    def signature(self) -> Signature:
        """What is known of it."""
        return Signature(_known(self.inputs), _known(self.outputs))


def _known(specs: Mapping[str, TensorSpec | None]) -> dict[str, TensorSpec]:
    return {name: spec for name, spec in specs.items() if spec is not None}


def teller(runtime: Runtime) -> Tells | None:
    """The runtime, where it can read what a file tells."""
    return runtime if isinstance(runtime, Tells) else None


def runtimes() -> dict[str, Runtime]:
    """Name → runtime. The files are imported, what they stand for is not."""
    return plugins(folder, "open_model")


def runtimes_for(name: str, known: Mapping[str, Runtime]) -> list[str]:
    """Those of the known runtimes whose model files end like this one."""
    suffix = Path(name).suffix.lower()
    return [runtime for runtime, module in known.items() if suffix in module.SUFFIXES]


def suffixes(known: Mapping[str, Runtime]) -> list[str]:
    """How the model files of the known runtimes end, sorted."""
    return sorted({suffix for runtime in known.values() for suffix in runtime.SUFFIXES})


def model_file(path: Path, runtime: str | None, known: Mapping[str, Runtime]) -> tuple[Path, str]:
    """The file to open and its runtime. Raises Unclear where there is none, or more than one to choose from.

    Endings that others use as well (``.json``, ``.txt``, ``.bst``) count where the content is a model's.
    """
    if not path.is_dir():
        return path, _one([runtime] if runtime else _fitting(path, known), path)
    names = {
        file: [] if file.name.startswith(".") or file.is_dir() else _fitting(file, known)
        for file in sorted(path.iterdir())
    }
    fitting = [file for file, own in names.items() if (runtime in own if runtime else own)]
    kinds = {kind for file in fitting for kind in names[file]}
    if len(kinds) > 1:
        raise Unclear(path, f"has models of {listed(sorted(kinds))}; {saying_which(path.name)}")
    match fitting:
        case [file]:
            return file, _one([runtime] if runtime else names[file], file)
        case []:
            raise Unclear(path, f"has no model file; there are runtimes for {listed(suffixes(known))}")
        case _:
            raise Unclear(path, f"has {len(fitting)} model files ({listed(f.name for f in fitting)}); name one")


def _fitting(file: Path, known: Mapping[str, Runtime]) -> list[str]:
    names = runtimes_for(file.name, known)
    asked = {name: own for name in names if isinstance(own := known[name], Recognizes)}
    if not asked:
        return names
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD)
    except OSError:
        return names  # whoever opens it says why
    return [name for name in names if name not in asked or asked[name].recognizes(head)]


def _one(names: list[str], path: Path) -> str:
    match names:
        case [name]:
            return name
        case []:
            reason = "is for no runtime that is known, by its ending and what it begins with"
        case _:
            reason = f"fits {listed(names)}"
    raise Unclear(path, f"{reason}; {saying_which(path.name)}")


def saying_which(name: str) -> str:
    """The way out where a runtime cannot be told; a model that is served by itself has no step to say it in."""
    return f"a graph file says which: {{model: {name}, runtime: NAME}}"


def refuse_stand_in(file: Path) -> None:
    """Raises CannotOpen for what stands in the place of a model of whichever kind, and OSError."""
    with file.open("rb") as opened:
        head = opened.read(len(_POINTER))
    if not head:
        raise CannotOpen(f"{file.name} is empty")
    if head == _POINTER:
        raise CannotOpen(f"{file.name} is Git's pointer to the model; git lfs pull brings the file itself")

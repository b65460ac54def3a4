"""The runtimes there are, by the files of this folder; what one must offer; and which one a model file is for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pipeline.runtimes as folder
from pipeline.graph.words import listed
from pipeline.plugins import plugins
from pipeline.tensors.forms import Bound
from pipeline.tensors.signature import Signature
from pipeline.tensors.tensor import Value

# Runtimes of the contract whose file is not there yet.
LATER = frozenset({"xgboost", "lightgbm", "onnx", "torch"})


class Misfit(ValueError):
    """An input the model cannot take: its name, and why (a clause: "has 3 features, the model takes 4")."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f'"{name}" {reason}')
        self.name = name
        self.reason = reason


class CannotOpen(Exception):
    """A model that cannot be opened: which one, why, and what to do."""


class Predict(Protocol):
    def __call__(self, inputs: Mapping[str, Bound], /) -> Mapping[str, Value]:
        """Blocking; called in a worker thread. Raises Misfit."""
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """A model in memory. ``signature`` is what it knows of itself, under ``name`` where it names nothing."""

    predict: Predict
    signature: Signature


class Runtime(Protocol):
    """A file of this folder; imports what it stands for only inside ``open_model``."""

    SUFFIXES: Collection[str]
    PARAMS: Collection[str]

    def open_model(self, path: Path, step: str, params: Mapping[str, Any], /) -> Opened:
        """The model at that path. Blocking; called in a worker thread. Raises CannotOpen."""
        ...


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
    """The file to open and its runtime. Raises CannotOpen where there is none, or more than one to choose from."""
    if not path.is_dir():
        return path, _one([runtime] if runtime else runtimes_for(path.name, known), path)
    names = {file: runtimes_for(file.name, known) for file in sorted(path.iterdir()) if not file.name.startswith(".")}
    fitting = [file for file, own in names.items() if (runtime in own if runtime else own)]
    kinds = {kind for file in fitting for kind in names[file]}
    if len(kinds) > 1:
        raise CannotOpen(f"{path} has models of {listed(sorted(kinds))}; add runtime to the step")
    match fitting:
        case [file]:
            return file, _one([runtime] if runtime else names[file], file)
        case []:
            raise CannotOpen(f"{path} has no model file; there are runtimes for {listed(suffixes(known))}")
        case _:
            raise CannotOpen(f"{path} has {len(fitting)} model files ({listed(f.name for f in fitting)}); name one")


def _one(names: list[str], path: Path) -> str:
    match names:
        case [name]:
            return name
        case []:
            raise CannotOpen(f"no runtime is known for {path.name}; add runtime to the step")
        case _:
            raise CannotOpen(f"{path.name} fits {listed(names)}; add runtime to the step")

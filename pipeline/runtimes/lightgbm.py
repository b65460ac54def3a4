"""LightGBM boosters, from the text files that ``save_model`` writes. They predict as KServe's LightGBM server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import told
from pipeline.runtimes.catalog import CannotOpen, Opened, missing_extra
from pipeline.runtimes.lightgbm_file import check_booster
from pipeline.runtimes.options import truth, whole
from pipeline.runtimes.table import answered, numbers, specs
from pipeline.runtimes.trees import sound
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.forms import Bound
from pipeline.tensors.signature import Signature, TensorSpec
from pipeline.tensors.tensor import Value, tensor

SUFFIXES = (".bst", ".lgb", ".lgbm", ".txt")
PARAMS = ("num_threads", "raw_score")

# What LightGBM names features that came without names.
_UNNAMED = "Column_"


def recognizes(head: bytes) -> bool:
    """The line that all of them begin with."""
    return head.splitlines()[:1] == [b"tree"]


def open_model(path: Path, step: str, params: Mapping[str, Any], threads: int) -> Opened:
    """The booster at ``path``; its output is named as the step.

    ``params``: ``num_threads`` of one call (0: as many as OpenMP gives), ``raw_score`` for scores before the objective.
    """
    try:
        import lightgbm  # noqa: PLC0415  # an extra
    except ImportError:
        raise missing_extra(path, "lightgbm", "lightgbm") from None
    raw_score = truth(params, "raw_score")
    num_threads = whole(params, "num_threads", threads)
    try:
        sound(path, path.read_bytes(), check_booster)
        booster = lightgbm.Booster(model_file=path)
        names = booster.feature_name()
        named = [] if all(name == f"{_UNNAMED}{place}" for place, name in enumerate(names)) else names
        model = _Model(
            booster, booster.num_feature(), named, step, {"num_threads": num_threads, "raw_score": raw_score}
        )
        answer = model.answer(np.ones((1, model.features)))
    except (lightgbm.basic.LightGBMError, OSError, ValueError) as error:
        raise CannotOpen(f"{path} cannot be opened: {told(error)}") from error
    outputs = {step: TensorSpec(Datatype.FP64, (-1, *answer.shape[1:]))}
    return Opened(model.predict, Signature(specs(model.features, model.names, Datatype.FP64), outputs))


@dataclass(frozen=True, slots=True)
class _Model:
    booster: Any
    features: int
    names: list[str]
    step: str
    options: Mapping[str, Any]

    def predict(self, inputs: Mapping[str, Bound]) -> Mapping[str, Value]:
        _, rows = numbers(inputs, self.names, self.features)
        return {self.step: tensor(answered(self.answer, rows))}

    def answer(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.asarray(self.booster.predict(rows, **self.options))

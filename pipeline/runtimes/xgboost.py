"""XGBoost boosters, from the files that ``save_model`` writes or wrote. They predict as KServe's XGBoost server."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import told
from pipeline.runtimes.catalog import CannotOpen, Misfit, Opened, missing_extra
from pipeline.runtimes.options import truth, whole
from pipeline.runtimes.table import answered, numbers, specs
from pipeline.runtimes.trees import sound
from pipeline.runtimes.xgboost_file import check_booster
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.forms import Bound
from pipeline.tensors.signature import Signature, TensorSpec
from pipeline.tensors.tensor import Value, tensor

SUFFIXES = (".bst", ".json", ".ubj", ".xgb")
PARAMS = ("nthread", "output_margin")

_HEAD = 1024
# What its own binary format begins with, which came before UBJSON and which xgboost 3.1 reads no more.
_BINARY = b"binf"
_FROM_BINARY = '; it is in the old binary format, which xgboost before 3.1 loads, and save_model("model.ubj") rewrites'


def recognizes(head: bytes) -> bool:
    """JSON, or its binary kin, whose first key is that of a booster; or the binary format of old."""
    return head.startswith(_BINARY) or (head.lstrip()[:1] == b"{" and b"learner" in head)


def open_model(path: Path, step: str, params: Mapping[str, Any], threads: int) -> Opened:
    """The booster at ``path``; its output is named as the step.

    ``params``: ``nthread`` of one call (0: all there are), ``output_margin`` for scores before the objective.
    """
    try:
        import xgboost  # noqa: PLC0415  # an extra
    except ImportError:
        raise missing_extra(path, "xgboost", "xgboost") from None
    margin = truth(params, "output_margin")
    nthread = whole(params, "nthread", threads)
    is_old = False
    try:
        data = path.read_bytes()
        is_old = data.startswith(_BINARY)
        if not is_old and not (recognizes(data[:_HEAD]) and data.rstrip().endswith(b"}")):
            # xgboost reads past the end of a file that was cut short, and takes the process down.
            raise CannotOpen(f"{path} is no booster that was saved as JSON or UBJSON, or was cut short")
        if not is_old:
            sound(path, data, check_booster)
        booster = xgboost.Booster({"nthread": nthread})
        # By the bytes it is known for what it is; by a name that ends otherwise than its own files it is guessed at.
        booster.load_model(bytearray(data))
        config = json.loads(booster.save_config())
        linear = config["learner"]["gradient_booster"]["name"] == "gblinear"
        # xgboost's documentation: predictions are safe in threads where the booster is of trees.
        guard = threading.Lock() if linear else nullcontext()
        model = _Model(xgboost.DMatrix, booster, nthread, margin, step, guard)
        outputs = model.outputs()
    except (xgboost.core.XGBoostError, OSError, ValueError) as error:
        way_out = _FROM_BINARY if is_old else ""
        raise CannotOpen(f"{path} is no booster that this xgboost can load: {_words(told(error))}{way_out}") from error
    return Opened(model.predict, Signature(specs(model.features, model.names, Datatype.FP32), outputs))


@dataclass(frozen=True, slots=True)
class _Model:
    matrix: Any
    booster: Any
    nthread: int
    margin: bool
    step: str
    guard: AbstractContextManager[Any]

    @property
    def features(self) -> int:
        return int(self.booster.num_features())

    @property
    def names(self) -> list[str]:
        return list(self.booster.feature_names or ())

    def outputs(self) -> dict[str, TensorSpec]:
        """What it answers to one row of ones: asked rather than guessed at."""
        answer = self._answer(np.ones((1, self.features), np.float32))
        return {self.step: TensorSpec(Datatype.FP32, (-1, *answer.shape[1:]))}

    def predict(self, inputs: Mapping[str, Bound]) -> Mapping[str, Value]:
        name, rows = numbers(inputs, self.names, self.features)
        try:
            answer = answered(self._answer, rows)
        except ValueError as error:
            if np.isfinite(rows.astype(np.float32, copy=False)).all():
                raise
            reason = "has infinity, or a number past the range of FP32, which the model does not take"
            raise Misfit(name, f"{reason}; NaN is a missing value") from error
        return {self.step: tensor(answer)}

    def _answer(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        own = self.booster
        matrix = self.matrix(
            rows,
            feature_names=own.feature_names,
            feature_types=own.feature_types,
            nthread=self.nthread,
            enable_categorical=True,
        )
        with self.guard:
            answer: np.ndarray[Any, Any] = own.predict(matrix, output_margin=self.margin)
        return answer


def _words(text: str) -> str:
    """xgboost's own words without where in its sources they stand, and without the stack below them."""
    first = text.partition("Stack trace:")[0].split()
    return " ".join(word for word in first if "/src/" not in word and "/include/" not in word)

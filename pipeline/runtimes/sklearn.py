"""scikit-learn estimators, from joblib or pickle files.

A model file is code: unpickling runs what it names. Serve files you would run.
"""

from __future__ import annotations

import functools
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import NotInstalled, told
from pipeline.graph.words import hint
from pipeline.runtimes.catalog import CannotOpen, Misfit, Opened, missing_extra
from pipeline.runtimes.feeding import text
from pipeline.runtimes.table import INPUT, check_features, specs, stacked, table
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.forms import Bound, Form, convert
from pipeline.tensors.signature import Signature, TensorSpec
from pipeline.tensors.tensor import Json, Tensor, Value, tensor

SUFFIXES = (".joblib", ".pkl", ".pickle")
PARAMS = ("method",)

_READERS = {"joblib", "pickle", "numpy", "gzip", "bz2", "lzma", "_compression", "compression"}
# How much of scikit-learn's own words an error carries: they can list all categories there are.
_SHOWN = 200


def open_model(path: Path, step: str, params: Mapping[str, Any], threads: int) -> Opened:
    """The estimator at ``path``; ``params["method"]`` is what a request calls (``predict`` unless it says otherwise).

    Its outputs are named as the step: one array, or ``STEP_0``, ``STEP_1``, … where the method returns several. How
    many ``threads`` it computes in was said when it was made (``n_jobs``).
    """
    # An array in the order of fitting is what callers send; the warning would come with each request. (A filter for
    # good: `catch_warnings` around the call is not safe in threads.)
    warnings.filterwarnings("ignore", message="X does not have valid feature names", category=UserWarning)
    estimator = _unpickled(path)
    method = str(params.get("method", "predict"))
    if not callable(getattr(estimator, method, None)):
        public = [name for name in dir(estimator) if not name.startswith("_")]
        has_no = f'which has no method "{method}"{hint(method, public)}'
        raise CannotOpen(f"{path.name} is a {type(estimator).__name__}, {has_no}")
    features = getattr(estimator, "n_features_in_", None)
    names = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
    function = functools.partial(_predict, getattr(estimator, method), features, names, step)
    outputs = _outputs(function, features)
    # Estimators convert numbers by themselves; FP64 is what they compute in.
    inputs = specs(features, names, Datatype.FP64) if features and outputs else {}
    return Opened(function, Signature(inputs, outputs), certain=False)


def _unpickled(path: Path) -> Any:
    try:
        import joblib  # noqa: PLC0415  # an extra
        import sklearn  # noqa: F401, PLC0415  # an extra, and seconds to import
    except ImportError:
        raise missing_extra(path, "sklearn", "scikit-learn") from None
    try:
        return joblib.load(path)
    except (Exception, SystemExit) as error:  # what is read is code, or garbage that looks like code
        reason = "is no joblib or pickle file, or was cut short" if _is_garbage(error) else "cannot be opened"
        raise CannotOpen(f"{path} {reason}: {told(error)}") from error


def _is_garbage(error: BaseException) -> bool:
    """Whether the readers of the file raised it, and not the code that it names, or names and is not there."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    reader = frame.f_globals.get("__name__", "").partition(".")[0]
    return reader in _READERS and not isinstance(error, ImportError | AttributeError | TypeError)


def _outputs(
    function: Callable[[Mapping[str, Bound]], Mapping[str, Value]], features: int | None
) -> dict[str, TensorSpec]:
    """What the method answers to one row of ones (which have a logarithm): asked rather than guessed at.

    Nothing where it answers no tensors: then it does not read numbers, and nothing is known.
    """
    if not features:
        return {}
    ones = np.ones((1, features))
    try:
        answers = function({INPUT: tensor(ones)})
    except Exception:  # noqa: BLE001  # a pipeline over text refuses numbers in its own way
        return {}
    return {
        name: TensorSpec(answer.datatype, (-1, *answer.shape[1:]))
        for name, answer in answers.items()
        if isinstance(answer, Tensor) and answer.shape[:1] == (1,)
    }


def _predict(
    method: Callable[[Any], Any], features: int | None, names: list[str], step: str, inputs: Mapping[str, Bound]
) -> Mapping[str, Value]:
    name, rows = table(inputs, names, _one, _columns)
    if features is not None:
        check_features(name, rows.shape, features)
    try:
        answer = method(rows)
    except (ValueError, TypeError, AttributeError) as error:
        if (misfit := _told(name, rows, error)) is not None:
            raise misfit from error
        raise
    if isinstance(answer, list) and answer and all(isinstance(part, np.ndarray) for part in answer):
        return {f"{step}_{position}": tensor(part) for position, part in enumerate(answer)}
    if hasattr(answer, "toarray"):
        answer = answer.toarray()
    return {step: tensor(np.asarray(answer))}


def _one(name: str, value: Bound) -> Any:
    match value:
        case Tensor(Datatype.BYTES):
            return text(name, value)
        case Tensor():
            return value.numbers
        case Json(list() as rows):
            try:
                return convert(Form.FRAME, Json(rows))
            except ValueError as error:
                raise Misfit(name, f"is JSON, which the model cannot read: {error}") from None
        case _:
            raise Misfit(name, "is JSON; the model reads a tensor")


def _columns(inputs: Mapping[str, Bound]) -> Any:
    """A DataFrame where pandas is there (the estimator was fitted on one, its columns may differ), else a matrix."""
    try:
        return convert(Form.FRAME, {name: value for name, value in inputs.items() if not isinstance(value, Mapping)})
    except NotInstalled:
        return stacked(inputs)


def _told(name: str, rows: Any, error: Exception) -> Misfit | None:
    """Why an estimator refuses values: what can be seen of them, else its own words where scikit-learn chose them.

    None where the error is not about the values: a model that was never fitted, or code of its author's.
    """
    if rows.shape[:1] == (0,):
        return Misfit(name, f"has no rows ([{','.join(map(str, rows.shape))}]); the model takes at least one")
    columns = [(name, rows)] if isinstance(rows, np.ndarray) else [(key, own.to_numpy()) for key, own in rows.items()]
    for column, array in columns:
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return Misfit(str(column), "has NaN or infinity, which the model does not take")
        if array.dtype.kind not in "biuf" and "could not convert" in str(error):
            return Misfit(str(column), "is text, which the model does not take; it takes numbers")
    match error:
        case AttributeError():
            # How scikit-learn's vectorizers refuse what is no text: they call `lower` on it.
            wants = "'lower'" in str(error)
            return Misfit(name, "does not fit: the model reads one text per row, BYTES[-1]") if wants else None
        case _ if not _is_checked(error):
            return None
        case _:
            return Misfit(name, f"is refused by the model: {' '.join(str(error).split())[:_SHOWN]}")


def _is_checked(error: Exception) -> bool:
    """Whether scikit-learn raised it (or numpy, asked by it), and not because the model was never fitted."""
    if type(error).__name__ == "NotFittedError":
        return False
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    own = [module.partition(".")[0] for module in modules if module != __name__]
    return bool(own) and set(own) <= {"sklearn", "numpy", "pandas", "scipy", "joblib"}

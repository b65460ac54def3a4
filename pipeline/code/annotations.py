"""A function's parameters and annotations, whichever Python evaluates them, and when.

An annotation may be a value, its text (quoted, or under ``from __future__ import annotations``), or, from Python 3.14,
evaluated only now. One that cannot be evaluated, a name imported for type checkers only, is as good as none.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from typing import Any

_NONE = inspect.Parameter.empty


def parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Name → parameter. Raises TypeError or ValueError for what tells nothing of itself."""
    if sys.version_info >= (3, 14):
        import annotationlib  # noqa: PLC0415  # of 3.14

        return inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF).parameters
    return inspect.signature(function).parameters


def annotations_of(function: Callable[..., Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Name (``return`` too) → annotation, each evaluated by itself, so that one bad name does not cost the others.

    ``known``: types by the names that people import for type checkers only.
    """
    target = inspect.unwrap(getattr(function, "func", function))
    target = getattr(target, "__func__", target)
    if not inspect.isroutine(target) and not isinstance(target, type):
        target = type(target).__call__
    names = getattr(target, "__globals__", {})
    return {name: _evaluated(annotation, names, known) for name, annotation in _written(target).items()}


def unaliased(annotation: Any) -> Any:
    """What an alias stands for: ``type Rows = np.ndarray`` of Python 3.12, and numpy's own ``NDArray[…]``."""
    while hasattr(alias := typing.get_origin(annotation) or annotation, "__value__"):
        arguments = typing.get_args(annotation)
        annotation = alias.__value__[arguments] if arguments else alias.__value__
    return annotation


def _written(target: Any) -> Mapping[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib  # noqa: PLC0415  # of 3.14

        return annotationlib.get_annotations(target, format=annotationlib.Format.FORWARDREF)
    return getattr(target, "__annotations__", {})


def _evaluated(annotation: Any, names: dict[str, Any], known: Mapping[str, Any]) -> Any:
    try:
        # Quoted beside `from __future__ import annotations`, it is a text in a text.
        while isinstance(annotation, str):
            annotation = eval(annotation, names)  # noqa: S307  # as typing does
    except Exception:  # noqa: BLE001  # whatever a user's annotation raises, it is as good as none
        return _by_name(annotation, known)
    return _by_name(annotation.__forward_arg__, known) if isinstance(annotation, typing.ForwardRef) else annotation


def _by_name(annotation: str, known: Mapping[str, Any]) -> Any:
    """``"np.ndarray"`` and ``"Context | None"`` of a module that has neither name at run time."""
    name = annotation.partition("|")[0].strip().rpartition(".")[2]
    return known.get(name, _NONE)

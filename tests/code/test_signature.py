"""What a signature asks for, in all the ways that Python lets people write one."""

from __future__ import annotations

import collections.abc
import functools
import typing
from typing import Annotated, Any, Optional, TypedDict

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.code.signature import BadSignature, gives, signature_of
from pipeline.engine.step import Context
from pipeline.tensors.forms import Form
from pipeline.tensors.message import InferRequest

if typing.TYPE_CHECKING:
    from decimal import Decimal


class Row(TypedDict):
    a: int


FORMS = [
    (np.ndarray, Form.ARRAY),
    (np.ndarray[Any, Any], Form.ARRAY),
    (npt.NDArray[np.float32], Form.ARRAY),
    (list, Form.LIST),
    (list[int], Form.LIST),
    (list[list[float]], Form.LIST),
    (tuple, Form.LIST),
    (collections.abc.Sequence[float], Form.LIST),
    (typing.List[int], Form.LIST),  # noqa: UP006  # people write it
    (list[str], Form.TEXTS),
    (dict, Form.DICT),
    (dict[str, Any], Form.DICT),
    (Row, Form.DICT),
    (collections.abc.Mapping[str, int], Form.DICT),
    (dict[str, np.ndarray], Form.ARRAYS),
    (dict[str, npt.NDArray[np.int64]], Form.ARRAYS),
    (int, Form.INT),
    (float, Form.FLOAT),
    (bool, Form.BOOL),
    (str, Form.STR),
    (bytes, Form.BYTES),
    (InferRequest, Form.REQUEST),
    (Context, Form.CONTEXT),
    (Any, Form.ANY),
    (object, Form.ANY),
    (Optional[np.ndarray], Form.ARRAY),  # noqa: UP045
    (np.ndarray | None, Form.ARRAY),
    (None | int, Form.INT),
    (int | str, Form.ANY),
    (Optional[Annotated[np.ndarray, "FP32[n]"]], Form.ARRAY),  # noqa: UP045
    (Annotated[list[str], "BYTES[n]"], Form.TEXTS),
    (Annotated[Optional[int], "INT64[1]"], Form.INT),  # noqa: UP045
]


@pytest.mark.parametrize(("annotation", "form"), FORMS, ids=str)
def test_an_annotation_selects_the_form(annotation, form):
    def step(x): ...

    step.__annotations__ = {"x": annotation}
    (argument,) = signature_of(step).arguments
    assert argument.parameter.form is form


def test_text_annotations_are_read_and_those_that_cannot_be_are_as_good_as_none():
    # In this module every annotation is a text, so a quoted one is a text in a text.
    def step(a: np.ndarray, b: Decimal, c: list[str], d: nowhere.Name, e: "np.ndarray", f: int = 3): ...  # noqa: F821, UP037

    step.__annotations__["d"] = "1 +"

    forms = {argument.parameter.name: argument.parameter.form for argument in signature_of(step).arguments}
    assert list(forms.values()) == [Form.ARRAY, Form.ANY, Form.TEXTS, Form.ANY, Form.ARRAY, Form.INT]


def test_a_text_inside_annotated_declares_datatype_and_dims():
    def step(
        x: Annotated[np.ndarray, "a comment", "FP32[n,4]"], y: Annotated[np.ndarray, 3]
    ) -> Annotated[int, "INT8[1]"]: ...

    signature = signature_of(step)
    assert [str(own.spec) for own in signature.parameters] == ["FP32[n,4]", "None"]
    assert str(signature.returns) == "INT8[1]"
    assert {name: str(spec) for name, spec in (gives("s", signature) or {}).items()} == {"s": "INT8[1]"}


@pytest.mark.parametrize(
    ("result", "one"),
    [
        (np.ndarray, True),
        (npt.NDArray[np.int8], True),
        (float, True),
        (str, True),
        (dict, False),
        (list, False),
        (Any, False),
    ],
)
def test_only_a_result_that_is_surely_one_tensor_is_told(result, one):
    def step(x): ...

    step.__annotations__ = {"return": result}
    assert gives("s", signature_of(step)) == ({"s": None} if one else None)


def test_kinds_of_parameters_decide_how_they_are_passed():
    def step(a, /, b, c=1, *, d, e=2, **rest): ...

    signature = signature_of(step)
    told = [(own.parameter.name, own.keyword, own.parameter.required) for own in signature.arguments]
    assert told == [("a", False, True), ("b", False, True), ("c", False, False), ("d", True, True), ("e", True, False)]
    assert signature.rest


def test_what_params_feed_is_no_tensor_and_what_follows_is_passed_by_name():
    def step(a, scale, b): ...

    told = [(own.parameter.name, own.keyword) for own in signature_of(step, bound=frozenset({"scale"})).arguments]
    assert told == [("a", False), ("b", True)]


def _decorated(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def plain(x: list[str], y: int = 2): ...


class Steps:
    def __call__(self, x: list[str], y: int = 2): ...

    method = __call__

    @staticmethod
    def static(x: list[str], y: int = 2): ...

    @classmethod
    def of_class(cls, x: list[str], y: int = 2): ...


@pytest.mark.parametrize(
    "function",
    [
        plain,
        _decorated(plain),
        _decorated(_decorated(plain)),
        Steps(),
        Steps().method,
        Steps.static,
        Steps.of_class,
        functools.partial(plain),
        lambda x, y=2: None,
    ],
)
def test_all_kinds_of_callables_tell_the_same(function):
    signature = signature_of(function)
    assert [own.parameter.name for own in signature.arguments] == ["x", "y"]
    is_lambda = getattr(function, "__name__", "") == "<lambda>"
    assert signature.arguments[0].parameter.form is (Form.ANY if is_lambda else Form.TEXTS)
    assert [own.parameter.required for own in signature.arguments] == [True, False]


def test_what_a_partial_has_bound_is_no_tensor():
    assert [own.name for own in signature_of(functools.partial(plain, y=3)).parameters] == ["x"]
    assert [own.name for own in signature_of(functools.partial(plain, ["a"])).parameters] == ["y"]


@pytest.mark.parametrize(
    ("ufunc", "names"), [(np.log, ["x"]), (np.add, ["x1", "x2"]), (np.frompyfunc(id, 1, 1), ["x"])]
)
def test_a_ufunc_takes_its_operands_and_none_of_its_options(ufunc, names):
    assert [own.name for own in signature_of(ufunc).parameters] == names


@pytest.mark.parametrize(
    ("annotations", "says"),
    [
        ({"x": complex}, r'its parameter "x" has the type complex; a tensor becomes np.ndarray, list'),
        ({"x": set[int]}, 'its parameter "x" has the type set'),
        ({"x": Annotated[np.ndarray, "FP33[n]"]}, '"FP33" is no datatype'),
        ({"x": Annotated[np.ndarray, "FP32[n"]}, "expected DTYPE"),
        ({"return": Annotated[np.ndarray, "FP32[-2]"]}, "its result is annotated"),
    ],
)
def test_what_no_tensor_can_become_is_refused_by_name(annotations, says):
    def step(x): ...

    step.__annotations__ = annotations
    with pytest.raises(BadSignature, match=says):
        signature_of(step)


def test_star_args_have_no_names_to_bind_to():
    with pytest.raises(BadSignature, match=r"\*arrays has no name to bind a tensor to; use \*\*kwargs"):
        signature_of(lambda *arrays: arrays)


def test_a_dataframe_is_known_by_its_name_so_pandas_need_not_be_imported():
    frame = type("DataFrame", (), {"__module__": "pandas.core.frame"})

    def step(x): ...

    step.__annotations__ = {"x": frame}
    assert signature_of(step).arguments[0].parameter.form is Form.FRAME


def test_a_type_that_only_type_checkers_import_is_known_by_its_name():
    scope = {}
    source = 'def f(a: "np.ndarray", b: "list", context: "Context | None" = None, other: "Nowhere.Thing" = None): pass'
    exec(source, scope)  # a module without the imports that its annotations name
    forms = [argument.parameter.form for argument in signature_of(scope["f"]).arguments]
    assert forms == [Form.ARRAY, Form.LIST, Form.CONTEXT, Form.ANY]


def test_a_parameter_named_as_a_handle_gets_it_whatever_its_annotation():
    def why(rows, score: collections.abc.Callable[..., Any], *, other=None):
        return rows

    found = signature_of(why, handles=frozenset({"score", "other", "absent"}))
    assert [own.parameter.form for own in found.arguments] == [Form.ANY, Form.HANDLE, Form.HANDLE]
    assert [parameter.name for parameter in found.parameters] == ["rows"]

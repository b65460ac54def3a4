"""What a step with state gave: kept where nobody else can write it, copied where somebody can."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tensors.answer import values_of
from pipeline.tensors.own import copied, handed_on, owned, owned_part
from pipeline.tensors.tensor import Json, Tensor

LEAVES = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=5)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=5),
    max_leaves=20,
)


def fresh(value):
    """The same with lists and objects that nobody else holds."""
    return json.loads(json.dumps(value))


def containers(value):
    """All lists and objects of it."""
    match value:
        case dict():
            return [value, *(each for inner in value.values() for each in containers(inner))]
        case list():
            return [value, *(each for inner in value for each in containers(inner))]
        case _:
            return []


def returned(function):
    """The values of what a step's function returns, which is held by nobody on the way; and those that are owned."""
    values = values_of("step", function())
    return values, owned(values)


@given(JSON)
def test_json_that_nobody_else_holds_stays_as_it_is(value):
    values = {"a": Json(fresh(value)), "b": Json(fresh([value, value]))}
    assert owned(values) is values


@given(JSON, st.data())
def test_json_with_a_list_or_object_that_somebody_holds_is_copied(value, data):
    value = fresh({"a": value, "b": [[]]})
    expected = fresh(value)
    ids = {id(each) for each in containers(value)}
    at = data.draw(st.integers(0, len(ids) - 1))
    kept = containers(value)[at]
    values = {"a": Json(value)}
    del value
    got = owned(values)["a"].value
    assert got == expected
    assert ids.isdisjoint(id(each) for each in containers(got))
    kept.clear()
    assert got == expected


@pytest.mark.parametrize(
    "keeps", [lambda answer: answer, lambda answer: answer["rows"], lambda answer: answer["rows"][1]]
)
def test_rows_of_numbers_are_copied_wherever_they_are_kept(keeps):
    answer = {"rows": [[1, 2.5], [3, 4]], "label": "x"}
    kept = keeps(answer)
    values = {"a": Json(answer)}
    del answer
    assert owned(values)["a"].value == {"rows": [[1, 2.5], [3, 4]], "label": "x"}
    assert owned(values) is not values
    del kept
    assert owned(values) is values


MIXED = [[1, "a"], [1.5, [2]], [True, None], (1, (2, 3)), [{"a": [1]}, 1, [2]], [2**70, 0.5]]


@pytest.mark.parametrize("value", MIXED, ids=str)
def test_lists_of_several_kinds_are_looked_through(value):
    kept = ["kept"]
    assert owned({"a": Json([copied(value), kept])})["a"].value[1] is not kept
    values = {"a": Json([copied(value)])}
    assert owned(values) is values


def test_json_in_a_value_that_the_author_keeps_is_copied():
    kept = Json({"a": 1})
    assert owned({"a": kept})["a"].value is not kept.value


def test_what_else_json_may_hold_is_copied_with_it():
    @dataclasses.dataclass(frozen=True)
    class Label:
        names: list

    array, names, some = np.arange(3), ["a"], {1}
    kept = {"array": array, "label": Label(names), "set": some, "bytes": bytearray(b"a"), "number": np.float32(1)}
    got = owned({"a": Json(kept)})["a"].value
    names[0], array[:], kept["bytes"][:] = "b", 0, b"b"
    some.add(2)
    assert got["array"].tolist() == [0, 1, 2]
    assert got["label"] == Label(["a"])
    assert (got["set"], got["bytes"], got["number"]) == ({1}, b"a", 1)


def test_an_array_in_json_is_copied_where_it_is_kept():
    array = np.arange(3)
    got = owned({"a": Json({"n": 1, "y": array[:2]})})["a"].value
    array[:] = 9
    assert got["y"].tolist() == [0, 1]
    values = {"a": Json({"n": np.float32(1), "y": np.arange(3)[1:]})}
    assert owned(values) is values


def test_an_object_that_grows_while_it_is_copied_is_what_it_was():
    kept = {}

    @dataclasses.dataclass
    class Grows:
        def __copy__(self):
            kept["more"] = 1
            return self

    kept |= {"a": Grows(), "b": 2}
    assert list(owned({"a": Json(kept)})["a"].value) == ["a", "b"]
    assert list(kept) == ["a", "b", "more"]


def test_json_within_itself_or_without_end_is_left_to_who_says_it():
    value = []
    value.append(value)
    assert owned({"a": Json(value)})["a"].value is value
    deep = []
    for _ in range(10_000):
        deep = [deep]
    assert owned({"a": Json(deep)})["a"].value is deep


# From few to many, which are looked at in another way, and many of few.
SHAPES = [(2, 2), (2, 20), (20, 2), (20, 20)]


@pytest.mark.parametrize(("lists", "length"), SHAPES)
@pytest.mark.parametrize("leaf", [1.5, "a", None])
@pytest.mark.parametrize("form", [list, tuple, lambda rows: {str(at): row for at, row in enumerate(rows)}])
def test_however_many_there_are_the_one_that_is_kept_is_found(lists, length, leaf, form):
    values = {"a": Json({"rows": form([[leaf] * length for _ in range(lists)])})}
    assert owned(values) is values
    rows = values["a"].value["rows"]
    kept = rows["1"] if isinstance(rows, dict) else rows[1]
    del rows
    got = owned(values)["a"].value
    assert got == values["a"].value
    assert all(row is not kept for row in (got["rows"].values() if isinstance(got["rows"], dict) else got["rows"]))


KEPT = np.arange(6.0)
READ_ONLY = np.frombuffer(memoryview(bytearray(KEPT.tobytes())).toreadonly())


@pytest.mark.parametrize(
    "function",
    [
        lambda: KEPT,
        lambda: {"a": KEPT},
        lambda: {"a": KEPT[:3]},
        lambda: KEPT.reshape(2, 3)[1:],
        lambda: {"a": np.asarray(KEPT)},
        lambda: np.frombuffer(memoryview(KEPT)),
        lambda: np.frombuffer(bytearray(8)),
    ],
)
def test_an_array_that_may_be_written_elsewhere_is_copied(function):
    values, got = returned(function)
    for name, value in values.items():
        assert not np.shares_memory(got[name].array, value.array)
        np.testing.assert_array_equal(got[name].array, value.array)
        assert not got[name].array.flags.writeable


@pytest.mark.parametrize(
    "function",
    [
        lambda: KEPT * 2,
        lambda: {"a": KEPT * 2, "b": (KEPT + 1).reshape(2, 3)},
        lambda: KEPT.reshape(2, 3).T,
        lambda: np.frombuffer(KEPT.tobytes()),
        lambda: {"a": READ_ONLY},
        lambda: READ_ONLY.reshape(2, 3)[1:],
        lambda: [1.0, 2.0],
        lambda: "text",
        lambda: {"rows": [[1, 2]]},
    ],
)
def test_what_nobody_else_can_write_is_not_copied(function):
    values, got = returned(function)
    assert got is values


def test_a_tensor_that_can_be_written_is_copied():
    kept = Tensor(values_of("a", KEPT)["a"].datatype, KEPT)
    assert not np.shares_memory(owned({"a": kept})["a"].array, KEPT)


def test_what_one_hook_hands_to_another_is_its_own():
    kept = {"a": [1]}
    got = handed_on(kept)
    kept["a"][0] = 2
    assert got == {"a": [1]}
    assert handed_on(KEPT) is not KEPT
    other = object()
    assert handed_on(other) is other


def test_a_buffer_as_a_part_of_a_stream_is_bytes():
    buffer = bytearray(b"ab")
    parts = [owned_part(buffer), owned_part(memoryview(buffer)), owned_part("text")]
    buffer[:] = b"xx"
    assert parts == [b"ab", b"ab", "text"]

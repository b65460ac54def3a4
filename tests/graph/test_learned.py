"""What metadata says against what is known along the edges: datatypes and dimensions are faults, names are notes."""

from __future__ import annotations

import pytest

from pipeline.graph.interface import Interface, Parameter
from pipeline.graph.learned import disagreements
from pipeline.tensors.signature import Signature, parse_spec
from tests.graph.checking import graph_of
from tests.graph.reading import FILE

GRAPH = graph_of("steps:\n  pre: app.py:f\n  far: app.py:g\n  post: app.py:h\n")
KNOWN = {
    "pre": Interface((Parameter("x"),), {"pre": parse_spec("FP64[n,4]")}, blocking=True, limit=1),
    "far": Interface((), None, blocking=False, limit=None, takes_rest=True),
    "post": Interface((Parameter("y", spec=parse_spec("FP32[n]")),), None, blocking=True, limit=1),
}
SOURCE = '; so says the metadata of the server that step "far" calls'


def told(inputs: dict[str, str], outputs: dict[str, str]):
    """(faults, notes) as lines, and the interfaces, where the server of ``far`` tells this."""
    own = Signature(*({name: parse_spec(text) for name, text in some.items()} for some in (inputs, outputs)))
    faults, notes, interfaces = disagreements(GRAPH, KNOWN, {"far": own})
    lines = [[str(fault).removeprefix(f"{FILE}:").removesuffix(SOURCE) for fault in some] for some in (faults, notes)]
    return (*lines, interfaces)


def test_what_agrees_is_known_from_then_on_and_what_was_known_is_left_as_it_is():
    before = dict(KNOWN)
    faults, notes, interfaces = told({"pre": "FP64[-1,4]"}, {"y": "FP32[-1]"})
    assert (faults, notes, KNOWN) == ([], [], before)
    assert [(own.name, str(own.spec)) for own in interfaces["far"].parameters] == [("pre", "FP64[-1,4]")]
    assert {name: str(spec) for name, spec in interfaces["far"].gives.items()} == {"y": "FP32[-1]"}


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        (
            {"x": "FP32[-1,4]"}, {},
            '3:8: step "far": parameter "x" takes FP32[-1,4], and pre.pre is FP64[n,4]: FP64 is not FP32',
        ),
        (
            {"x": "FP64[-1,5]"}, {},
            '3:8: step "far": parameter "x" takes FP64[-1,5], and pre.pre is FP64[n,4]: axis 1 is 4, not 5',
        ),
        (
            {}, {"y": "INT64[-1]"},
            '4:9: step "post": parameter "y" takes FP32[n], and far.y is INT64[-1]: INT64 is not FP32',
        ),
    ],
)  # fmt: skip
def test_datatypes_and_dimensions_are_faults(inputs, outputs, expected):
    faults, notes, _ = told(inputs, outputs)
    assert (faults, notes) == ([expected], [])


def test_names_are_notes():
    faults, notes, _ = told({}, {"a": "FP32[-1]", "b": "FP32[-1]"})
    assert faults == []
    (note,) = notes
    assert note.startswith('4:9: note: step "post": no tensor feeds its parameter "y"; it reads "a" and "b"')


def test_a_server_that_tells_nothing_changes_nothing():
    faults, notes, interfaces = told({}, {})
    assert (faults, notes, interfaces["post"]) == ([], [], KNOWN["post"])

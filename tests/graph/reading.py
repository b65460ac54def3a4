"""How the tests of this folder read a graph file: one name, one environment, faults as the lines a user sees."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pipeline.graph.parse import parse
from pipeline.graph.source import Fault, GraphFaults, Node, plain

FILE = "graph.yaml"
ENVIRONMENT = {
    "N": "64",
    "WORD": "word",
    "EMPTY": "",
    "YES": "true",
    "EVIL": "{a: [1, *x]}\n- &y !!int 5",
    "NEST": "${N}",
}


def read(text: str | bytes, environment: Mapping[str, str] = ENVIRONMENT) -> Node:
    found: list[Fault] = []
    root = parse(text if isinstance(text, bytes) else text.encode(), FILE, environment, found)
    if root is None or found:
        raise GraphFaults(found)
    return root


def value(text: str | bytes) -> object:
    return plain(read(text))


def faults(text: str | bytes) -> list[str]:
    with pytest.raises(GraphFaults) as caught:
        read(text)
    assert len(str(caught.value).splitlines()) == len(caught.value.faults), "a fault is one line"
    return [str(fault) for fault in caught.value.faults]


def fault(text: str | bytes) -> str:
    (only,) = faults(text)
    return only

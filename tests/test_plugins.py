"""Plug-ins are files: one more of each kind in its folder is served, and nothing else is edited."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import networkx as nx
import pytest

import pipeline.runtimes
import pipeline.steps
import pipeline.wire
import storage
import storage.schemes
from pipeline.runtimes.catalog import runtimes
from pipeline.steps.catalog import step_kinds
from pipeline_serve import Pipeline, Step
from server.routes import Routes

KIND = """
from contextlib import asynccontextmanager
from pipeline.graph.interface import Interface
from pipeline.steps.catalog import Call
from pipeline.tensors.nested import tensor_of

KEYS = {"constant": ("unit",)}

def describe(step, home, faults):
    return Interface((), {step.name: None}, blocking=True, limit=None, takes_rest=True)

@asynccontextmanager
async def open_step(step, home):
    yield Call(lambda inputs, context: {step.name: tensor_of([step.target, step.options["unit"]])}, blocking=True)
"""
RUNTIME = """
from pipeline.runtimes.catalog import Opened
from pipeline.tensors.signature import Signature

SUFFIXES = (".toy",)
PARAMS = ()

def open_model(path, step, params, threads):
    return Opened(lambda inputs: {step: next(iter(inputs.values()))}, Signature())
"""
SCHEME = """
from storage.source import Local

KEYS = ("toy",)

def refusal(uri):
    return None

def open_source(uri, settings):
    return Local(settings.folder / uri.removeprefix("toy://"))
"""
PROTOCOL = """
from pipeline.tensors.message import AskLive
from pipeline.wire.codec import Reply, Route

ROUTES = (Route("GET", "/toy/alive", AskLive),)

def encode(result, options):
    return Reply(200, {}, (b"toy",))
"""

Add = Callable[[ModuleType, str], None]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Add:
    """Puts a file into a folder of plug-ins."""

    def add(folder: ModuleType, text: str) -> None:
        place = tmp_path / folder.__name__
        place.mkdir()
        # One name per test: what is imported once stays imported.
        name = "toy_" + re.sub(r"\W", "_", tmp_path.name)
        (place / f"{name}.py").write_text(text)
        monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(place)])

    return add


async def test_a_step_kind(add: Add) -> None:
    add(pipeline.steps, KIND)
    dag: nx.DiGraph[str] = nx.DiGraph()
    dag.add_node("answer", step=Step(constant="5", unit="cm"))
    async with Pipeline("m", dag) as model:
        assert (await model.infer({}))["answer"].tolist() == [b"5", b"cm"]
    assert Pipeline("m", model.dag).dag.nodes["answer"]["step"] == Step(constant="5", unit="cm", inputs=["request"])


async def test_a_runtime_and_a_storage_scheme(add: Add, tmp_path: Path) -> None:
    add(pipeline.runtimes, RUNTIME)
    add(storage.schemes, SCHEME)
    assert any(name.startswith("toy") for name in runtimes())
    (tmp_path / "model.toy").write_text("a toy")
    dag: nx.DiGraph[str] = nx.DiGraph()
    dag.add_node("answer", step=Step(model="toy://model.toy"))
    async with Pipeline("m", dag, folder=tmp_path) as model:
        assert (await model.infer({"x": [1, 2]}))["answer"].tolist() == [1, 2]


def test_a_protocol(add: Add) -> None:
    add(pipeline.wire, PROTOCOL)
    match = Routes().match("GET", "/toy/alive")
    assert match.codec.encode(None, None).body == (b"toy",)


def test_two_kinds_for_one_word_are_an_error_not_a_guess(add: Add) -> None:
    add(pipeline.steps, KIND.replace("constant", "run"))
    with pytest.raises(ValueError, match="two files of pipeline/steps answer to run"):
        step_kinds()

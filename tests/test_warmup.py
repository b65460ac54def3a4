"""``warmup``: who is called before its model is ready, with what, and whose failure keeps it from being so."""

from __future__ import annotations

import json
import logging
import os
import threading

import joblib
import pytest
import trio
from sklearn.linear_model import LinearRegression
from trio.testing import wait_all_tasks_blocked

from pipeline.observe import StepWarmed
from pipeline.pipeline import State
from pipeline.warmup import SECONDS, CannotWarmUp
from pipeline_serve import GraphFaults, Pipeline
from server.log import observer

APP = """
from typing import Annotated
import threading
import numpy as np, trio
from pipeline_serve import Context, Model
calls = []
def seen(x): calls.append(x); return x
def typed(x: Annotated[np.ndarray, "FP32[n,2]"]): calls.append(x); return x
def named(rows, factor=1): calls.append(rows); return rows
def refuses(x: Annotated[np.ndarray, "FP32[n,2]"]): raise ValueError("zeros are nothing to me")
def doubled(x) -> Annotated[np.ndarray, "FP32[n,2]"]: return x + 1
def seen_too(x): calls.append(x); return x
def asks(x, other): calls.append(x); return other(x)
def told(x, context: Context): calls.append(np.array([context.verb])); return x
class Types(Model):
    def get_input_types(self): return [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
    def load(self): self.ready = True
    def predict(self, payload): calls.append(payload["x"]); return payload["x"]
class Asking(Model):
    def __init__(self, name, predictor_host): super().__init__(name); self.predictor_host = predictor_host
    def load(self): self.ready = True
    def preprocess(self, payload): calls.append(payload["x"]); return payload
class Kept:
    def __call__(self, x): calls.append(x); return x
entered, go_on = threading.Event(), threading.Event()
def waits(x): entered.set(); go_on.wait(10); return x
async def forever(x: Annotated[np.ndarray, "FP32[n,2]"]): await trio.sleep_forever()
"""
V1 = {"instances": [[1.0, 2.0]]}
V2 = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [3, 4]}]}


@pytest.fixture
def opened(write, monkeypatch):
    """Opens the graph of that text: its calls before it is ready, and what it told."""
    folder = write("app.py", APP)
    joblib.dump(LinearRegression().fit([[0.0, 1.0], [2.0, 3.0]], [1.0, 5.0]), folder / "m.joblib")
    for name, body in (("v1.json", V1), ("v2.json", V2), ("other.json", {"a": 1}), ("wide.json", {"instances": [[1]]})):
        write(name, json.dumps(body))
    write("broken.json", "{")
    monkeypatch.chdir(folder)

    async def opened(text):
        write("graph.yaml", text)
        model = Pipeline.from_file("graph.yaml")
        told = []
        model.observers.append(told.append)
        async with model:
            called = [own.tolist() for own in _calls(model)]
        return called, [own for own in told if isinstance(own, StepWarmed)]

    return opened


def _calls(model):
    import app  # noqa: PLC0415  # the test's own

    return app.calls


SCHEMA = "schema: {inputs: {x: 'FP32[n,2]'}}\n"
RUN = "steps:\n  a: {{run: app.py:{}, warmup: {}}}\n"


@pytest.mark.parametrize(
    ("text", "called"),
    [
        # Whoever declares no inputs is not called, unless it asks.
        ("steps: {a: app.py:typed}\n", []),
        (SCHEMA + "steps: {a: app.py:seen}\n", [[[0.0, 0.0]]]),
        (SCHEMA + "steps: {a: app.py:Kept}\n", [[[0.0, 0.0]]]),
        (SCHEMA + RUN.format("seen", "false"), []),
        # What the first gives is told by it, what the second gives by nobody.
        (SCHEMA + "steps: [app.py:doubled, app.py:seen, app.py:seen_too]\n", [[[0.0, 0.0]]]),
        (SCHEMA + "steps: {p: {model: m.joblib}, a: app.py:seen}\n", [[0.0]]),
        (SCHEMA + "steps: {a: {run: app.py:named, each: rows, inputs: {rows: request.x}}}\n", [[0.0, 0.0]]),
        # They act on the world, ask other steps, or are asked by those.
        (SCHEMA + "steps: {p: {model: m.joblib}, a: {run: app.py:seen, inputs: request, detached: true}}\n", []),
        (SCHEMA + "steps:\n  a: app.py:seen\n  b: {run: app.py:asks, inputs: request, handles: {other: a}}\n", []),
        (SCHEMA + "steps: {a: {run: app.py:asks, inputs: {x: request.x, other: headers.y}}}\n", []),
        (SCHEMA + "steps: {a: {run: app.py:named, inputs: {rows: request.x, factor: headers.y}}}\n", [[[0.0, 0.0]]]),
        ("steps: {a: app.py:Types}\n", []),
        (SCHEMA + "steps: {a: app.py:Types}\n", [[[0.0, 0.0]]]),
        (SCHEMA + "steps: {a: {run: app.py:Asking, params: {predictor_host: 'localhost:1'}}}\n", []),
        (RUN.format("typed", "true"), [[[0.0, 0.0]]]),
        (RUN.format("typed", "false"), []),
        (RUN.format("seen", "true"), []),
        ("schema: {inputs: {x: 'FP32[n,3]'}}\n" + RUN.format("seen", "true"), [[[0.0, 0.0, 0.0]]]),
        (RUN.format("seen", "v1.json"), [[[1.0, 2.0]]]),
        (RUN.format("seen", "v2.json"), [[[3.0, 4.0]]]),
        (RUN.format("named", "v1.json"), [[[1.0, 2.0]]]),
        (RUN.format("typed", "v2.json"), [[[3.0, 4.0]]]),
        ("steps:\n  a: {run: app.py:named, each: rows, warmup: v1.json}\n", [[1.0, 2.0]]),
        ("steps:\n  a: {run: app.py:typed, place: loop, warmup: true}\n", [[[0.0, 0.0]]]),
        ("steps:\n  a: app.py:seen\n  b: {run: app.py:typed, inputs: request, detached: true, warmup: true}\n",
         [[[0.0, 0.0]]]),
    ],
)  # fmt: skip
async def test_a_step_is_called_once_where_that_is_asked_for_and_known_with_what(opened, imports, text, called):
    calls, told = await opened(text)
    assert calls == called
    assert {(own.model, own.reason) for own in told} <= {("graph", None)}
    assert bool(told) or not called


async def test_what_only_explains_is_asked_to_explain(opened, imports):
    graph = (
        SCHEMA + "steps: {a: app.py:told, b: {run: app.py:told, inputs: request}}\noutput: {predict: a, explain: b}\n"
    )
    calls, _ = await opened(graph)
    assert calls == [["predict"], ["explain"]]


async def test_a_model_is_warm_before_it_is_ready_unless_it_says_no(opened):
    _, told = await opened("steps:\n  p: {model: m.joblib}\n")
    assert [(own.step, own.reason) for own in told] == [("p", None)]
    _, told = await opened("steps:\n  p: {model: m.joblib, warmup: false}\n")
    assert told == []
    _, told = await opened("steps:\n  p: {model: m.joblib, warmup: v1.json}\n")
    assert [(own.step, own.reason) for own in told] == [("p", None)]


async def test_zeros_that_do_not_suit_a_step_are_told_and_no_more(opened, imports, caplog):
    _, told = await opened(RUN.format("refuses", "true"))
    assert [own.reason for own in told] == ["ValueError: zeros are nothing to me"]
    with caplog.at_level(logging.INFO):
        observer(told[0])
        observer(StepWarmed("m", "1", "a", 0.5, None))
    assert [(own.levelname, own.message) for own in caplog.records] == [
        ("WARNING", caplog.records[0].message),
        ("INFO", 'model "m": step "a" is warm after 0.50 s'),
    ]
    assert "zeros are nothing to me; warmup: FILE of a request, or false" in caplog.records[0].message


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ("{run: app.py:refuses, warmup: v2.json}", "ValueError: zeros are nothing to me"),
        ("{model: m.joblib, warmup: wide.json}", r"InvalidInput: .*expected \[-1,2\], got \[1,1\]"),
    ],
)
async def test_an_authors_own_request_that_fails_keeps_the_model_from_being_ready(opened, step, says):
    with pytest.raises(CannotWarmUp, match=rf'step "a": warmup: "\w+\.json" failed: {says}'):
        await opened(f"steps:\n  a: {step}\n")


async def test_a_step_that_does_not_end_is_given_up(opened, imports, autojump_clock):
    _, told = await opened(RUN.format("forever", "true"))
    assert [own.reason for own in told] == [f"it took longer than {SECONDS:.0f} s"]
    with pytest.raises(CannotWarmUp, match=r'step "a": warmup: "v2.json" failed: it took longer than'):
        await opened(RUN.format("forever", "v2.json"))


async def test_a_load_that_is_cancelled_while_it_warms_up_is_closed(write, monkeypatch, autojump_clock):
    monkeypatch.chdir(write("app.py", APP))
    write("graph.yaml", RUN.format("forever", "true"))
    model = Pipeline.from_file("graph.yaml")
    with trio.move_on_after(1) as scope:
        await model.__aenter__()
    assert (scope.cancelled_caught, model.state) == (True, State.CLOSED)


@pytest.mark.parametrize(
    ("warmup", "says"),
    [
        ("gone.json", '2:33: step "a": warmup: "gone.json" cannot be read: No such file or directory'),
        ("other.json", '2:33: step "a": warmup: "other.json" is no inference request of any protocol'),
        ("broken.json", '2:33: step "a": warmup: "broken.json" is no inference request: Unrecognized'),
        ('"a\\0b"', 'cannot be read: embedded null'),
        ("3", "2:33: warmup is true, false, or the file of a request, not 3"),
        ("[a]", "2:33: warmup is true, false, or the file of a request, not a list"),
        ('""', '2:33: warmup is true, false, or the file of a request, not the text ""'),
    ],
)  # fmt: skip
async def test_a_file_that_is_no_request_is_a_fault(opened, warmup, says):
    with pytest.raises(GraphFaults) as caught:
        await opened(RUN.format("seen", warmup))
    assert says in str(caught.value)


async def test_others_answer_while_a_step_is_warmed_up_and_while_its_request_is_read(opened, imports, write):
    write("graph.yaml", RUN.format("waits", "v1.json"))
    warming = Pipeline.from_file("graph.yaml")
    sample = write("other.yaml", "steps: [app.py:seen]\n") / "v1.json"
    # A file that is as slow to read as this test says.
    sample.unlink()
    os.mkfifo(sample)
    answered, read_late = threading.Event(), []

    def author():
        read_late.append(not answered.wait(10))
        sample.write_text(json.dumps(V1))

    async with Pipeline.from_file("other.yaml") as other, trio.open_nursery() as nursery:
        import app  # noqa: PLC0415  # the test's own

        thread = threading.Thread(target=author)
        thread.start()
        nursery.start_soon(_open, warming)
        await wait_all_tasks_blocked()
        await other.infer({"x": [1.0]})
        answered.set()
        assert await trio.to_thread.run_sync(app.entered.wait, 10)
        await other.infer({"x": [1.0]})
        assert (warming.state, read_late) == (State.LOADING, [False])
        app.go_on.set()
    thread.join()
    assert warming.state is State.CLOSED


async def _open(model):
    async with model:
        assert model.is_ready

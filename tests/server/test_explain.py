"""An explanation over the wire: its predictions run in the server's own process, and end when the client leaves."""

from __future__ import annotations

import socket

import pytest

from pipeline.observe import RequestDone
from pipeline_serve import Pipeline
from tests.serving import run, serving

GRAPH = """
name: why
steps:
  clean: app.py:clean
  score: app.py:score
  importance: {run: app.py:importance, inputs: request, handles: {predict: score}}
  endless: {run: app.py:endless, inputs: request, handles: {predict: score}}
output: {predict: score, explain: IMPORTANCE}
"""
# The process opens no file and no socket while it explains: the numbers of the descriptors tell.
APP = """
import os, pathlib, socket
import numpy as np

def clean(rows): return rows
def score(rows): return rows.sum(axis=1)
async def score_async(rows): return rows.sum(axis=1)

def descriptors(): return sorted(os.listdir("/proc/self/fd"))

def refuse(*arguments, **named): raise AssertionError("a socket was opened")

def importance(rows, predict):
    before, original = descriptors(), socket.socket.__init__
    socket.socket.__init__ = refuse
    try:
        base = predict(rows)
        found = np.zeros(rows.shape[1])
        for number in range(500):
            column = number % rows.shape[1]
            other = rows.copy()
            other[:, column] = 0
            found[column] += float(np.abs(base - predict(other)).sum())
    finally:
        socket.socket.__init__ = original
    assert descriptors() == before
    return found

def endless(rows, predict):
    calls, log = 0, pathlib.Path("calls")
    try:
        while True:
            predict(rows)
            calls += 1
            log.write_text(str(calls))
    finally:
        pathlib.Path("ended").write_text(str(calls))
"""
ROWS = {"instances": [[1.0, 2.0, 3.0, 4.0]]}
V2 = {"inputs": [{"name": "rows", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4]}]}


@pytest.mark.parametrize("score", ["app.py:score", "app.py:score_async"])
def test_five_hundred_perturbations_run_in_process_and_no_socket_is_opened(tmp_path, score):
    graph = GRAPH.replace("IMPORTANCE", "importance").replace("app.py:score", score)
    graph = graph.replace("  endless: {run: app.py:endless, inputs: request, handles: {predict: score}}\n", "")
    with serving(tmp_path, {"graph.yaml": graph, "app.py": APP}) as server:
        assert server.post("/v1/models/why:explain", ROWS).json() == {"explanations": [125, 250, 375, 500]}
        (answer,) = server.post("/v2/models/why/explain", V2).json()["outputs"]
        assert answer["data"] == [125, 250, 375, 500]
        assert server.post("/v1/models/why:predict", ROWS).json() == {"predictions": [10]}
        metrics = server.get("/metrics").text
        assert 'request_explain_seconds_count{model_name="why"} 2.0' in metrics


async def test_what_an_explainer_calls_is_no_prediction_of_anybodys(write):
    """It is in no phase's time, which the metrics sum: of an explanation nothing but the explainer is."""
    why = "def why(rows, predict): return sum(predict(rows) for _ in range(5))\n"
    write("app.py", f"def score(rows): return rows.sum(axis=1)\n{why}")
    steps = "{score: app.py:score, why: {run: app.py:why, inputs: request, handles: {predict: score}}}"
    folder = write("graph.yaml", f"name: why\nsteps: {steps}\noutput: {{predict: score, explain: why}}\n")
    events = []
    pipeline = Pipeline.from_file(folder / "graph.yaml")
    pipeline.observers.append(events.append)
    async with pipeline:
        assert (await pipeline.infer({"rows": [[1.0, 2.0]]}, verb="explain"))["why"].tolist() == [15]
        await pipeline.infer({"rows": [[1.0, 2.0]]})
    explained, predicted = (event for event in events if isinstance(event, RequestDone))
    assert [(span.step, span.phase) for span in explained.spans] == [("why", "explain")]
    assert [(call.step, call.called, call.count) for call in explained.calls] == [("why", "score", 5)]
    assert [(span.step, span.phase) for span in predicted.spans] == [("score", "predict")]


@pytest.mark.parametrize("score", ["app.py:score", "app.py:score_async"])
def test_when_the_client_leaves_the_explainer_stops_calling(tmp_path, score):
    graph = GRAPH.replace("IMPORTANCE", "endless").replace("app.py:score", score)
    graph = graph.replace("  importance: {run: app.py:importance, inputs: request, handles: {predict: score}}\n", "")
    body = b'{"instances": [[1.0, 2.0]]}'
    with serving(tmp_path, {"graph.yaml": graph, "app.py": APP}) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
            head = f"POST /v1/models/why:explain HTTP/1.1\r\nhost: h\r\ncontent-length: {len(body)}\r\n\r\n"
            client.sendall(head.encode() + body)
            server.wait_until("it explains", (tmp_path / "calls").exists)
        server.wait_until("the explainer ended", (tmp_path / "ended").exists)
        # It ended by itself: nothing but a cancellation ends that loop.
        assert "Traceback" not in server.stderr
        assert server.post("/v1/models/why:predict", ROWS).json() == {"predictions": [10]}


def test_a_graph_without_an_explanation_answers_501(tmp_path):
    files = {"graph.yaml": "name: why\nsteps: [app.py:clean]\n", "app.py": APP}
    with serving(tmp_path, files) as server:
        for path, body in (("/v1/models/why:explain", ROWS), ("/v2/models/why/explain", V2)):
            reply = server.post(path, body)
            assert (reply.status_code, reply.json()["error"]) == (501, "Could not find explainer_host.")


def test_run_tells_what_was_called_and_how_often_and_waits_for_what_is_detached(tmp_path):
    graph = """
name: why
steps:
  score: app.py:score
  importance: {run: app.py:importance, inputs: request, handles: {predict: score}}
  log: {run: app.py:log, inputs: request, detached: true}
  broken: {run: app.py:broken, inputs: request, detached: true}
output: {predict: score, explain: importance}
"""
    app = (
        APP.replace("assert descriptors() == before", "")
        + "\ndef log(rows): pathlib.Path('logged').touch(); return 1\ndef broken(rows): raise ValueError('oh')\n"
    )
    for name, text in {"graph.yaml": graph, "app.py": app, "request.json": '{"instances": [[1.0, 2.0]]}'}.items():
        (tmp_path / name).write_text(text)
    done = run(tmp_path, "run", "graph.yaml", "request.json", "--verb", "explain")
    assert (done.returncode, done.stdout) == (0, '{"explanations":[250.0,500.0]}\n')
    assert "score ×501 for importance" in done.stderr
    assert "log (detached)" in done.stderr
    assert 'detached step "broken" of model "why" failed: ValueError: oh' in done.stderr
    assert (tmp_path / "logged").exists()


def test_check_shows_who_calls_whom(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "graph.yaml").write_text(GRAPH.replace("IMPORTANCE", "[importance, endless]"))
    done = run(tmp_path, "check", "graph.yaml")
    assert done.returncode == 0, done.stderr
    assert "score      → importance.predict  called" in done.stdout

"""Log lines: one event each, whatever is in it; the same facts as text and as JSON."""

from __future__ import annotations

import io
import json
import logging
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Code, ModelNotReady, Overloaded, retold
from pipeline.observe import DetachedDone, LimitReached, ModelFailed, ModelLoaded, RemoteTurned, RequestDone, Span
from server import log
from server.access import Answered

UNREADY = retold(ModelNotReady, Code.UNAVAILABLE, "m is not.", internals="load says no")
START = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} "


pytestmark = pytest.mark.usefixtures("own_logging")


def written(form, act, monkeypatch, *, level="info", several=False) -> str:
    """What reaches stderr."""
    stream = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stderr", stream)
        log.configure(level, form, several=several)
    act()
    return stream.getvalue()


def test_the_access_line_has_the_same_facts_in_both_forms(monkeypatch):
    def act():
        log.answered(Answered("id-1", "GET", "/v2", 200, 0.0123, 45))

    text = written("text", act, monkeypatch)
    assert re.fullmatch(START + r"INFO    pipeline_serve\.access: GET /v2 200 12\.3 ms 45 B \[id-1\]\n", text)
    line = json.loads(written("json", act, monkeypatch))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "info", "logger": "pipeline_serve.access", "message": "GET /v2 200 12.3 ms 45 B",
        "request_id": "id-1", "method": "GET", "path": "/v2", "status": 200, "ms": 12.3, "bytes": 45,
    }  # fmt: skip


def test_of_several_processes_a_line_says_whose_it_is(monkeypatch):
    def act():
        logging.getLogger("own").warning("hm")

    text = written("text", act, monkeypatch, several=True)
    assert re.fullmatch(START + rf"WARNING {os.getpid()} own: hm\n", text)
    assert json.loads(written("json", act, monkeypatch, several=True))["process"] == os.getpid()
    assert "process" not in json.loads(written("json", act, monkeypatch))


def test_a_path_of_any_length_is_a_line_of_a_bounded_one(monkeypatch):
    text = written("text", lambda: log.answered(Answered("id-1", "GET", "/" + "a" * 9_000, 404, 0, 0)), monkeypatch)
    assert "a" * 255 + "… 404" in text
    assert len(text) < 400


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_failure_of_another_server_is_one_line_with_what_its_caller_was_not_told(monkeypatch, form):
    def act():
        log.failed_because("id-0", "POST /y", "it took too long")
        log.failed_because("id-1", "POST /x", "it answered 404", "http://far: \x1b[2J")

    text = written(form, act, monkeypatch)
    assert text.count("\n") == 2
    assert "\x1b" not in text
    if form == "text":
        first = r"WARNING pipeline_serve: POST /y failed: it took too long \[id-0\]\n"
        second = r"WARNING pipeline_serve: POST /x failed: it answered 404 \(http://far: \\x1b\[2J\) \[id-1\]\n"
        assert re.fullmatch(START + first + START + second, text)


def test_a_remote_that_turns_is_told_with_the_reason(monkeypatch):
    def act():
        log.observer(RemoteTurned("m", "1", "predict", "http://far: loading"))
        log.observer(RemoteTurned("m", "1", "predict", None))

    no, yes = written("text", act, monkeypatch).splitlines()
    told = 'WARNING pipeline_serve: model "m" version 1 is not ready: the server that step "predict" calls is not: '
    assert no.endswith(told + "http://far: loading")
    assert yes.endswith('INFO    pipeline_serve: model "m" version 1: the server that step "predict" calls is ready')


@pytest.mark.parametrize(("level", "count"), [("debug", 1), ("info", 0), ("error", 0)])
def test_a_call_to_another_server_is_a_line_where_everything_is(monkeypatch, level, count):
    def act():
        logging.getLogger("httpx").info("HTTP Request: …")

    assert written("text", act, monkeypatch, level=level).count("\n") == count


def test_what_opens_a_url_is_not_in_the_line_of_its_call(monkeypatch):
    url = "http://me:hunter2@h/m.bin?X-Amz-Signature=hunter2"

    def act():
        logging.getLogger("httpx").info('HTTP Request: %s %s "%s"', "GET", url, "HTTP/1.1 200 OK")
        logging.getLogger("httpcore.http11").debug("receive_response_headers.complete %r", [(b"location", url)])

    line = written("text", act, monkeypatch, level="debug")
    assert line.endswith('HTTP Request: GET http://h/m.bin "HTTP/1.1 200 OK"\n')
    assert line.count("\n") == 1


def test_a_failure_has_its_traceback_and_the_request_id(monkeypatch):
    error = ValueError("one\n2026-01-01 00:00:00.000 INFO    forged\x1b[2J")
    error.add_note('in step "answer"')

    def act():
        log.failed("id-1", "POST /x", error)

    text = written("text", act, monkeypatch)
    assert re.match(START + r"ERROR   pipeline_serve: POST /x failed: ValueError \[id-1\]\n  ", text)
    assert len(re.findall("^" + START, text, re.MULTILINE)) == 1
    assert "\x1b" not in text
    assert text.endswith('\n  in step "answer"\n')
    line = json.loads(written("json", act, monkeypatch))
    assert (line["request_id"], line["level"]) == ("id-1", "error")
    assert line["traceback"].endswith('in step "answer"\n')


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_path_message_or_error_can_be_more_than_one_event(form, monkeypatch):
    @given(st.text(max_size=50), st.text(max_size=50))
    def holds(path, message):
        def act():
            log.answered(Answered("id", "GET", f"/{path}", 200, 0, 0))
            logging.getLogger("user").warning("%s", f"a{message}")
            log.failed("id", f"GET /{path}", ValueError(message))

        lines = written(form, act, monkeypatch).split("\n")
        assert lines.pop() == ""
        assert all(line.isprintable() for line in lines)
        if form == "json":
            assert [json.loads(line)["level"] for line in lines] == ["info", "warning", "error"]
        else:
            assert sum(not line.startswith("  ") for line in lines) == 3

    holds()


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (ModelLoaded("m", "1", 1.234), 'model "m" version 1 is loaded after 1.23 s'),
        (ModelFailed("m", "1", OSError("no file")), 'model "m" version 1 failed to load: OSError: no file'),
        (ModelFailed("m", "1", UNREADY), 'model "m" version 1 failed to load: ModelNotReady: m is not. (load says no)'),
        (LimitReached("m", "s", 1), 'requests wait for step "s" of model "m": a class runs 1 at a time'),
        (RequestDone("m", "1", "predict", "id", 0.1, None, ()), ""),
        (DetachedDone("m", "1", "s", "id", 0.1, None), ""),
        (DetachedDone("m", "1", "s", "id", 0.1, OSError("no")), 'detached step "s" of model "m" failed: OSError: no'),
        (
            DetachedDone("m", "1", "s", "id", 0.0, Overloaded("s")),
            'detached step "s" of model "m" is dropped: Overloaded',
        ),
    ],
)
def test_what_happens_to_a_model_is_said_and_requests_are_left_to_the_access_line(event, says, monkeypatch):
    text = written("text", lambda: log.observer(event), monkeypatch)
    assert says in text
    assert (text == "") == (says == "")


def test_the_latency_line_has_kserves_words_and_only_where_there_was_an_answer(monkeypatch):
    spans = (
        Span("a", "preprocess", 0.0, 0.001),
        Span("b", "predict", 0.001, 0.0035),
        Span("c", "predict", 0.002, 0.005),
    )

    def act():
        log.latency(RequestDone("m", "1", "predict", "id-1", 0.1, None, spans))
        log.latency(RequestDone("m", "1", "predict", "id-2", 0.1, Code.INTERNAL, spans))
        log.latency(ModelLoaded("m", "1", 0))

    text = written("text", act, monkeypatch)
    says = "requestId: id-1, preprocess_ms: 1, explain_ms: 0, predict_ms: 4, postprocess_ms: 0 [id-1]"
    assert re.fullmatch(START + re.escape(f"INFO    pipeline_serve.trace: {says}\n"), text)
    line = json.loads(written("json", act, monkeypatch))
    assert (line["preprocess_ms"], line["predict_ms"], line["request_id"]) == (1.0, 4.0, "id-1")


def test_an_access_line_in_a_form_of_ones_own_is_one_event_too(monkeypatch):
    event = Answered("id", "GET", "/a\nb " + "c" * 9_000, 404, 0, 0)
    text = written("text", lambda: log.answered(event, "%(m)s:%(U)s:%(s)s"), monkeypatch)
    assert re.fullmatch(START + r"INFO    pipeline_serve\.access: GET:/a\\nb\\x20c+…:404 \[id\]\n", text)
    assert len(text) < 500


def test_the_level_is_heeded(monkeypatch):
    def act():
        log.answered(Answered("id", "GET", "/", 200, 0, 0))
        log.observer(ModelLoaded("m", "1", 0))

    assert written("text", act, monkeypatch, level="warning") == ""
    assert "is loaded" in written("text", act, monkeypatch)


class Sloppy(Exception):
    """Raises at nearly every look at it: its author mistook KeyError for AttributeError."""

    def __getattr__(self, name):
        return {}[name]

    def __str__(self):
        raise ValueError("no words")


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_error_that_cannot_be_looked_at_is_logged_with_where_it_came_from(form, monkeypatch):
    try:
        raise Sloppy
    except Sloppy as error:
        raised = error
    text = written(form, lambda: log.failed("id-1", "POST /", raised), monkeypatch)
    assert "test_an_error_that_cannot_be_looked_at" in text
    assert "Sloppy" in text
    assert "id-1" in text

"""KServe's four histograms, counted from the events of pipelines."""

from __future__ import annotations

import os
import re
from pathlib import Path

import networkx as nx
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import wait_all_tasks_blocked

from pipeline.errors import Code
from pipeline.observe import ModelLoaded, ModelUnloaded, RequestDone, Span
from pipeline_serve import Pipeline, Step
from server.access import Answered
from server.metrics import Metrics
from storage.events import Fetched, Kept, Listed, Moved

# From Python 3.12 on a fork beside a thread warns, and who runs the tests may have some.
FORKS = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def samples(metrics: Metrics, **headers: str) -> dict[tuple[str, str], float]:
    """(sample, model) → value, of the sums and counts."""
    text = b"".join(metrics.page(headers).body).decode()
    return {
        (sample.name, sample.labels["model_name"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.endswith(("_sum", "_count")) and "model_name" in sample.labels
    }


def done(*spans: Span, verb: str = "predict", code: Code | None = None) -> RequestDone:
    return RequestDone("m", "1", verb, "id", 9.0, code, spans)


def test_a_phase_lasts_from_its_first_steps_start_to_its_last_steps_end():
    metrics = Metrics()
    metrics(done(Span("a", "preprocess", 1, 2), Span("b", "predict", 2, 4), Span("c", "predict", 3, 7)))
    found = samples(metrics)
    assert found["request_preprocess_seconds_sum", "m"] == 1
    assert found["request_predict_seconds_sum", "m"] == 5, "steps beside each other are not counted twice"
    assert found["request_postprocess_seconds_sum", "m"] == 0


@pytest.mark.parametrize("code", [None, Code.INTERNAL, Code.DEADLINE_EXCEEDED])
def test_an_answered_request_passed_all_three_phases_and_one_that_failed_those_that_began(code):
    metrics = Metrics()
    assert samples(metrics) == {}, "a series appears with the first request"
    metrics(done(Span("p", "preprocess", 1, 3), code=code))
    counts = {name: value for (name, _), value in samples(metrics).items() if name.endswith("_count")}
    passed = ("preprocess",) if code else ("preprocess", "predict", "postprocess")
    assert counts == {f"request_{phase}_seconds_count": 1 for phase in passed}
    metrics(done(Span("e", "explain", 1, 3), verb="explain", code=code))
    assert samples(metrics)["request_explain_seconds_sum", "m"] == 2


def text_of(metrics: Metrics) -> str:
    return b"".join(metrics.page({}).body).decode()


def test_requests_are_counted_by_how_they_ended_and_calls_by_their_status_with_their_bytes():
    metrics = Metrics()
    for code in (None, None, Code.RESOURCE_EXHAUSTED):
        metrics(done(code=code))
    for status, received, sent in ((200, 10, 100), (200, 5, 50), (404, 0, 7)):
        metrics.answered(Answered("id", "GET", "/", status, 0.1, sent, received=received))
    text = text_of(metrics)
    assert 'requests_total{code="OK",model_name="m"} 2.0' in text
    assert 'requests_total{code="RESOURCE_EXHAUSTED",model_name="m"} 1.0' in text
    assert 'http_requests_total{status="200"} 2.0' in text
    assert 'http_requests_total{status="404"} 1.0' in text
    assert "http_request_bytes_total 15.0" in text
    assert "http_response_bytes_total 157.0" in text
    metrics(ModelUnloaded("m", "1", replaced=False))
    assert 'model_name="m"' not in text_of(metrics)


async def test_who_is_inside_of_a_model_and_who_waits_is_what_it_is_when_it_is_asked_for():
    metrics, going = Metrics(), trio.Event()

    async def wait(x):
        await going.wait()
        return x

    dag = nx.DiGraph()
    dag.add_node("wait", step=Step(run=wait))
    async with Pipeline("m", dag, limit=2, queue=5) as pipeline, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(pipeline.infer, {"x": [1.0]})
        await wait_all_tasks_blocked()
        metrics.standing([pipeline])
        text = text_of(metrics)
        assert 'requests_in_flight{model_name="m"} 2.0' in text
        assert 'requests_queued{model_name="m"} 1.0' in text
        going.set()
    metrics.standing([pipeline])
    assert 'requests_in_flight{model_name="m"} 0.0' in text_of(metrics)


def downloads(metrics):
    text = text_of(metrics)
    return [line for line in text.splitlines() if line.startswith("model_download") and "_total" in line]


def test_downloads_are_counted_by_scheme_as_they_come():
    metrics = Metrics()
    for event in (Listed("s3://b/m", 1, 10, 0), Moved("s3://b/m", 4, 10)):
        metrics.pulled(event)
    assert downloads(metrics) == ['model_download_bytes_total{scheme="s3"} 4.0']
    for event in (Moved("s3://b/m", 10, 10), Fetched("s3://b/m", 10, 0.5)):
        metrics.pulled(event)
    for event in (Listed("s3://b/n", 1, 20, 15), Moved("s3://b/n", 20, 20), Fetched("s3://b/n", 5, 1.5)):
        metrics.pulled(event)
    assert downloads(metrics) == [
        'model_download_bytes_total{scheme="s3"} 15.0', 'model_download_seconds_total{scheme="s3"} 2.0'
    ]  # fmt: skip


def test_what_is_started_over_or_ends_early_is_counted_once():
    metrics = Metrics()
    for event in (Listed("s3://b/m", 1, None, 0), *(Moved("s3://b/m", done, None) for done in (8, 3, 10))):
        metrics.pulled(event)
    metrics.pulled(Kept("s3://b/m", Path("work")))
    metrics.pulled(Moved("s3://b/m", 12, None))
    assert downloads(metrics) == ['model_download_bytes_total{scheme="s3"} 10.0'], "of what is unknown nothing"


def test_other_events_count_nothing_and_two_servers_count_apart():
    one, another = Metrics(), Metrics()
    one(ModelLoaded("m", "1", 1.0))
    assert samples(one) == {}
    one(done())
    assert samples(another) == {}


@pytest.mark.parametrize(
    ("accept", "content_type", "end"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8", b"\n"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", b"\n"),
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0; charset=utf-8", b"# EOF\n"),
    ],
)
def test_the_form_follows_the_accept_header(accept, content_type, end):
    reply = Metrics().page({"accept": accept} if accept else {})
    assert (reply.status, reply.headers["content-type"]) == (200, content_type)
    assert b"".join(reply.body).endswith(end)


@pytest.mark.parametrize(
    "accept", ["text/plain; version=x", "application/openmetrics-text; version=x", ";;;", "*/*;q=x"]
)
def test_whatever_is_accepted_the_page_is_there(accept):
    assert Metrics().page({"accept": accept}).status == 200


@FORKS
def test_of_several_workers_whoever_is_asked_shows_the_sum_and_nothing_is_lost_with_one_of_them():
    metrics = Metrics(workers=2)

    def worker(part: int) -> None:
        process = os.fork()
        if not process:
            metrics.tally.take(part)
            metrics(done(Span("p", "predict", 1, 3)))
            os._exit(0)
        os.waitpid(process, 0)

    worker(0)
    worker(1)
    metrics.serving(2)
    for _ in range(2):
        assert samples(metrics)["request_predict_seconds_sum", "m"] == 4
        assert samples(metrics)["request_predict_seconds_count", "m"] == 2
        metrics.ended(0, cpu=1000.0, replaced=True)
    text = b"".join(metrics.page({}).body).decode()
    assert "\nworkers 2.0\n" in text
    assert "\nworker_restarts_total 2.0\n" in text
    (cpu,) = re.findall(r"^process_cpu_seconds_total (.*)", text, re.MULTILINE)
    assert 2000 < float(cpu) < 3000, "of this process, and of those that ended"
    assert "ended_process" not in text
    metrics.tally.take(0)
    metrics(ModelUnloaded("m", "1", replaced=False))
    assert samples(metrics)["request_predict_seconds_count", "m"] == 1, "the other has not unloaded it yet"


def test_of_a_single_worker_nothing_is_said_of_workers():
    text = b"".join(Metrics().page({}).body).decode()
    assert "worker" not in text
    assert "python_gc_collections_total" in text


def test_what_is_counted_after_another_part_is_taken_stands_there():
    metrics = Metrics(workers=2)
    for part in (0, 1):
        metrics.tally.take(part)
        metrics(done(Span("p", "predict", 1, 3)))
    assert samples(metrics)["request_predict_seconds_sum", "m"] == 4
    metrics(ModelUnloaded("m", "1", replaced=False))
    assert samples(metrics)["request_predict_seconds_sum", "m"] == 2, "what the other part has is its own"


def test_a_model_that_is_unloaded_begins_anew_and_leaves_its_place_to_others():
    metrics = Metrics()
    metrics(done(Span("p", "predict", 1, 3)))
    metrics(ModelUnloaded("m", "1", replaced=False))
    assert samples(metrics) == {}
    metrics(RequestDone("n", "1", "predict", "id", 9.0, None, [Span("p", "predict", 1, 2)]))
    metrics(done(Span("p", "predict", 1, 5)))
    found = samples(metrics)
    assert [found["request_predict_seconds_sum", model] for model in ("n", "m")] == [1, 4]
    assert [found["request_preprocess_seconds_count", model] for model in ("n", "m")] == [1, 1]

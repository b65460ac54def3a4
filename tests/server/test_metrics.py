"""KServe's four histograms, counted from the events of pipelines."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.errors import Code
from pipeline.observe import ModelLoaded, RequestDone, Span
from server.metrics import Metrics
from storage.events import Fetched, Moved


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


def test_downloads_are_counted_by_scheme():
    metrics = Metrics()
    for event in (Fetched("s3://b/m", 10, 0.5), Moved("s3://b/m", 5, 10), Fetched("s3://b/n", 20, 1.5)):
        metrics.pulled(event)
    text = b"".join(metrics.page({}).body).decode()
    assert 'model_download_bytes_total{scheme="s3"} 30.0' in text
    assert 'model_download_seconds_total{scheme="s3"} 2.0' in text


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

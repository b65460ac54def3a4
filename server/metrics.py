"""Prometheus metrics: KServe's four histograms, from the events of the pipelines, and what storage downloads.

Source: KServe's ``kserve/metrics.py``: names, help texts, the label ``model_name`` and the default buckets.
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from pipeline.graph.phases import PHASES
from pipeline.observe import Event, ModelUnloaded, RequestDone, walls
from pipeline.wire.codec import Reply
from storage.events import Event as Pulled
from storage.events import Fetched

_HELP = {"preprocess": "pre-process", "predict": "predict", "postprocess": "post-process", "explain": "explain"}


class Metrics:
    """An observer that counts, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._phases = {
            phase: Histogram(
                f"request_{phase}_seconds", f"{text} request latency", ["model_name"], registry=self._registry
            )
            for phase, text in _HELP.items()
        }
        self._pulled = {
            "bytes": Counter("model_download_bytes", "Bytes of models downloaded", ["scheme"], registry=self._registry),
            "seconds": Counter("model_download_seconds", "Time it took", ["scheme"], registry=self._registry),
        }

    def __call__(self, event: Event) -> None:
        match event:
            case RequestDone(model, _, verb, code=code, spans=spans):
                wall = walls(spans)
                # As in KServe an answered request passed all three hooks, one that has no such step in no time; one
                # that failed passed those that began.
                passed = (*PHASES, verb) if verb == "explain" else PHASES
                for phase in passed if code is None else wall:
                    start, end = wall.get(phase, (0.0, 0.0))
                    self._phases[phase].labels(model).observe(end - start)
            case ModelUnloaded(model, replaced=False):
                # Or a server that is given one model after another would have all their names for good.
                for histogram in self._phases.values():
                    histogram.remove(model)

    def pulled(self, event: Pulled) -> None:
        """Counts what is downloaded, by the scheme of its URI."""
        match event:
            case Fetched(source, size, seconds):
                scheme = source.partition("://")[0]
                self._pulled["bytes"].labels(scheme).inc(size)
                self._pulled["seconds"].labels(scheme).inc(seconds)

    def page(self, headers: Mapping[str, str]) -> Reply:
        """In the form that the ``accept`` header asks for: Prometheus text or OpenMetrics."""
        try:
            encode, content_type = choose_encoder(headers.get("accept", ""))
        except (TypeError, ValueError):  # it fails at a version that is none
            encode, content_type = choose_encoder("")
        return Reply(200, {"content-type": content_type}, (encode(self._registry),))

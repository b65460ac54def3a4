"""Prometheus metrics: KServe's four histograms, from the events of the pipelines, and what storage downloads.

Source: KServe's ``kserve/metrics.py``: names, help texts, the label ``model_name`` and the default buckets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

import trio
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from pipeline.errors import Code
from pipeline.graph.phases import PHASES
from pipeline.observe import Event, ModelUnloaded, RequestDone, walls
from pipeline.pipeline import Pipeline
from pipeline.wire.codec import Reply
from server.access import Answered
from server.tally import BOUNDS, Family, Series, Sum, Tally
from storage.events import Event as Pulled
from storage.events import Fetched, Kept, Listed, Moved

_HELP = {"preprocess": "pre-process", "predict": "predict", "postprocess": "post-process", "explain": "explain"}
# Of several processes these are no sums: a bound that each of them has, and when the first one began.
_LEAST = frozenset({"process_max_fds", "process_start_time_seconds"})
_CPU = "process_cpu_seconds"
_NO_TIME = (0.0, 0.0)
# Who collects metrics does so every few seconds.
_LOOK = 1.0


class Metrics:
    """An observer that counts; whichever of the ``workers`` is asked shows the sum of all."""

    def __init__(self, workers: int = 1) -> None:
        several = workers > 1
        self.tally = Tally(workers if several else 0)
        self._phases = {
            phase: self._series(Family(
                f"request_{phase}_seconds", "histogram", f"{text} request latency", ("model_name",), BOUNDS
            ))
            for phase, text in _HELP.items()
        }  # fmt: skip
        self._pulled = {
            "bytes": self._counter("model_download_bytes", "Bytes of models downloaded", "scheme"),
            "seconds": self._counter("model_download_seconds", "Time it took", "scheme"),
        }
        # Source → the bytes of it that have been counted, or were there before.
        self._there: dict[str, int] = {}
        self._requests = self._counter(
            "requests", "Requests that reached a model, by how they ended", "model_name", "code"
        )
        self._answers = {
            "calls": self._counter("http_requests", "Calls of every kind that were answered", "status"),
            "received": self._counter("http_request_bytes", "Bytes of the bodies of requests, as they came"),
            "sent": self._counter("http_response_bytes", "Bytes of the bodies of replies, as they went"),
        }
        self._standing = {
            "in_flight": self._gauge("requests_in_flight", "Requests that a model works on", "model_name"),
            "queued": self._gauge("requests_queued", "Requests that wait for a place (limit, queue)", "model_name"),
        }
        shown = [*self._phases.values(), self._requests, *self._answers.values(), *self._standing.values()]
        shown += self._pulled.values()
        self._registry = CollectorRegistry()
        if several:
            self._ended = self._counter("ended_process_cpu_seconds", "What workers that have ended have used")
            self._workers = self._gauge("workers", "Worker processes that take requests")
            self._restarts = self._counter("worker_restarts", "Workers that ended, and were to be replaced")
            self._restarts.add(by=0)
            shown += [self._workers, self._restarts]
            self._registry.register(_Processes(self.tally, self._ended.family.name))
        else:
            ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        if not several:
            GCCollector(registry=self._registry)
        self._registry.register(_Sums(self.tally, [series.family for series in shown]))

    def _series(self, family: Family) -> Series:
        return self.tally.series(family)

    def _counter(self, name: str, text: str, *labels: str) -> Series:
        return self._series(Family(name, "counter", text, labels))

    def _gauge(self, name: str, text: str, *labels: str) -> Series:
        return self._series(Family(name, "gauge", text, labels))

    # ---- what happens to models

    def __call__(self, event: Event) -> None:
        match event:
            case RequestDone():
                wall, labels = walls(event.spans), (event.model,)
                # As in KServe an answered request passed all three hooks, one that has no such step in no time; one
                # that failed passed those that began.
                passed = (*PHASES, "explain") if event.verb == "explain" else PHASES
                for phase in passed if event.code is None else wall:
                    start, end = wall.get(phase, _NO_TIME)
                    self._phases[phase].observe(end - start, labels)
                self._requests.add((event.model, "OK" if event.code is None else event.code.name))
            case ModelUnloaded(model, replaced=False):
                self.unloaded(model)

    def unloaded(self, model: str) -> None:
        """Or a server that is given one model after another would have all their names for good."""
        for series in (*self._phases.values(), *self._standing.values()):
            series.remove((model,))
        for code in ("OK", *Code.__members__):
            self._requests.remove((model, code))

    def answered(self, event: Answered) -> None:
        """Counts a call of any kind, that of a probe too."""
        self._answers["calls"].add((str(event.status),))
        self._answers["received"].add(by=event.received)
        self._answers["sent"].add(by=event.size)

    def standing(self, pipelines: Iterable[Pipeline]) -> None:
        """How many requests are inside of each model now, and how many of them wait."""
        inside: Counter[str] = Counter()
        waiting: Counter[str] = Counter()
        for pipeline in pipelines:
            waiting[pipeline.name] += pipeline.admission.waiting
            inside[pipeline.name] += len(pipeline.visits) - pipeline.admission.waiting
        for name in inside:
            self._standing["in_flight"].set(inside[name], (name,))
            self._standing["queued"].set(waiting[name], (name,))

    def pulled(self, event: Pulled) -> None:
        """Counts what is downloaded, as it comes, by the scheme of its URI."""
        scheme = event.source.partition("://")[0]
        match event:
            case Listed(source, there=there):
                self._there[source] = there
            case Moved(source, done, _):
                # What is started over is fewer bytes for a moment; they have been counted.
                counted = self._there.get(source, done)
                self._pulled["bytes"].add((scheme,), max(0, done - counted))
                self._there[source] = max(done, counted)
            case Fetched(source, _, seconds):
                self._there.pop(source, None)
                self._pulled["seconds"].add((scheme,), seconds)
            case Kept(source):
                self._there.pop(source, None)

    async def keep(self, pipelines: Iterable[Pipeline]) -> None:
        """Has that ready for when another worker is asked: it is as of the last second. Runs until cancelled."""
        while True:
            self.standing(pipelines)
            await trio.sleep(_LOOK)

    # ---- what happens to workers; told by who starts them

    def serving(self, workers: int) -> None:
        """So many take requests now."""
        self._workers.set(workers)

    def ended(self, worker: int, cpu: float, *, replaced: bool) -> None:
        """The worker of that place has ended, having used so many seconds of CPU; ``replaced``: another is to come."""
        self.tally.left(worker)
        self._ended.add(by=cpu)
        self._restarts.add(by=replaced)

    def page_of(self, pipelines: Iterable[Pipeline], headers: Mapping[str, str]) -> Reply:
        """``page``, with who is inside of these at this moment."""
        self.standing(pipelines)
        return self.page(headers)

    def page(self, headers: Mapping[str, str]) -> Reply:
        """In the form that the ``accept`` header asks for: Prometheus text or OpenMetrics."""
        try:
            encode, content_type = choose_encoder(headers.get("accept", ""))
        except (TypeError, ValueError):  # it fails at a version that is none
            encode, content_type = choose_encoder("")
        return Reply(200, {"content-type": content_type}, (encode(self._registry),))


class _Sums(Collector):
    """What is counted here, as prometheus_client writes it."""

    def __init__(self, tally: Tally, families: Iterable[Family]) -> None:
        self._tally = tally
        self._families = tuple(families)

    def collect(self) -> Iterator[Metric]:
        sums = self._tally.sums()
        for family in self._families:
            yield _written(family, sums.get(family.name, ()))


def _written(family: Family, sums: Iterable[Sum]) -> Metric:
    match family.kind:
        case "gauge":
            gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
            for own in sums:
                gauge.add_metric(own.labels, own.numbers[0])
            return gauge
        case "counter":
            counter = CounterMetricFamily(family.name, family.help, labels=family.labels)
            for own in sums:
                counter.add_metric(own.labels, own.numbers[0], created=own.since)
            return counter
        case "histogram":
            histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
            bounds = [*map(floatToGoString, family.bounds), "+Inf"]
            for own in sums:
                *counts, total = own.numbers
                histogram.add_metric(own.labels, list(zip(bounds, accumulate(counts), strict=True)), total)
                labels = dict(zip(family.labels, own.labels, strict=True))
                histogram.add_sample(f"{family.name}_created", labels, own.since)
            return histogram


class _Processes(Collector):
    """CPU, memory and descriptors of all processes together, with what those that have ended have used."""

    def __init__(self, tally: Tally, ended: str) -> None:
        self._tally = tally
        self._ended = ended

    def collect(self) -> Iterator[Metric]:
        found: dict[str, Metric] = {}
        for process in self._tally.processes():
            for metric in _process(process).collect():
                known = found.setdefault(metric.name, metric)
                if known is not metric:
                    value = _least_or_sum(known, metric)
                    known.samples = [known.samples[0]._replace(value=value)]
        ended = sum(own.numbers[0] for own in self._tally.sums().get(self._ended, ()))
        if ended and _CPU in found:
            (sample,) = found[_CPU].samples
            found[_CPU].samples = [sample._replace(value=sample.value + ended)]
        yield from found.values()


def _process(number: int) -> ProcessCollector:
    return ProcessCollector(pid=lambda: number, registry=None)


def _least_or_sum(one: Metric, other: Metric) -> float:
    values = one.samples[0].value, other.samples[0].value
    return min(values) if one.name in _LEAST else sum(values)

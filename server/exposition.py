"""What is counted as prometheus_client writes it, beside what it finds out of the process by itself.

Imported by the first GET of ``/metrics``: prometheus_client brings a client and a server of HTTP along.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from pipeline.wire.codec import Reply
from server.tally import Family, Sum, Tally

# Of several processes these are no sums: a bound that each of them has, and when the first one began.
_LEAST = frozenset({"process_max_fds", "process_start_time_seconds"})
_CPU = "process_cpu_seconds"


class Exposition:
    """The page of a server's numbers. ``ended``: what those of several processes have used that are no more."""

    def __init__(self, tally: Tally, families: Iterable[Family], ended: Family | None) -> None:
        self._registry = CollectorRegistry()
        if ended is not None:
            self._registry.register(_Processes(tally, ended.name))
        else:
            ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        if ended is None:
            GCCollector(registry=self._registry)
        self._registry.register(_Sums(tally, families))

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

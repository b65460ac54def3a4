"""Prometheus metrics: KServe's four histograms, from the events of the pipelines, and what storage downloads.

Source: KServe's ``kserve/metrics.py``: names, help texts, the label ``model_name`` and the default buckets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import trio

from pipeline.errors import Code
from pipeline.graph.phases import PHASES
from pipeline.graph.words import VERBS
from pipeline.observe import Event, ModelUnloaded, RequestDone, walls
from pipeline.pipeline import Pipeline
from pipeline.wire.codec import Reply
from server.access import Answered
from server.tally import BOUNDS, Family, Series, Tally
from storage.events import Event as Pulled
from storage.events import Fetched, Kept, Listed, Moved

if TYPE_CHECKING:
    from server.exposition import Exposition

_HELP = {"preprocess": "pre-process", "predict": "predict", "postprocess": "post-process", "explain": "explain"}
# Who collects metrics does so every few seconds.
_LOOK = 1.0


class _OfModel(NamedTuple):
    """Places of an answered request: of its phases, and of how many there are."""

    phases: Sequence[tuple[str, int]]
    requests: int


class _Places:
    """Where what is counted for every call stands in ``numbers``: found once, and good as long as these are written."""

    def __init__(self, numbers: memoryview[float], received: int, sent: int) -> None:
        self.numbers = numbers
        self.received = received
        self.sent = sent
        self.statuses: dict[int, int] = {}
        # By model and verb.
        self.models: dict[tuple[str, str], _OfModel] = {}


class Metrics:
    """An observer that counts; whichever of the ``workers`` is asked shows the sum of all."""

    def __init__(self, workers: int = 1) -> None:
        self._several = workers > 1
        self.tally = Tally(workers if self._several else 0)
        self._phases = {
            phase: self.tally.series(Family(
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
        self._calls = self._counter("http_requests", "Calls of every kind that were answered", "status")
        self._received = self._counter("http_request_bytes", "Bytes of the bodies of requests, as they came")
        self._sent = self._counter("http_response_bytes", "Bytes of the bodies of replies, as they went")
        self._standing = {
            "in_flight": self._gauge("requests_in_flight", "Requests that a model works on", "model_name"),
            "queued": self._gauge("requests_queued", "Requests that wait for a place (limit, queue)", "model_name"),
        }
        answers = (self._calls, self._received, self._sent)
        shown = [*self._phases.values(), self._requests, *answers, *self._standing.values()]
        shown += self._pulled.values()
        if self._several:
            self._ended = self._counter("ended_process_cpu_seconds", "What workers that have ended have used")
            self._workers = self._gauge("workers", "Worker processes that take requests")
            self._restarts = self._counter("worker_restarts", "Workers that ended, and were to be replaced")
            self._restarts.add(by=0)
            shown += [self._workers, self._restarts]
        self._places = self._renewed()
        self._shown = [series.family for series in shown]
        self._exposition: Exposition | None = None

    def _counter(self, name: str, text: str, *labels: str) -> Series:
        return self.tally.series(Family(name, "counter", text, labels))

    def _gauge(self, name: str, text: str, *labels: str) -> Series:
        return self.tally.series(Family(name, "gauge", text, labels))

    # ---- what happens to models

    def __call__(self, event: Event) -> None:
        match event:
            case RequestDone(code=None):
                self._done(event)
            case RequestDone(model, code=Code() as code):
                # It passed the hooks that began.
                for phase, (start, end) in walls(event.spans).items():
                    self._phases[phase].observe(end - start, (model,))
                self._requests.add((model, code.name))
            case ModelUnloaded(model, replaced=False):
                self.unloaded(model)

    def _done(self, event: RequestDone) -> None:
        places = self._places
        if places.numbers is not self.tally.numbers:
            places = self._renewed()
        numbers, found = places.numbers, places.models.get((event.model, event.verb))
        if found is None:
            found = self._found(event.model, event.verb)
        wall = walls(event.spans)
        # As in KServe an answered request passed all three hooks, one that has no such step in no time.
        for phase, at in found.phases:
            if phase in wall:
                start, end = wall[phase]
                self._phases[phase].observe_at(at, end - start)
            else:
                numbers[at] += 1.0
        numbers[found.requests] += 1.0

    def _found(self, model: str, verb: str) -> _OfModel:
        phases = (*PHASES, "explain") if verb == "explain" else PHASES
        places = [(phase, self._phases[phase].place((model,))) for phase in phases]
        found = self._places.models[model, verb] = _OfModel(places, self._requests.place((model, "OK")))
        return found

    def _renewed(self) -> _Places:
        self._places = _Places(self.tally.numbers, self._received.place(), self._sent.place())
        return self._places

    def unloaded(self, model: str) -> None:
        """Or a server that is given one model after another would have all their names for good."""
        for series in (*self._phases.values(), *self._standing.values()):
            series.remove((model,))
        for code in ("OK", *Code.__members__):
            self._requests.remove((model, code))
        for verb in VERBS:
            self._places.models.pop((model, verb), None)

    def answered(self, event: Answered) -> None:
        """Counts a call of any kind, that of a probe too."""
        places, status = self._places, event.status
        if places.numbers is not self.tally.numbers:
            places = self._renewed()
        numbers, at = places.numbers, places.statuses.get(status)
        if at is None:
            at = places.statuses[status] = self._calls.place((str(status),))
        numbers[at] += 1.0
        numbers[places.received] += event.received
        numbers[places.sent] += event.size

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
        if self._exposition is None:
            from server.exposition import Exposition  # noqa: PLC0415  # slow, and few look as soon as a server is up

            ended = self._ended.family if self._several else None
            self._exposition = Exposition(self.tally, self._shown, ended)
        return self._exposition.page(headers)

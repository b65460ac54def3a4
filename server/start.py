"""From a Config to a running server: check, bind, say where, serve."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import trio

from pipeline.blueprint import Blueprint, from_given
from pipeline.finding import Source
from pipeline.graph.fields import NAME_RULE, is_model_name
from pipeline.pipeline import Pipeline
from pipeline.repository import Repository
from pipeline.wire.numbers import quickest
from server import worker
from server.access_log import AccessLog
from server.collector import watch_models
from server.config import Config, environment, sender_of
from server.controls import Controls
from server.crews import crew_beside
from server.docs import pages
from server.enclose import enclose_by
from server.fleet import Fleet
from server.folder import log_strays, names_in
from server.forked import Post, hear
from server.greeting import Shown, greet
from server.lazy_app import lazy_app
from server.listen import CannotListen, listen
from server.log import configure, latency, observer, pull_log
from server.log_config import BadLogConfig
from server.metrics import Metrics
from server.middleware import Middleware
from server.report import FAULTS, blueprints
from server.service import Service
from server.sources import Folder, Given, Together
from server.supervisor import CannotBegin, Supervisor
from server.version import NAME, VERSION
from storage import Storage
from storage.events import Event
from storage.order import Order

_FAILED = 1
# How long Python's lock is waited for while another thread computes or imports, which a request does several times.
_TURN = 0.001
# In both spellings: who typed one need not know the other.
_TLS_CERT, _TLS_KEY = "--tls-cert (--ssl_certfile)", "--tls-key (--ssl_keyfile)"


def start(config: Config) -> int:
    """Serves until it is told to stop. The exit code: 0 stopped cleanly, 1 no port, 2 faults in the files or flags."""
    problem = problem_of(config)
    if problem is not None:
        return refuse(problem, FAULTS)
    metrics = Metrics(config.workers)
    storage = storage_of(config, metrics)
    drawn = blueprints(config.graphs, storage)
    if drawn is None:
        return FAULTS
    try:
        configure(config.log_level, config.log_format, config.log_config, several=config.workers > 1)
    except BadLogConfig as error:
        return refuse(str(error), FAULTS)
    pipelines = [Pipeline.from_blueprint(_named(own, config)) for own in drawn]
    if config.model_repository is not None:
        problem = _problem_of_folder(config.model_repository, pipelines)
        if problem is not None:
            return refuse(problem, FAULTS)
        log_strays(config.model_repository)
    source = _source(config, pipelines, storage)
    repository = Repository(pipelines, source)
    storage.beside = crew_beside(repository)
    shown = zip(pipelines, config.graphs, strict=True)
    try:
        return serve(repository, config, metrics, shown, controls=Controls(), middleware=Middleware())
    except CannotBegin as error:
        return refuse(str(error), _FAILED)


def _source(config: Config, pipelines: Sequence[Pipeline], storage: Storage) -> Source:
    """Where the models of ``config.graphs`` are found again, which are ``pipelines`` now, and those of the folder."""
    given: dict[str, list[Path | str]] = {}
    for pipeline, place in zip(pipelines, config.graphs, strict=True):
        given.setdefault(pipeline.name, []).append(place)

    def draw(place: Path | str) -> Blueprint:
        return from_given(place, environment(), storage)

    own = Given(given, lambda place: _named(draw(place), config))
    return own if config.model_repository is None else Together(own, Folder(config.model_repository, draw))


def _named(own: Blueprint, config: Config) -> Blueprint:
    return own if config.model_name is None else own.named(config.model_name)


def serve(  # noqa: PLR0913  # what a server is made of
    repository: Repository,
    config: Config,
    metrics: Metrics,
    shown: Iterable[Shown],
    *,
    controls: Controls,
    middleware: Middleware,
    why: Callable[[], BaseException | None] = lambda: None,
) -> int:
    """Binds, says where it is and how to try what is ``shown``, and serves the models until told to stop.

    ``why``: why it was stopped, where it cannot be what it is started for. The exit code: 0 stopped cleanly, 1 no port.
    Several workers are processes, forked from this one: raises CannotBegin where none of them can serve.
    """
    repository.observe(observer, metrics, watch_models, *([latency] if config.latency_log else []))
    shown_metrics = partial(metrics.page_of, repository)
    service = Service(
        repository,
        ready=config.ready,
        name=NAME,
        version=VERSION,
        max_body=config.max_body,
        enclose=enclose_by(sender_of(environment())),
        numbers=quickest(),
        pages=pages(repository, {"/metrics": shown_metrics}, title=NAME, version=VERSION, ui=config.ui),
    )
    service.on_answer.append(metrics.answered)
    if config.access_log:
        lines = AccessLog(config.access_log_format, config.access_log_rate)
        service.on_answer.append(lines)
        service.companions.append(lines.write)
    if config.workers > 1:
        service.companions.append(partial(metrics.keep, repository))
    try:
        listening = listen(config.host, config.http_port, secure=config.tls_cert is not None)
    except CannotListen as error:
        return refuse(str(error), _FAILED)

    def work(announce: Callable[[], None], fleet: Fleet | None) -> None:
        sys.setswitchinterval(min(_TURN, sys.getswitchinterval()))
        app = lazy_app(service)
        with middleware.around(app) as outermost:
            apps = worker.Apps(outermost, middleware=outermost is not app)
            trio.run(worker.serve, service, apps, listening, config, announce, controls, fleet)

    def as_worker(post: Post) -> int:
        fleet = Fleet(post, repository, service.is_ready, why)
        service.changes, service.together = fleet, fleet.is_together
        work(hear, fleet)
        return 0

    announce = partial(greet, listening, shown, config.workers)
    patience = config.drain_delay + config.grace
    try:
        if config.workers > 1:
            supervisor = Supervisor(config.workers, as_worker, metrics=metrics, controls=controls, patience=patience)
            return supervisor.run(listening.socket, announce)
        work(announce, None)
        return 0
    finally:
        if listening.unix_path is not None:
            listening.unix_path.unlink(missing_ok=True)


def storage_of(config: Config, metrics: Metrics) -> Storage:
    """Where models come from; what happens on the way is logged and counted."""
    log_pull = pull_log()

    def observe(event: Event) -> None:
        log_pull(event)
        metrics.pulled(event)

    order = Order(observe=observe)
    return Storage(environment(), config.cache_dir, config.cache_size, config.offline or None, order)


def _problem_of_folder(folder: Path, pipelines: Iterable[Pipeline]) -> str | None:
    try:
        there = set(names_in(folder))
    except OSError as error:
        return f"--model-repository {folder} cannot be read: {error.strerror or error}"
    twice = next((own.name for own in pipelines if own.name in there), None)
    if twice is not None:
        return f'"{twice}" is a graph that was named and one of --model-repository; leave one of them out'
    return None


def problem_of(config: Config) -> str | None:
    if (config.tls_cert is None) != (config.tls_key is None):
        return f"{_TLS_CERT} and {_TLS_KEY} go together"
    for flag, file in ((_TLS_CERT, config.tls_cert), (_TLS_KEY, config.tls_key)):
        if file is not None and not file.is_file():
            return f"{flag}: there is no file {file}"
    if config.tls_cert is not None and config.tls_key is not None:
        try:
            # An empty password: a key that needs one is refused, instead of asking for it on a terminal.
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(config.tls_cert, config.tls_key, "")
        except OSError as error:
            return f"{config.tls_cert} and {config.tls_key} are no certificate and its key, in PEM: {error}"
    if config.model_name is not None and len(config.graphs) != 1:
        return f"--model-name names one graph, and there {'are several' if config.graphs else 'is none'}"
    if config.model_name is not None and not is_model_name(config.model_name):
        return f'--model-name is {NAME_RULE}, not "{config.model_name}"'
    return None


def refuse(reason: str, code: int) -> int:
    print(f"pipeline-serve: {reason}", file=sys.stderr)  # noqa: T201
    return code

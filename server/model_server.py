"""``ModelServer``: a script's own models and pipelines as a server, with KServe's arguments and flags.

ModelServer(http_port=8080).start([IrisModel("iris"), Pipeline.from_file("graph.yaml")])
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import trio

from pipeline import blueprint
from pipeline.errors import NoModelReady
from pipeline.graph.fields import is_model_name
from pipeline.model import Model
from pipeline.pipeline import Pipeline
from pipeline.predictor_config import PredictorConfig
from pipeline.repository import Repository
from pipeline.steps.catalog import CLOSE_SECONDS
from server.access import line_form
from server.beginning import Beginning
from server.config import environment
from server.controls import Controls
from server.crews import crew_beside
from server.flags import port
from server.flags import workers as workers_of
from server.log import configure
from server.log_config import BadLogConfig
from server.metrics import Metrics
from server.middleware import Middleware
from server.model_repository import ModelRepository
from server.registered import Registered, Undo, unnamable
from server.report import FAULTS
from server.script import HTTP_PORT, HTTPS_PORT, config_of, parse, predictor_of
from server.start import problem_of, refuse, serve, storage_of

_LOG = logging.getLogger("pipeline_serve")


class ModelServer:
    """Serves the models of a script. Arguments that are not given are what the command line says, else KServe's."""

    def __init__(  # noqa: PLR0913, PLR0917  # KServe's arguments, in its order
        self,
        http_port: int | None = None,
        grpc_port: int | None = None,
        workers: int | None = None,
        max_threads: int | None = None,
        max_asyncio_workers: int | None = None,
        registered_models: ModelRepository | None = None,
        enable_grpc: bool | None = None,
        enable_docs_url: bool | None = None,
        enable_latency_logging: bool | None = None,
        access_log_format: str | None = None,
        event_loop: str | None = None,
        timeout_keep_alive: float | None = None,
        grace_period: float | None = None,
        predictor_config: PredictorConfig | None = None,
        ssl_certfile: str | None = None,
        ssl_keyfile: str | None = None,
    ) -> None:
        """``registered_models``: a repository that loads models by name; ``timeout_keep_alive``,
        ``grace_period`` in seconds. What has no effect is told by the flags' help.

        Reads ``sys.argv``; a flag that cannot be read ends the process, and so does a port that is none.
        """
        flags = parse(sys.argv[1:], environment())
        for argument, given_port in (("http_port", http_port), ("grpc_port", grpc_port)):
            _require(argument, port, given_port)
        _require("workers", workers_of, workers)
        if access_log_format is not None:
            line_form(access_log_format)
        given = {
            "http_port": http_port,
            "grpc_port": grpc_port,
            "workers": workers,
            "max_threads": max_threads,
            "max_asyncio_workers": max_asyncio_workers,
            "enable_grpc": enable_grpc,
            "enable_docs_url": enable_docs_url,
            "enable_latency_logging": enable_latency_logging,
            "access_log_format": access_log_format,
            "event_loop": event_loop,
            "timeout_keep_alive": timeout_keep_alive,
            "grace": grace_period,
            "ssl_certfile": ssl_certfile,
            "ssl_keyfile": ssl_keyfile,
        }
        vars(flags).update({name: value for name, value in given.items() if value is not None})
        if flags.ssl_certfile and flags.ssl_keyfile and flags.http_port == HTTP_PORT:
            flags.http_port = HTTPS_PORT
        self.http_port: int = flags.http_port
        self.grpc_port: int = flags.grpc_port
        self.workers: int = flags.workers
        self.registered_models = ModelRepository() if registered_models is None else registered_models
        self.predictor_config = predictor_of(flags) if predictor_config is None else predictor_config
        self._flags = flags
        self._controls = Controls()
        self.app = Middleware()
        """What middleware is added to, before the start."""
        self._metrics = Metrics(self.workers)
        config = config_of(flags)
        self._config = replace(config, ready="now") if self.predictor_config.predictor_health_check else config
        self._storage = storage_of(self._config, self._metrics)
        self._registered = Registered(self.registered_models, self._pipeline_of)
        self._serving: tuple[Repository, Controls] | None = None

    # ---- models

    def register_model(self, model: Model | Pipeline, name: str | None = None) -> None:
        """Serves a model under its name, or under one more; also while the server runs.

        Then, called in a thread, it returns once the model takes requests; called on a loop, at once. Raises ValueError
        for a model without a name, GraphFaults for a name that no URL can have, RuntimeError where the server stops
        meanwhile, and what opening it raises.
        """
        if not model.name:
            raise ValueError("Failed to register model, model.name must be provided.")
        name = name or model.name
        match model:
            case Pipeline():
                pipeline = model if name == model.name else Pipeline.from_blueprint(model.blueprint.named(name))
                pipeline.blueprint = pipeline.blueprint.stored_by(self._storage)
                undo = self._registered.add_graph(pipeline)
            case _:
                pipeline, undo = self._registered.add(model, name)
        _LOG.info("Registering model: %s", name)
        if self._serving is not None:
            repository, controls = self._serving
            controls.call(_serve_too, repository, pipeline, undo)

    def start(self, models: Sequence[Model | Pipeline]) -> None:
        """Serves what is registered and those of the models that are ready, until a signal or ``stop`` ends it.

        ``start`` of every model is called, of one that is ready when it is opened. One that is not ready is not served.
        Raises RuntimeError for what is no list of models and under a trio loop, NoModelReady where there are models and
        none is ready, what the start of one of them raises, SystemExit where the server cannot be: 1 no port, 2 faults
        in flags, a name that no URL can have.
        """
        if trio.lowlevel.in_trio_run():
            raise RuntimeError(
                "start() blocks until the server stops, and this thread runs a trio loop: "
                "await trio.to_thread.run_sync(server.start, models)"
            )
        if self._serving is not None:
            raise RuntimeError("this server serves already; register_model adds to what it serves")
        beginning = Beginning(self._register_ready(models), self.stop)
        config, flags = self._config, self._flags
        problem = problem_of(config)
        if problem is not None:
            raise SystemExit(refuse(problem, FAULTS))
        if self.workers > 1 and threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                "several workers are forked from the main thread: call start() there, or take one worker"
            )
        if flags.configure_logging and not logging.getLogger().handlers:
            self._set_up_logging()
        if flags.enable_grpc:
            _LOG.info("gRPC is not served yet, only HTTP is; enable_grpc=False, or --enable_grpc false, says the same")
        pipelines = list(self._registered)
        repository = Repository(pipelines, self._registered)
        self._serving = repository, self._controls
        self._storage.beside = crew_beside(repository)
        shown = [(pipeline, "") for pipeline in pipelines]
        observers = [(pipeline, [*pipeline.observers]) for pipeline in pipelines]
        repository.observe(beginning.observe)
        try:
            code = serve(
                repository, config, self._metrics, shown,
                controls=self._controls, middleware=self.app, why=lambda: beginning.failure,
            )  # fmt: skip
        finally:
            self._serving, self._controls = None, Controls()
            for pipeline, own in observers:
                pipeline.observers[:] = own
        if code:
            raise SystemExit(code)
        if beginning.failure is not None:
            raise beginning.failure

    def stop(self, sig: int | None = None) -> None:
        """Asks the server to stop, from a thread, a signal's handler or a hook; ``sig`` is for who has it.

        What is in flight is answered within the grace period. Where it does not serve yet, it stops once it does.
        """
        self._controls.stop()

    def register_exception_handler(self, handler: Callable[[Any, dict[str, Any]], object]) -> None:
        """Accepted, as KServe accepts it, and without effect, as there: no exception is left to asyncio's loop."""

    def _register_ready(self, models: Sequence[Model | Pipeline]) -> Sequence[str]:
        """Gives the names of the Models among them."""
        if not isinstance(models, list):
            raise RuntimeError("Unknown model collection type")
        ready = False
        names = []
        for model in models:
            match model:
                case Model() if not model.ready:
                    model.start()
                case Model(name=str() as name) if name and not is_model_name(name):
                    raise SystemExit(refuse(f"{unnamable(name)}: set it by Model(name), or --model_name", FAULTS))
                case Model():
                    ready = True
                    self.register_model(model)
                    names.append(model.name)
                case Pipeline():
                    ready = True
                    self.register_model(model)
                case _:
                    raise RuntimeError(f"Model type should be 'Model' or 'Pipeline', not '{type(model).__name__}'")
        if models and not ready:
            raise NoModelReady(models)
        return names

    def _pipeline_of(self, model: Model, name: str) -> Pipeline:
        model.predictor = self.predictor_config
        return Pipeline.from_blueprint(blueprint.from_model(model, self._storage, name))

    def _set_up_logging(self) -> None:
        try:
            several = self.workers > 1
            configure(self._config.log_level, self._config.log_format, self._config.log_config, several=several)
        except BadLogConfig as error:
            raise SystemExit(refuse(str(error), FAULTS)) from None


def _require(argument: str, read: Callable[[Any], object], given: object) -> None:
    """Raises SystemExit, as for a flag."""
    try:
        if given is not None:
            read(given)
    except ValueError as error:
        raise SystemExit(refuse(f"{argument}: {error}", FAULTS)) from None


async def _serve_too(repository: Repository, pipeline: Pipeline, undo: Undo) -> None:
    """Raises what opening it raises, and then nothing is registered that was not before.

    Cancelled, too; the ``unload`` of a script's repository, which is called then, gets a few seconds.
    """
    try:
        await repository.add(pipeline)
    except BaseException:
        with trio.move_on_after(CLOSE_SECONDS, shield=True):
            await undo()
        raise

"""KServe's server, the parser that scripts extend, their arguments, and the app that they add middleware to.

KServe has one of each in a process, as attributes of this module, and its scripts use them before they have a server:
so they are here, and nowhere else. All are made when somebody asks for them; importing this reads no command line.
"""

from __future__ import annotations

import functools
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from pipeline_serve.kserve.context import set_predictor_config
from pipeline_serve.kserve.model_repository import ModelRepository
from pipeline_serve.kserve.predictor_config import PredictorConfig
from server import model_server as ours
from server.config import environment
from server.middleware import Middleware
from server.script import make_parser, parse

if TYPE_CHECKING:
    parser: ArgumentParser
    args: Namespace
    app: Middleware
else:

    def __getattr__(name: str) -> object:
        match name:
            case "parser":
                return _parser()
            case "args":
                return parse(sys.argv[1:], environment())
            case "app":
                return _app()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class ModelServer(ours.ModelServer):
    """Ours, within the middleware of this module's ``app``. From its making on, ``context`` knows whom it asks."""

    @functools.wraps(ours.ModelServer.__init__)  # type: ignore[misc]  # whose signature it has
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.app = _app()
        set_predictor_config(PredictorConfig.of(self.predictor_config))


@functools.cache
def _parser() -> ArgumentParser:
    """One for all: a script may add to it, and have it as a parent."""
    return make_parser(environment())


@functools.cache
def _app() -> Middleware:
    """One for all: a script adds to it before it has a server."""
    return Middleware()


__all__ = ["ModelRepository", "ModelServer", "app", "args", "parser"]

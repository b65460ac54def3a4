"""KServe's server, the parser that scripts extend, their arguments, and the app that they add middleware to.

``parser`` and ``args`` are made when somebody asks for them; importing this reads no command line.
"""

from __future__ import annotations

import functools
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from pipeline_serve.kserve.context import set_predictor_config
from pipeline_serve.kserve.predictor_config import PredictorConfig
from server import middleware
from server import model_server as ours
from server.config import environment
from server.script import make_parser, parse

if TYPE_CHECKING:
    parser: ArgumentParser
    args: Namespace
    app: middleware.Middleware
else:

    def __getattr__(name: str) -> object:
        match name:
            case "parser":
                return _parser()
            case "args":
                return parse(sys.argv[1:], environment())
            case "app":
                return middleware.app()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class ModelServer(ours.ModelServer):
    """Ours. From its making on, KServe's models of this process know whom a transformer asks."""

    @functools.wraps(ours.ModelServer.__init__)  # type: ignore[misc]  # whose signature it has
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        set_predictor_config(PredictorConfig.of(self.predictor_config))


@functools.cache
def _parser() -> ArgumentParser:
    """One for all: a script may add to it, and have it as a parent."""
    return make_parser(environment())


__all__ = ["ModelServer", "app", "args", "parser"]

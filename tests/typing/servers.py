"""What a type checker sees of a script's server. Never run."""

from argparse import ArgumentParser, Namespace
from typing import assert_type

import pipeline_serve.kserve
from pipeline_serve import Model, ModelServer, Pipeline
from pipeline_serve.kserve.model_server import args, parser
from server.model_repository import ModelRepository


def serve(model: Model, pipeline: Pipeline, repository: pipeline_serve.kserve.ModelRepository) -> None:
    server = ModelServer(http_port=8080, registered_models=repository, grace_period=5)
    server.register_model(model, "alias")
    server.register_model(pipeline)
    server.start([model, pipeline])
    server.start([])
    server.stop()
    assert_type(server.registered_models, ModelRepository)
    assert_type(args, Namespace)
    assert_type(parser, ArgumentParser)
    pipeline_serve.kserve.ModelServer().start([pipeline_serve.kserve.Model("m")])

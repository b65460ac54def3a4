"""Where the server is, and a line to try each model with, on stdout; everything after it is the log, on stderr."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import InvalidInput
from pipeline.pipeline import Pipeline
from pipeline.tensors.message import AskModel, Infer, InferRequest
from pipeline.tensors.sample import sample
from pipeline.wire import v1, v2
from server.examples import beside, path_of, requests_to
from server.listen import Listening

Shown = tuple[Pipeline, Path | str]
"""A model, and what it was made of, beside which its requests lie; a text is no file."""


def greet(listening: Listening, models: Iterable[Shown], workers: int = 1) -> None:
    print(f"serving on {listening.url}", flush=True)  # noqa: T201
    if workers > 1:
        print(f"  by {workers} workers", flush=True)  # noqa: T201
    for pipeline, given in models:
        print(f"  {_curl(listening, pipeline, given)}", flush=True)  # noqa: T201


def _folder(given: Path | str) -> Path:
    """Where requests to what was given lie, as a path that can be pasted; beside a URI is where the server started."""
    match given:
        case Path():
            return given if given.is_dir() else given.parent
        case _:
            return Path()


def _curl(listening: Listening, pipeline: Pipeline, graph: Path | str) -> str:
    """A command to try as it stands: with the request beside the graph, else with one that fits what is known.

    Where that is too large for a line, it asks what the model takes.
    """
    base = "http://localhost" if listening.unix_path else listening.url
    curl = ["curl", *(["--unix-socket", str(listening.unix_path)] if listening.unix_path else [])]
    for file, text in beside(_folder(graph)).items():
        for own in requests_to(pipeline, [text]):
            return shlex.join([*curl, base + path_of(own.description, pipeline.name, "predict"), "-d", f"@{file}"])
    inputs = sample(pipeline.expectation)
    question = shlex.join([*curl, base + v2.encode_request(AskModel(pipeline.name)).path])
    if inputs is None:
        return question
    try:
        call = v1.encode_request(Infer(InferRequest(model=pipeline.name, inputs=inputs), "predict"))
    except InvalidInput:  # rows cannot tell every shape
        return question
    return shlex.join([*curl, base + call.path, "-d", bytes(call.body).decode()])

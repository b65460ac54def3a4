"""``model``: a file that a runtime opens, in a thread; what the model knows of itself becomes metadata."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.code.load import own_names, see
from pipeline.engine.blame import Blame
from pipeline.engine.step import Context
from pipeline.graph.interface import Interface, Parameter
from pipeline.graph.json_schema import or_variable
from pipeline.graph.source import Fault
from pipeline.graph.spec import StepSpec
from pipeline.graph.words import meant
from pipeline.runtimes.catalog import (
    CannotOpen,
    Misfit,
    Opened,
    Told,
    Unclear,
    model_file,
    refuse_stand_in,
    runtimes,
    runtimes_for,
    saying_which,
    suffixes,
    teller,
)
from pipeline.steps.catalog import Call, Home
from pipeline.steps.cores import cores
from pipeline.tensors.forms import Bound
from pipeline.tensors.tensor import Value
from pipeline.threads import in_own_thread

KEYS = {"model": ("runtime", "params", "sha256", "storage")}
_SHA256 = "[0-9a-fA-F]{64}"


def schema() -> Mapping[str, Any]:
    """The JSON Schema of each word, for editors."""
    known = runtimes()
    params = sorted({param for runtime in known.values() for param in runtime.PARAMS})
    return {
        "model": {
            "type": "string",
            "minLength": 1,
            "description": "A path (relative to the graph) or a URI",
            "examples": ["model.joblib", "s3://models/iris.joblib"],
        },
        "runtime": or_variable(
            {"enum": sorted(known), "description": "What opens the model; guessed from its files by default"}
        ),
        "params": {
            "type": "object",
            "description": "Options of the runtime",
            "additionalProperties": False,
            "properties": dict.fromkeys(params, True),
        },
        "sha256": or_variable(
            {"type": "string", "pattern": f"^{_SHA256}$", "description": "What the one file, or archive, must have"}
        ),
        # Which of them a source has is known to its scheme.
        "storage": {
            "type": "object",
            "description": "Options of the source, over what the environment says",
            "properties": {
                "endpoint": {"type": "string", "description": "URL of the service, where it is not the cloud's own"},
                "region": {"type": "string"},
                "anonymous": or_variable({"type": "boolean", "description": "No credentials are sent"}),
            },
        },
    }


def describe(step: StepSpec, home: Home, faults: list[Fault]) -> Interface:
    """What can be told of a model before it is fetched: its runtime computes in threads.

    It takes what it gets, unless the file is here and tells what that is.
    """
    told = None
    if not isinstance(step.target, str) or not step.target:
        faults.append(Fault(step.at("model"), f'step "{step.name}": model is a path or a URI'))
    else:
        _check_source(step, home, faults)
        _check_runtime(step, faults)
        told = _told(step, home, faults)
    return _interface(told)


def _interface(told: Told | None) -> Interface:
    if told is None:
        return Interface(parameters=(Parameter("X"),), gives=None, blocking=True, limit=cores(), takes_rest=True)
    parameters = tuple(Parameter(name, spec=spec) for name, spec in told.inputs.items())
    return Interface(parameters=parameters, gives=told.outputs, blocking=True, limit=cores())


def _told(step: StepSpec, home: Home, faults: list[Fault]) -> Told | None:
    """What the file tells of itself; None where it is not here, or tells nothing: opening it says why."""
    path = home.storage.local(step.target, home.folder)
    known = runtimes()
    runtime = step.option("runtime")
    if path is None or not (runtime is None or runtime in known):
        return None
    try:
        file, runtime = model_file(path, runtime, known)
        if not file.is_file():
            return None  # a pipe would be waited for
        refuse_stand_in(file)
        own = teller(known[runtime])
        return None if own is None else own.tell(file)
    except (Unclear, OSError):
        return None
    except CannotOpen as error:
        faults.append(Fault(step.at("model"), f'step "{step.name}": {error}'))
        return None


@asynccontextmanager
async def open_step(step: StepSpec, home: Home) -> AsyncIterator[Call]:
    """The model, fetched and in memory.

    Raises OSError where it cannot be fetched and CannotOpen where it cannot be opened. Cancelled, a load that has begun
    in its thread ends by itself and is dropped.
    """
    digest = step.option("sha256")
    told = step.option("storage", {}), f"sha256:{digest}" if digest else None
    async with home.storage.lend(step.target, home.folder, *told) as path:
        opened = await in_own_thread(_opened, step, home, path)
        blame = Blame(step)

        def call(inputs: Mapping[str, Bound], context: Context) -> Mapping[str, Value]:
            try:
                return opened.predict(inputs)
            except Misfit as misfit:
                raise blame.misfit(misfit.name, inputs.get(misfit.name), context, misfit.reason) from None

        yield Call(call, blocking=True, signature=opened.signature, certain=opened.certain)


def _opened(step: StepSpec, home: Home, path: Path) -> Opened:
    # Pickles name the classes of the user's own files.
    see(home.folder)
    known = runtimes()
    file, runtime = model_file(path, step.option("runtime"), known)
    refuse_stand_in(file)
    # The cores are shared out among the calls that may run at once.
    threads = max(1, cores() // (step.limit or cores()))
    with own_names(home.folder):
        return known[runtime].open_model(file, step.name, step.option("params", {}), threads)


def _check_source(step: StepSpec, home: Home, faults: list[Fault]) -> None:
    options = step.option("storage", {})
    digest = step.option("sha256")
    if not isinstance(options, Mapping):
        faults.append(Fault(step.at("storage"), f'step "{step.name}": storage is a map'))
    elif refusal := home.storage.refusal(step.target, {}):
        faults.append(Fault(step.at("model"), f'step "{step.name}": {refusal}'))
    elif refusal := home.storage.refusal(step.target, options):
        faults.append(Fault(step.at("storage"), f'step "{step.name}": {refusal}'))
    if digest is not None and not (isinstance(digest, str) and re.fullmatch(_SHA256, digest)):
        faults.append(Fault(step.at("sha256"), f'step "{step.name}": sha256 is 64 hexadecimal digits'))


def _check_runtime(step: StepSpec, faults: list[Fault]) -> None:
    name = step.option("runtime")
    known = runtimes()
    params = step.option("params", {})
    if name is None:
        # A folder has no suffix, and what is in it is seen when it is there.
        if PurePosixPath(step.target).suffix and not runtimes_for(step.target, known):
            there_are = ", ".join(suffixes(known))
            message = f'step "{step.name}": no runtime is known for "{step.target}" (there are {there_are})'
            faults.append(Fault(step.at("model"), f"{message}; {saying_which(step.target)}"))
    elif not isinstance(name, str):
        faults.append(Fault(step.at("runtime"), f'step "{step.name}": runtime is a text like {min(known)}'))
    elif name not in known:
        faults.append(
            Fault(step.at("runtime"), f'step "{step.name}": there is no runtime "{name}"{meant(name, known)}')
        )
    if not isinstance(params, Mapping):
        faults.append(Fault(step.at("params"), f'step "{step.name}": params is a map'))
        return
    candidates = [name] if isinstance(name, str) and name in known else runtimes_for(step.target, known)
    allowed = {param for candidate in candidates for param in known[candidate].PARAMS}
    for param in params:
        if candidates and param not in allowed:
            message = f'step "{step.name}": its runtime has no parameter "{param}"{meant(param, allowed)}'
            faults.append(Fault(step.at(f"params.{param}"), message))

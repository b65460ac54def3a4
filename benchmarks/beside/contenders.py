"""Who is compared, how each is started, and which of the works it can do at all."""

from __future__ import annotations

import json
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.beside.processes import Running, free_port, running
from tests.peers import environment
from tests.serving import ROOT
from tests.serving import environment as ours

HERE = Path(__file__).parent
SERVED = HERE / "served"
LISTS = HERE / "environments"
MODEL = "/v2/models/{}/infer"
READY = "/v2/health/ready"
TWO_WORKERS = "ours by 2 workers"
BY_ORJSON = "ours without simdjson"
HAS_SIMDJSON = find_spec("simdjson") is not None


@dataclass(frozen=True, slots=True)
class Contender:
    """``paths``: work → where it is asked. ``start`` runs it in a folder that is its own, for as long as the context.

    ``rests``: it can be stopped while others are measured.
    """

    name: str
    paths: Mapping[str, str]
    start: Callable[[Path], Iterator[list[Running]]]
    rests: bool = True


def contenders() -> dict[str, Contender]:
    v2 = {work: MODEL.format("echo") for work in ("small", "def", "tensor", "json")}
    kserve = {**v2, "v1": "/v1/models/echo:predict", "chain": MODEL.format("chain")}
    triton = {**v2, "chain": MODEL.format("chain")}
    own = {**v2, "def": MODEL.format("threaded"), "v1": kserve["v1"], "chain": MODEL.format("chain")}
    found = [
        Contender("ours", own, _ours),
        Contender(TWO_WORKERS, {"small": own["small"]}, lambda folder: _ours(folder, "--workers", "2")),
        *([Contender(BY_ORJSON, {"json": own["json"]}, _ours_by_orjson)] if HAS_SIMDJSON else []),
        Contender("kserve", kserve, lambda folder: _kserve(folder, "usual")),
        Contender("kserve tuned", kserve, lambda folder: _kserve(folder, "tuned")),
        # It takes a backend that it does not hear from for dead.
        Contender("triton", triton, _triton, rests=False),
        Contender("mosec", dict.fromkeys(("small", "def", "json"), "/inference"), _mosec),
        Contender("mlserver", {work: path for work, path in v2.items() if work != "tensor"}, _mlserver),
        Contender("litserve", dict.fromkeys(("small", "def", "json"), "/predict"), _litserve),
        Contender("bare socket", {"tensor": "/"}, _bare),
    ]
    return {own.name: own for own in found}


def _ours(folder: Path, *flags: str, **env: str) -> Iterator[list[Running]]:
    shutil.copy(SERVED / "steps.py", folder)
    for name, steps in (
        ("echo", ["on_loop"]), ("threaded", ["in_thread"]), ("chain", ["onward", "onward", "on_loop"]),
    ):  # fmt: skip
        lines = [f"  s{number}: steps.py:{function}" for number, function in enumerate(steps)]
        text = "\n".join([f"name: {name}", "steps:", *lines, ""])
        (folder / f"{name}.yaml").write_text(text)
    port = free_port()
    command = [sys.executable, "-m", "pipeline_serve", "echo.yaml", "threaded.yaml", "chain.yaml"]
    command += ["--host", "127.0.0.1", "--http-port", str(port), "--max-body", "64MiB", *flags]
    with running(command, folder, ours(PYTHONDONTWRITEBYTECODE="", **env), port, READY) as server:
        yield [server]


def _ours_by_orjson(folder: Path) -> Iterator[list[Running]]:
    """As where the extra ``fast`` is not installed."""
    hides = folder / "hides"
    hides.mkdir()
    (hides / "simdjson.py").write_text("raise ImportError\n")
    return _ours(folder, PYTHONPATH=f"{hides}:{ROOT}")


def _kserve(folder: Path, manner: str) -> Iterator[list[Running]]:
    """Two servers: the chain is a transformer in the one, in front of a model of the other."""
    script, python = SERVED / "kserve_models.py", environment.python("kserve")
    env = environment.environment(PYTHONDONTWRITEBYTECODE="")
    front, behind = free_port(), free_port()
    command = [python, script, manner, f"127.0.0.1:{behind}", "--http_port", str(front)]
    with (
        running([python, script, manner, "--http_port", str(behind)], folder, env, behind, READY) as predictor,
        running(command, folder, env, front, READY) as server,
    ):
        yield [server, predictor]


def _triton(folder: Path) -> Iterator[list[Running]]:
    python = environment.python("triton", lists=LISTS)
    packages = next((python.parents[1] / "lib").glob("python3*")) / "site-packages"
    whole = packages / "pytriton" / "tritonserver"
    version = packages.parent.name.removeprefix("python")
    backend = folder / "backends" / "python"
    shutil.copytree(whole / "backends" / "python", backend)
    shutil.copy(whole / "python_backend_stubs" / version / "triton_python_backend_stub", backend)
    models = folder / "models"
    for name in ("echo", "first", "second", "third"):
        (models / name / "1").mkdir(parents=True)
        shutil.copy(SERVED / "triton_model.py", models / name / "1" / "model.py")
        (models / name / "config.pbtxt").write_text(_settings('backend: "python"', "y"))
    (models / "chain" / "1").mkdir(parents=True)
    (models / "chain" / "config.pbtxt").write_text(_settings(f'platform: "ensemble"\n{_ensemble()}', "y"))
    ports = [free_port() for _ in range(3)]
    command = [
        whole / "bin" / "tritonserver", f"--model-repository={models}", f"--backend-directory={folder / 'backends'}",
        "--http-address", "127.0.0.1", "--http-port", str(ports[0]), "--grpc-port", str(ports[1]),
        "--metrics-port", str(ports[2]), "--pinned-memory-pool-byte-size=0",
    ]  # fmt: skip
    # Of Python, and of the wheel: a copy of the stub does not find those any more.
    libraries = f"{sysconfig.get_config_var('LIBDIR')}:{packages / 'nvidia_pytriton.libs'}"
    env = environment.environment() | {"PYTHONPATH": str(packages), "LD_LIBRARY_PATH": libraries}
    with running(command, folder, env, ports[0], READY) as server:
        yield [server]


def _settings(what: str, output: str) -> str:
    tensor = '{{ name: "{}" data_type: TYPE_FP32 dims: [ -1, -1 ] }}'
    return f"{what}\ninput [ {tensor.format('x')} ]\noutput [ {tensor.format(output)} ]\n"


def _ensemble() -> str:
    steps, flows = ["first", "second", "third"], ["x", "between", "later", "y"]
    return "ensemble_scheduling { step [ " + ", ".join(
        f'{{ model_name: "{name}" model_version: -1 input_map {{ key: "x" value: "{flows[at]}" }} '
        f'output_map {{ key: "y" value: "{flows[at + 1]}" }} }}'
        for at, name in enumerate(steps)
    ) + " ] }"  # fmt: skip


def _mosec(folder: Path) -> Iterator[list[Running]]:
    port = free_port()
    python = environment.python("mosec", lists=LISTS)
    command = [python, SERVED / "mosec_models.py", "--address", "127.0.0.1", "--port", str(port)]
    command += ["--max-request-size", str(64 << 20)]
    with running(command, folder, environment.environment(), port, "/metrics") as server:
        yield [server]


def _mlserver(folder: Path) -> Iterator[list[Running]]:
    """Without its pool of processes, whose start fails here: uvloop finds no current event loop."""
    port, grpc, metrics = (free_port() for _ in range(3))
    shutil.copy(SERVED / "mlserver_models.py", folder)
    (folder / "model-settings.json").write_text(json.dumps({"name": "echo", "implementation": "mlserver_models.Echo"}))
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": grpc, "metrics_port": metrics}
    (folder / "settings.json").write_text(json.dumps({**settings, "parallel_workers": 0}))
    program = environment.python("mlserver", lists=LISTS).with_name("mlserver")
    with running([program, "start", "."], folder, environment.environment(), port, READY) as server:
        yield [server]


def _litserve(folder: Path) -> Iterator[list[Running]]:
    port = free_port()
    command = [environment.python("litserve", lists=LISTS), SERVED / "litserve_models.py", str(port)]
    with running(command, folder, environment.environment(), port, "/health") as server:
        yield [server]


def _bare(folder: Path) -> Iterator[list[Running]]:
    port = free_port()
    with running([sys.executable, SERVED / "bare_socket.py", str(port)], folder, ours(), port, "") as server:
        yield [server]


@contextmanager
def started(chosen: Mapping[str, Contender], folder: Path) -> Iterator[dict[str, list[Running]]]:
    """All of them, at rest. One that does not start is said and left out: the others are compared."""
    with ExitStack() as stack:
        found = {}
        for name, own in chosen.items():
            place = folder / name.replace(" ", "-")
            place.mkdir()
            try:
                servers = stack.enter_context(contextmanager(own.start)(place))
            except (AssertionError, OSError, environment.NoPython, environment.NotInstalled) as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
                continue
            if own.rests:
                for server in servers:
                    server.pause()
            found[name] = servers
        yield found

"""A transformer in front of a predictor, each KServe's or ours: real processes that compute the same, asked the same.

What they compute is tests/peers/arithmetic.py; KServe's models are in tests/peers/kserve_chain.py.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from tests.peers import environment
from tests.serving import Server, serving

PEERS = Path(__file__).parents[1] / "peers"
KSERVE = "KServe → KServe"
OURS_KSERVE = "ours → KServe"
KSERVE_OURS = "KServe → ours"
OURS_OURS = "ours → ours"
COMPUTED = ("numbers", "texts", "flags", "pair", "scaled")
THROUGH = ("heard", "fails", "unready", "absent")
"""What only the predictor knows, and ``absent`` not even that one."""

APP = """
import arithmetic
import numpy as np
from pipeline_serve import Context, InferenceError, InvalidInput, ModelNotReady


def heard(x: list[str], context: Context):
    return {"y": np.array([context.headers.get(name, "") for name in x])}


class Asked(Exception):
    status_code = 429


def fails(x: list[str]):
    raise {
        "invalid": InvalidInput("the words of the author"),
        "inference": InferenceError("the words of the author"),
        "not-ready": ModelNotReady("fails", "the detail"),
        "todo": NotImplementedError("not this one"),
        "status": Asked("slow down"),
        "bug": KeyError("the secret"),
    }[x[0]]


class Breaks:
    def load(self):
        raise RuntimeError("the weights are missing")

    def __call__(self, x):
        return x


def objects_before(instances: list) -> dict:
    return {"instances": arithmetic.objects_before(instances)}


def objects(instances: list) -> dict:
    return {"predictions": arithmetic.objects(instances)}


def objects_after(answer: dict) -> dict:
    return {"predictions": arithmetic.objects_after(answer["predictions"])}


def moved(x):
    return {"x": x + 1}


def influence(predicted, shifted) -> dict:
    return {"explanations": arithmetic.influence(predicted, shifted)}
"""
CODE = {"app.py": APP, "arithmetic.py": (PEERS / "arithmetic.py").read_text()}
EXPLAINER = """
output: {predict: predict, explain: why}
steps:
  predict: {run: arithmetic.py:squares, inputs: request}
  moved: {run: app.py:moved, inputs: request}
  shifted: {run: arithmetic.py:squares, inputs: moved}
  why: {run: app.py:influence, inputs: {predicted: predict, shifted: shifted}}
"""
PREDICTORS = {
    **{f"{name}.yaml": f"steps: {{predict: arithmetic.py:{name}}}" for name in COMPUTED if name != "scaled"},
    "scaled.yaml": "steps: {predict: {run: arithmetic.py:scaled, inputs: {x: request, factor: parameters.factor}}}",
    **{f"{name}.yaml": f"steps: {{predict: app.py:{name}}}" for name in ("heard", "fails", "objects")},
    "raw.yaml": "steps: {predict: arithmetic.py:numbers}",
    "unready.yaml": "steps: {predict: app.py:Breaks}",
    "explained.yaml": EXPLAINER,
}
# The version of a transformer says how it asks; version 1 of the protocol gets the highest, for it cannot choose.
VERSIONS = {"v1": 3, "v2": 2, "v2 in JSON": 1}


def transformer(name: str, how: str) -> str:
    """A graph that asks ``PREDICTOR`` for the model of its own name."""
    path = f"/v1/models/{name}:predict" if how == "v1" else f"/v2/models/{name}/infer"
    params = ", params: {binary: false}" if how == "v2 in JSON" else ", params: {answer: json}" * (name == "objects")
    before, after = {
        **dict.fromkeys(COMPUTED, (f"arithmetic.py:{name}_before", f"arithmetic.py:{name}_after")),
        **dict.fromkeys(THROUGH, ("arithmetic.py:same", "arithmetic.py:same_after")),
        "raw": ("arithmetic.py:numbers_before", "arithmetic.py:numbers_after"),
        "objects": ("app.py:objects_before", "app.py:objects_after"),
    }[name]
    return (
        f'name: {name}\nversion: {VERSIONS[how]}\nsteps:\n  preprocess: {before}\n'
        f'  predict: {{call: "${{PREDICTOR}}{path}"{params}}}\n  postprocess: {after}\n'
    )  # fmt: skip


WATCHED = ("numbers", "unready", "absent")


def watched(name: str, how: str) -> str:
    """A graph that is ready while its predictor is."""
    path = f"/v1/models/{name}:predict" if how == "v1" else f"/v2/models/{name}/infer"
    return f'name: {name}-by-{how}\nsteps: {{predict: {{call: "${{PREDICTOR}}{path}", ready: true}}}}\n'


TRANSFORMERS = {
    **{f"{name} by {how}.yaml": watched(name, how) for name in WATCHED for how in ("v1", "v2")},
    **{f"{name} {how}.yaml": transformer(name, how) for name in (*COMPUTED, *THROUGH) for how in VERSIONS},
    "raw v2.yaml": transformer("raw", "v2"),
    "objects v1.yaml": transformer("objects", "v1"),
    "explained v1.yaml": """
output: {predict: predict, explain: why}
name: explained
steps:
  predict: {call: "${PREDICTOR}/v1/models/explained:predict", inputs: request}
  why: {call: "${EXPLAINER}/v1/models/explained:explain", inputs: request}
""",
}


class Chains:
    """Where each chain's transformer listens, by the version of the protocol that it is asked in, and asks in."""

    def __init__(self, urls: Mapping[tuple[str, str], str], ours: Mapping[str, Server], client: httpx.Client) -> None:
        self._urls = urls
        self._client = client
        self._references: dict[str, dict[str, str]] = {}
        self.ours = ours
        """Chain → its transformer, where that is ours."""

    def ask(
        self, chain: str, how: str, model: str, verb: str, body: bytes, headers: Mapping[str, str]
    ) -> httpx.Response:
        ours = chain in (OURS_KSERVE, OURS_OURS)
        version = f"/versions/{VERSIONS[how]}" if ours else ""
        path = f"/v1/models/{model}:{verb}" if how == "v1" else f"/v2/models/{model}{version}/infer"
        url = self._urls[chain, "" if ours else how] + path
        return self._client.post(url, content=body, headers=headers)

    def get(self, chain: str, how: str, path: str) -> httpx.Response:
        """``how``: of a transformer of KServe, whose process asks in one version."""
        ours = chain in (OURS_KSERVE, OURS_OURS)
        return self._client.get(self._urls[chain, "" if ours else how] + path)

    def reference(self, what: str, ask: Callable[[], dict[str, str]]) -> dict[str, str]:
        """What KServe's own chain answered in this run: asked once."""
        return self._references.get(what) or self._references.setdefault(what, ask())


@contextmanager
def chains(interpreter: Path, folder: Path) -> Iterator[Chains]:
    """All four of them. Every process is stopped at the end."""
    with ExitStack() as stack:
        ours = stack.enter_context(_serving(folder / "predictor", PREDICTORS, "--ready", "any"))
        kserve, ports = stack.enter_context(_kserve(interpreter, folder, f"127.0.0.1:{ours.port}"))
        at = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        urls = {(KSERVE, how): at[how] for how in ("v1", "v2")}
        urls |= {(KSERVE_OURS, how): at[f"other {how}"] for how in ("v1", "v2")}
        front: dict[str, Server] = {}
        for chain, predictor, explainer in (
            (OURS_KSERVE, at["predictor"], at["v1"]), (OURS_OURS, ours.url, ours.url),
        ):  # fmt: skip
            where = {"PREDICTOR": predictor, "EXPLAINER": explainer}
            front[chain] = stack.enter_context(_serving(folder / chain, TRANSFORMERS, "--ready", "any", env=where))
            urls[chain, ""] = front[chain].url
        # Connections of their own, for KServe closes some without a word (row 4).
        alone = httpx.Limits(max_keepalive_connections=0)
        client = stack.enter_context(httpx.Client(trust_env=False, timeout=60, limits=alone))
        for url in at.values():
            kserve.wait_until("KServe listens", lambda url=url: _live(client, url))
        for server, graphs in ((ours, PREDICTORS), *((server, TRANSFORMERS) for server in front.values())):
            working = sum("Breaks" not in text for text in graphs.values())
            server.wait_until(
                "the models are loaded",
                lambda server=server, working=working: server.stderr.count(" is loaded after ") == working,
            )
        yield Chains(urls, front, client)


def _serving(folder: Path, graphs: Mapping[str, str], *flags: str, env: Mapping[str, str] | None = None):
    folder.mkdir()
    return serving(folder, {**CODE, **graphs}, *flags, graphs=list(graphs), env=env, wait="bound")


@contextmanager
def _kserve(interpreter: Path, folder: Path, other: str) -> Iterator[tuple[Server, Mapping[str, int]]]:
    command: Sequence[str] = [str(interpreter), str(PEERS / "kserve_chain.py"), other]
    server = Server(command, folder, environment.environment())
    try:
        server.wait_until("KServe's ports are known", lambda: server.stdout.endswith("}\n"))
        yield server, json.loads(server.stdout.splitlines()[0])
    finally:
        server.send(signal.SIGTERM)
        server.wait()


def _live(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(f"{url}/v2/health/live").is_success
    except httpx.TransportError:
        return False

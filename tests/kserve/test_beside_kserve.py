"""One text of models, under KServe 0.21 and under us with its import lines changed: asked the same, and alike.

``python -m tests.kserve.test_beside_kserve`` prints where they differ, and why.
"""

from __future__ import annotations

import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.conformance.beside_kserve import Difference, differences, reply, summary, table
from tests.kserve.asks import asks
from tests.kserve.both import kserve, migrated
from tests.peers import environment
from tests.serving import ROOT, Server, serving

MODELS = Path(__file__).with_name("models.py")
FACTORS = {"one": "2", "two": "3", "broken": "1", "empty": None}
PREDICTOR = {
    "app.py": """
import numpy as np
from pipeline_serve import Context, InvalidInput


def tenfold(x):
    return x * 10


def heard(x: list[str], context: Context):
    context.answer.headers["x-predictor"] = "here"
    return np.array([context.headers.get(name, "") for name in x])


def refuse(x):
    raise InvalidInput("the words of the predictor")
""",
    **{
        f"{name}.yaml": "steps: {y: app.py:tenfold}"
        for name in ("through", "through-tensors", "crosses", "crosses-back")
    },
    "heard.yaml": "steps: {y: app.py:heard}",
    "refused.yaml": "steps: {y: app.py:refuse}",
}
GRAPHS = [name for name in PREDICTOR if name.endswith(".yaml")]


@contextmanager
def both(interpreter: Path, folder: Path) -> Iterator[tuple[Server, Server]]:
    """KServe's server and ours, of the same models. Both are stopped at the end."""
    (folder / "predictor").mkdir()
    with ExitStack() as stack:
        predictor = stack.enter_context(serving(folder / "predictor", PREDICTOR, graphs=GRAPHS))
        flags = ["--behind", f"127.0.0.1:{predictor.port}", "--http_port", "0"]
        theirs = stack.enter_context(_server(folder / "theirs", interpreter, MODELS.read_text(), flags))
        ours = stack.enter_context(_server(folder / "ours", Path(sys.executable), migrated(MODELS.read_text()), flags))
        for server, bound in (
            (theirs, r"running on http://[0-9.]+:([0-9]+)"),
            (ours, r"serving on http://\S+:([0-9]+)"),
        ):
            server.wait_until("it listens", lambda server=server, bound=bound: re.search(bound, _said(server)))
            found = re.search(bound, _said(server))
            server.url = f"http://127.0.0.1:{found[1] if found else 0}"
        for name in ours.get("/v1/models").json()["models"]:
            ready = f"/v2/models/{name}/ready"
            if name != "sick":
                ours.wait_until(f"{name} is loaded", lambda ready=ready: ours.get(ready).status_code == 200)
        yield theirs, ours


def _said(server: Server) -> str:
    return server.stdout + server.stderr


@contextmanager
def _server(folder: Path, interpreter: Path, text: str, flags: list[str]) -> Iterator[Server]:
    folder.mkdir()
    for name, factor in FACTORS.items():
        (folder / "models" / name).mkdir(parents=True)
        if factor:
            (folder / "models" / name / "factor.txt").write_text(factor)
    (folder / "models.py").write_text(text)
    command = [str(interpreter), "models.py", "--model_dir", "models", *flags]
    server = Server(command, folder, environment.environment(PYTHONPATH=str(ROOT)))
    try:
        yield server
    finally:
        server.send(signal.SIGTERM)
        server.wait()


def compare(interpreter: Path, folder: Path) -> tuple[int, list[Difference]]:
    corpus = list(asks())
    with both(interpreter, folder) as (theirs, ours):
        return len(corpus), [
            each for ask in corpus for each in differences(ask, reply(theirs.port, ask), reply(ours.port, ask))
        ]  # fmt: skip


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    with both(kserve(), tmp_path_factory.mktemp("both")) as servers:
        yield servers


@pytest.mark.slow
def test_replies_differ_from_kserves_only_where_there_is_a_reason(servers):
    theirs, ours = servers
    corpus = list(asks())
    assert len({ask.what for ask in corpus}) == len(corpus)
    found = [each for ask in corpus for each in differences(ask, reply(theirs.port, ask), reply(ours.port, ask))]
    if wrong := [each for each in found if not each.right]:
        pytest.fail(f"{table(wrong)}\n\n{summary(len(corpus), found)}", pytrace=False)


@pytest.mark.slow
def test_state_on_self_is_right_under_load(servers):
    _, ours = servers
    with ours.client() as client, ThreadPoolExecutor(20) as threads:
        before = client.post("/v1/models/counts:predict", json={"instances": [0]}).json()["predictions"][0]

        def ask(_: int) -> int:
            return client.post("/v1/models/counts:predict", json={"instances": [1]}).json()["predictions"][0]

        answers = list(threads.map(ask, range(200)))
    assert sorted(answers) == [before + count for count in range(1, 201)]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        count, found = compare(environment.python("kserve"), Path(folder))
    print(f"{table(found)}\n\n{summary(count, found)}")
    return 0 if all(each.right for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())

"""What is imported when: a command waits for nothing that it does not need, and a first request for nothing at all."""

import json
import subprocess
import sys

import pytest

from tests.serving import PATIENCE, environment, serving

# Each takes 10 to 300 ms; none is of use before somebody calls another server, asks for a page, or speaks HTTP/2.
SELDOM = {
    "anyio", "asyncio", "email.message", "h11", "h2", "httpcore", "httpx", "hypercorn", "importlib.metadata",
    "joblib", "logging.config", "networkx", "obstore", "onnxruntime", "pandas", "prometheus_client", "quart",
    "quart_trio", "rich", "scipy", "sklearn", "tarfile", "torch", "urllib.request", "werkzeug", "xgboost", "zipfile",
}  # fmt: skip
# What writes the metrics, and reads the files of /docs from wherever the package is.
WITH_PAGES = {"email.message", "prometheus_client", "urllib.request", "zipfile"}
NUMBERS = {"numpy", "trio", "msgspec", "orjson", "ruamel.yaml", "ssl"}

STEPS = """
import sys

class Loaded:
    def __init__(self):
        self.at_start = set(sys.modules)

    async def __call__(self, x):
        now = set(sys.modules)
        new, self.at_start = now - self.at_start, now
        return {"now": sorted(now), "new": sorted(new)}
"""
FILES = {"steps.py": STEPS, "graph.yaml": "name: m\nsteps:\n  tell: steps.py:Loaded\n"}


def loaded_by(folder, *arguments):
    """The modules of a process that has run the command."""
    script = (
        "import runpy, sys\nsys.argv = ['pipeline-serve', *sys.argv[1:]]\n"
        "try:\n    runpy.run_module('pipeline_serve', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "finally:\n    print(*sys.modules, sep='\\n', file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=folder, env=environment(), capture_output=True, text=True, check=True, timeout=PATIENCE,
    )  # fmt: skip
    return set(done.stderr.split())


@pytest.mark.parametrize("command", [["--help"], ["serve", "--help"], ["--version"]])
def test_help_waits_for_the_words_of_the_commands_alone(tmp_path, command):
    loaded = loaded_by(tmp_path, *command)
    assert loaded & (SELDOM | NUMBERS) == set()
    assert "click" in loaded


def test_a_check_waits_for_no_server_and_for_no_graph_of_another_kind(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    loaded = loaded_by(tmp_path, "check", "graph.yaml")
    assert loaded & SELDOM == set()
    assert not any(name.startswith(("server.http1", "server.worker")) for name in loaded)


def test_a_server_has_what_its_first_request_needs_and_no_more(tmp_path):
    def told():
        request = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2]}]}
        answer = client.post("/v2/models/m/infer", json=request).json()
        return json.loads(answer["outputs"][0]["data"][0])

    with serving(tmp_path, FILES) as server, server.client() as client:
        for _ in range(2):  # the second says what the reply to the first has needed
            found = told()
            assert found["new"] == []
            assert SELDOM.isdisjoint(found["now"])
            assert set(found["now"]) >= NUMBERS
        for path in ("/v2", "/v2/models/m", "/v1/models", "/metrics", "/openapi.json", "/docs"):
            assert client.get(path).status_code == 200
        assert client.post("/v2/repository/index").status_code == 200
        # No route of HTTP/1.1 is answered by Quart.
        assert SELDOM.intersection(told()["now"]) <= WITH_PAGES

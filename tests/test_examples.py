"""Each example runs: its model is made by its own script, and its README's commands give the answers it shows."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import ROOT, Server, run, serving

EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/graph.yaml"))


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda folder: folder.name)
def example(request: pytest.FixtureRequest) -> Path:
    """The folder of an example whose model is there."""
    folder: Path = request.param
    if "model.joblib" in (folder / "graph.yaml").read_text() and not (folder / "model.joblib").exists():
        subprocess.run([sys.executable, str(folder / "train.py")], check=True)
    return folder


@pytest.fixture(scope="module")
def server(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("served"), graphs=[str(example / "graph.yaml")]) as server:
        yield server
        assert server.stop() == 0


def conversations(readme: Path) -> list[tuple[str, str]]:
    """(command, shown output) of the README's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", readme.read_text(), re.DOTALL)
    return [pair for block in blocks for pair in re.findall(r"^\$ (.*)\n((?:[^$\n].*\n?)*)", block, re.MULTILINE)]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_readme_shows_what_its_commands_really_answer(example: Path, server: Server) -> None:
    curls = [(command, shown) for command, shown in conversations(example / "README.md") if command.startswith("curl ")]
    assert {re.search(r"/(v\d)/", command)[1] for command, _ in curls} == {"v1", "v2"}  # type: ignore[index]
    for command, shown in curls:
        words = shlex.split(command.replace("http://localhost:8080", server.url))
        ended = subprocess.run([*words, "-sS", "--noproxy", "*"], cwd=ROOT, capture_output=True, text=True, check=True)
        assert ended.stdout == shown.strip()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_line_that_the_server_prints_works_as_it_stands(server: Server) -> None:
    (line,) = (line.strip() for line in server.stdout.splitlines() if line.startswith("  curl "))
    ended = subprocess.run([*shlex.split(line), "-sS", "--noproxy", "*"], capture_output=True, text=True, check=True)
    assert ended.stdout == '{"predictions":["setosa","virginica"]}'


def test_the_documents_own_requests_are_those_beside_the_graph_and_are_answered(example: Path, server: Server) -> None:
    written = [json.loads((example / name).read_text()) for name in ("request.json", "request-v2.json")]
    paths = server.get("/openapi.json").json()["paths"]
    posts = {path: methods["post"]["requestBody"]["content"] for path, methods in paths.items() if "post" in methods}
    for path, content in posts.items():
        body = content["application/json"]["example"]
        assert body in written
        assert server.post(path, body).status_code == 200
    assert len(posts) == 3


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"instances": [[5.1, 3.5, 1.4, 0.2]]}, {"predictions": ["setosa"]}),
        ({"instances": [[51, 35, 14, 2], [6.7, 3.0, 5.2, 2.3]]}, {"predictions": ["setosa", "virginica"]}),
        ({"inputs": [[6.0, 2.7, 4.2, 1.3]]}, {"outputs": ["versicolor"]}),
    ],
)
def test_iris_names_the_species_of_rows_in_centimetres_and_in_millimetres(server: Server, body, answer) -> None:
    assert server.post("/v1/models/iris:predict", body).json() == answer


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"instances": [[5.1, 3.5, 1.4]]}, "FP64[n,4]"),
        ({"instances": [["a", "b", "c", "d"]]}, "rows"),
        ({"instances": [[5.1, 3.5, 1.4, 0.2], [1]]}, "row 1"),
        ({"instances": [[5.1, None, 1.4, 0.2]]}, 'input "rows" does not suit step "predict"'),
    ],
)
def test_iris_refuses_what_is_no_row_of_four_numbers(server: Server, body, says) -> None:
    reply = server.post("/v1/models/iris:predict", body)
    assert reply.status_code == 400
    assert says in reply.json()["error"]


def test_the_metadata_of_iris_says_what_it_takes_and_gives(server: Server) -> None:
    body = server.get("/v2/models/iris").json()
    assert body["inputs"] == [{"name": "rows", "datatype": "FP64", "shape": [-1, 4]}]
    assert body["outputs"] == [{"name": "species", "datatype": "BYTES", "shape": [-1]}]


def test_an_example_has_no_faults_and_answers_without_a_port(example: Path) -> None:
    ended = run(ROOT, "run", str(example / "graph.yaml"), str(example / "request.json"))
    assert (ended.returncode, ended.stdout) == (0, '{"predictions":["setosa","virginica"]}\n')
    timed = [line.split()[0] for line in ended.stderr.splitlines()]
    assert timed == ["preprocess", "predict", "postprocess", "total"]

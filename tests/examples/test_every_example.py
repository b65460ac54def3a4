"""Each example is served as its README says, and its README's commands answer what it shows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.readme import conversations, curl, trained
from tests.serving import ROOT, Server, run, serving

EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/graph.yaml"))
NEEDS_CURL = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda folder: folder.name)
def example(request: pytest.FixtureRequest) -> Path:
    return trained(request.param)


@pytest.fixture(scope="module")
def server(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("served"), graphs=[str(example / "graph.yaml")]) as server:
        yield server
        assert server.stop() == 0


@NEEDS_CURL
def test_the_readme_shows_what_its_commands_really_answer(example: Path, server: Server) -> None:
    shown = [pair for pair in conversations(example / "README.md") if pair[0].startswith("curl ")]
    assert shown
    assert [(command, curl(command, server.url)) for command, _ in shown] == [
        (command, answer.strip()) for command, answer in shown
    ]


@NEEDS_CURL
def test_the_line_that_the_server_prints_works_as_it_stands(example: Path, server: Server) -> None:
    (line,) = (line.strip() for line in server.stdout.splitlines() if line.startswith("  curl "))
    first = next(answer for command, answer in conversations(example / "README.md") if ":predict" in command)
    assert curl(line, server.url) == first.strip()


def test_the_documents_own_requests_are_answered(example: Path, server: Server) -> None:
    written = [json.loads(path.read_text()) for path in example.glob("request*.json")]
    paths = server.get("/openapi.json").json()["paths"]
    bodies = {path: methods["post"]["requestBody"] for path, methods in paths.items() if "post" in methods}
    # The repository's may be left out, and need no example; asked, they would change what is served.
    posts = {path: body["content"] for path, body in bodies.items() if body.get("required")}
    assert {path.partition("/models/")[0] for path in bodies.keys() - posts} == {
        "/v2/repository",
        "/v2/repository/index",
    }
    for path, content in posts.items():
        body = content["application/json"]["example"]
        # JSON of version 2 has no word for the bytes of a picture.
        assert body in written or (example.name == "image" and path.startswith("/v2/"))
        assert body not in written or server.post(path, body).status_code == 200, (path, body)
    assert posts


def test_an_example_has_no_faults_and_answers_without_a_port(example: Path) -> None:
    ended = run(ROOT, "run", str(example / "graph.yaml"), str(example / "request.json"))
    first = next(answer for command, answer in conversations(example / "README.md") if ":predict" in command)
    assert (ended.returncode, ended.stdout) == (0, first)
    assert ended.stderr.splitlines()[-1].startswith("total ")

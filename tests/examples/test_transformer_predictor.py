"""The example of two processes: what its README shows, with the predictor up, hanging and gone."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.examples.readme import conversations, curl
from tests.serving import ROOT, Server, run, serving

FOLDER = ROOT / "examples" / "transformer-predictor"
SHOWN = [(command, answer.strip()) for command, answer in conversations(FOLDER / "README.md") if "curl" in command]
ANSWERS, GONE, HANGS = (
    [pair for pair in SHOWN if not pair[1].endswith((" 502", " 504"))],
    [pair for pair in SHOWN if pair[1].endswith(" 502")],
    [pair for pair in SHOWN if pair[1].endswith(" 504")],
)
NEEDS_CURL = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@contextmanager
def both(folder: Path) -> Iterator[tuple[Server, Server]]:
    """The predictor, and the transformer that calls it."""
    with serving(folder, graphs=[str(FOLDER / "predictor.yaml")]) as predictor:
        where = {"PREDICTOR_URL": predictor.url}
        with serving(folder, graphs=[str(FOLDER / "transformer.yaml")], env=where) as transformer:
            yield predictor, transformer


@pytest.fixture(scope="module")
def servers(tmp_path_factory) -> Iterator[tuple[Server, Server]]:
    with both(tmp_path_factory.mktemp("served")) as started:
        yield started


def asked(pairs: list[tuple[str, str]], transformer: Server) -> list[tuple[str, str]]:
    assert pairs
    return [(command, curl(command, transformer.url)) for command, _ in pairs]


@NEEDS_CURL
def test_the_readme_shows_what_is_answered_while_the_predictor_answers_hangs_and_is_gone(tmp_path):
    with both(tmp_path) as (predictor, transformer):
        assert asked(ANSWERS, transformer) == ANSWERS
        predictor.send(signal.SIGSTOP)
        assert asked(HANGS, transformer) == HANGS
        predictor.send(signal.SIGCONT)
        # The caller left: nobody waits for that answer.
        predictor.wait_for_log("POST /v2/models/iris/infer 499 ")
        assert asked(ANSWERS, transformer) == ANSWERS
        predictor.send(signal.SIGKILL)
        predictor.wait()
        assert asked(GONE, transformer) == GONE
        transformer.wait_for_log(predictor.url)
        assert transformer.stop() == 0


def test_both_servers_log_a_request_under_one_id(servers):
    _, transformer = servers
    reply = transformer.post("/v1/models/iris:predict", {"instances": [[51, 35, 14, 2]]})
    assert reply.json() == {"predictions": ["setosa"]}
    for server in servers:
        server.wait_for_log(f"[{reply.headers['x-request-id']}]")


def test_the_tensors_travel_in_binary(servers):
    predictor, transformer = servers
    rows = {"instances": [[5.1, 3.5, 1.4, 0.2]] * 100}
    reply = transformer.post("/v1/models/iris:predict", rows, headers={"x-request-id": "hundred-rows"})
    assert reply.status_code == 200
    predictor.wait_for_log("[hundred-rows]")
    (size,) = re.findall(r"POST /v2/models/iris/infer 200 .* ms (\d+) B \[hundred-rows\]", predictor.stderr)
    # 100 rows of three FP64 behind some JSON; as text they would be twice as long.
    assert 2400 < int(size) < 3000


@pytest.mark.parametrize("graph", ["predictor.yaml", "transformer.yaml"])
def test_the_files_have_no_faults(graph):
    ended = run(ROOT, "check", str(FOLDER / graph))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_check_asks_the_predictor_where_it_is_told_to(servers):
    (shown,) = (pair for pair in conversations(FOLDER / "README.md") if " check " in pair[0])
    words = shlex.split(shown[0])
    assert words[0] == "scripts/serve"
    predictor, _ = servers
    ended = run(ROOT, *words[1:], env={"PREDICTOR_URL": predictor.url})
    assert (ended.returncode, ended.stderr, ended.stdout.strip()) == (0, "", shown[1].strip())

"""``/graph``: every model and version, under a policy that fits, without what only its owner may know."""

from __future__ import annotations

import base64
import hashlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import networkx as nx
import pytest
import trio

from pipeline.repository import Repository
from pipeline_serve import Pipeline, Step
from server.graphs import graphs
from tests.serving import Server, serving

FILES = {
    "app.py": "def same(x):\n    return x\ndef why(x, ask):\n    return x\n",
    "one.yaml": "name: m\nversion: 1\nsteps: {old: app.py:same}\n",
    "two.yaml": "name: m\nversion: 2\nschema: {inputs: {'<b>&': 'FP32[n]'}}\nsteps: {new: app.py:same}\n",
    "calls.yaml": """
name: größe
output: {predict: ask, explain: why}
steps:
  ask: {call: 'http://someone:${SECRET}@127.0.0.1:1/v2/models/m/infer'}
  why: {run: app.py:why, inputs: {x: request}, handles: {ask: ask}}
""",
}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    names = [name for name in FILES if name.endswith(".yaml")]
    with serving(tmp_path_factory.mktemp("graphs"), FILES, graphs=names, env={"SECRET": "hidden"}) as server:
        yield server


def sections(text: str) -> dict[str, str]:
    return dict(re.findall(r'<section id="([^"]*)">(.*?)</section>', text, re.DOTALL))


def test_each_version_of_each_model_has_its_drawing_and_says_what_it_answers(server):
    found = sections(server.get("/graph").text)
    assert list(found) == ["m-1", "m-2", "größe-1"]
    assert "Answers predict." in found["m-1"]
    assert "Answers predict and explain." in found["größe-1"]
    for section in found.values():
        (drawing,) = re.findall(r"<svg .*?</svg>", section, re.DOTALL)
        assert ET.fromstring(drawing).get("role") == "img"
    assert "&lt;b&gt;&amp;" in found["m-2"]
    assert "<b>" not in found["m-2"]


@pytest.mark.parametrize(
    ("path", "step"),
    [("/graph/m", "new"), ("/graph/m/versions/1", "old"), ("/graph/m/versions/2", "new"), ("/graph/größe", "why")],
)
def test_one_model_is_one_svg_the_one_that_answers_where_no_version_is_named(server, path, step):
    reply = server.get(path)
    assert reply.headers["content-type"] == "image/svg+xml"
    assert f"{step} (run)" in ET.fromstring(reply.content).get("aria-label", "")


@pytest.mark.parametrize("path", ["/graph/gone", "/graph/m/versions/3", "/graph/m/versions", "/graph/m/versions/1/x"])
def test_what_is_not_there_is_not_found(server, path):
    assert server.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/graph", "/graph/m", "/graph/größe"])
def test_the_policy_allows_the_style_that_is_there_and_nothing_else_is_inline(server, path):
    reply = server.get(path)
    (policy,) = re.findall(r"style-src 'self' '(sha256-[^']*)'", reply.headers["content-security-policy"])
    styles = set(re.findall(r"<style>(.*?)</style>", reply.text, re.DOTALL))
    hashes = [base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() for style in styles]
    assert [f"sha256-{own}" for own in hashes] == [policy]
    assert not re.search(r"<script|\s(style|on\w+)=", reply.text)


def test_no_password_is_drawn(server):
    text = server.get("/graph").text
    assert "127.0.0.1" in text
    assert "hidden" not in text
    assert "someone" not in text


async def test_one_who_gives_up_takes_the_drawing_from_nobody():
    dag = nx.DiGraph()
    dag.add_node("answer", step=Step(run=lambda rows: rows))
    page = graphs(Repository([Pipeline("m", dag)]))("/graph/m")
    with trio.CancelScope() as scope:
        scope.cancel()
        await page({})
    assert scope.cancelled_caught
    texts: list[bytes] = []

    async def ask() -> None:
        texts.append((await page({})).body[0])

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
    assert len(texts) == 3
    assert len(set(texts)) == 1

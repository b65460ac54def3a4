"""The pages about the server, as a browser gets them: complete, from one origin, revalidated, and off when told so."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import networkx as nx
import pytest

from pipeline.repository import Repository
from pipeline_serve import Pipeline, Step
from server.docs import ASSETS, pages
from tests.serving import ROOT, Server, serving

GRAPH = {"graph.yaml": "steps: {same: app.py:same}", "app.py": "def same(x):\n    return x\n"}
PAGE = ROOT / "server" / "page"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("docs"), GRAPH) as server:
        yield server
        assert server.stop() == 0


class References(HTMLParser):
    """What a page loads or links to, and what its policy would refuse."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.found += [given[name] for name in ("href", "src") if name in given]
        self.inline += [name for name in given if name.startswith("on") or name == "style"]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)


def needed(path: str, text: str) -> set[str]:
    """The paths that an asset refers to, from where it is itself."""
    if path in ("/docs", "/graph"):
        words = [word for word in References(text).found if not word.startswith("#")]
    elif path.endswith(".js"):
        words = re.findall(r'from "([^"]+)"', text)
    else:
        words = re.findall(r"(?:url\(|@import)\s*['\"]?([^'\")]+)", text)
    return {urljoin(path, word) for word in words}


def test_everything_that_an_asset_names_is_served_and_nothing_is_served_that_none_names(server):
    reached, waiting = set(), {"/docs"}
    while waiting:
        path = waiting.pop()
        reply = server.get(path)
        assert reply.status_code == 200, path
        reached.add(path)
        if path in ASSETS:
            assert reply.headers["content-type"] == ASSETS[path][1]
            assert reply.content == (PAGE / ASSETS[path][0]).read_bytes()
            waiting |= needed(path, reply.text) - reached
        elif path == "/graph":
            waiting |= needed(path, reply.text) - reached
    assert reached == {*ASSETS, "/openapi.json", "/graph", "/graph/graph/versions/1"}
    assert {name for name, _ in ASSETS.values()} == {file.name for file in PAGE.iterdir()}


@pytest.mark.parametrize("name", sorted(file.name for file in PAGE.iterdir()))
def test_no_asset_names_another_origin_or_makes_markup_of_data(name):
    text = (PAGE / name).read_text()
    assert [url for url in re.findall(r"(?:[a-z]+:)?//[\w.-]+[\w/.-]*", text) if "www.w3.org/2000/svg" not in url] == []
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|DOMParser", text)


def test_the_page_works_under_its_own_policy(server):
    reply = server.get("/docs")
    assert References(reply.text).inline == []
    policy = dict(part.strip().partition(" ")[::2] for part in reply.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert {policy[kind] for kind in ("script-src", "style-src", "img-src", "connect-src")} == {"'self'"}


@pytest.mark.parametrize("path", [*ASSETS, "/openapi.json", "/graph", "/graph/graph"])
def test_a_page_is_revalidated_by_its_tag(server, path):
    reply = server.get(path)
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "no-cache"
    tag = reply.headers["etag"]
    assert tag.startswith('W/"'), "the same page may come in another coding"
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = server.get(path, headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert {"content-length", "content-type"}.isdisjoint(again.headers)
    assert server.get(path, headers={"if-none-match": '"other"'}).status_code == 200


def test_a_page_has_a_head_and_refuses_what_would_change_it(server):
    with server.client() as client:
        plain = {"accept-encoding": "identity"}
        head = client.head("/docs", headers=plain)
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["content-length"]) == len(client.get("/docs", headers=plain).content)
        refused = client.post("/docs")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("page", ["docs", "graph"])
def test_the_address_with_a_slash_leads_to_the_page_whatever_stands_before_it(server, page):
    reply = server.get(f"/{page}/")
    assert reply.status_code == 308
    assert urljoin(f"/behind/a/prefix/{page}/", reply.headers["location"]) == f"/behind/a/prefix/{page}"


@pytest.mark.parametrize("flags", [["--no-ui"], ["--enable_docs_url", "false"]])
def test_the_page_can_be_off_and_the_document_stays(tmp_path: Path, flags):
    with serving(tmp_path, GRAPH, *flags) as server:
        assert {server.get(path).status_code for path in (*ASSETS, "/docs/", "/graph", "/graph/graph")} == {404}
        assert server.get("/openapi.json").json()["openapi"] == "3.1.0"


async def test_the_document_is_made_anew_only_when_a_model_has_changed():
    dag = nx.DiGraph()
    dag.add_node("answer", step=Step(run=lambda rows: rows))
    pipeline = Pipeline("m", dag)
    page = pages(Repository([pipeline]), title="t", version="1", ui=False)("/openapi.json")
    new = page({})
    assert page({}).body[0] is new.body[0]
    async with pipeline:
        ready = page({})
        assert json.loads(ready.body[0])["tags"][1]["x-versions"][0]["state"] == "ready"
        assert ready.headers["etag"] != new.headers["etag"]
        assert page({}).body[0] is ready.body[0]
    assert page({}).headers["etag"] not in (new.headers["etag"], ready.headers["etag"])


def test_a_request_beside_the_graph_is_read_unless_it_is_large(tmp_path: Path):
    small, large = '{"instances": [7]}', '{"instances": [' + "1," * 40_000 + "1]}"
    for text, example in ((small, {"instances": [7]}), (large, {"instances": [1, 2]})):
        with serving(tmp_path, {**GRAPH, "request.json": text}) as server:
            paths = server.get("/openapi.json").json()["paths"]
            content = paths["/v1/models/graph:predict"]["post"]["requestBody"]["content"]
            assert content["application/json"]["example"] == example

"""A real server of a folder of models, and of graphs: index, load and unload as clients see them, and under load."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline_serve import Client, ModelNotFound, ModelNotReady
from tests.serving import Server, run, serving, write

GRAPH = "steps: {answer: app.py:answer}"
LOAD, UNLOAD, INDEX = (
    "/v2/repository/models/{}/load",
    "/v2/repository/models/{}/unload",
    "/v2/repository/index",
)
NOT_READY = "Model with name {} is not ready. "
WAITS = """
from pathlib import Path
import trio
async def answer(name: str) -> int:
    here = Path(__file__).parent
    (here / f"{name}.began").touch()
    while not (here / f"{name}.go").exists():
        await trio.sleep(0.005)
    return 1
"""


def answers(number: int) -> str:
    return f"def answer(x) -> int: return {number}\n"


def model(name: str, number: int, version: str = "") -> dict[str, str]:
    folder = f"models/{name}/{version}".rstrip("/")
    return {f"{folder}/graph.yaml": GRAPH, f"{folder}/app.py": answers(number)}


FILES = {
    **model("one", 1), **model("two", 2), **model("versions", 11, "1"), **model("versions", 12, "2"),
    "models/broken/graph.yaml": "steps: {answer: app.py:nothing}\nlimit: many", "models/broken/app.py": answers(1),
    "models/fails/graph.yaml": "steps: {answer: app.py:Fails}",
    "models/fails/app.py": "class Fails:\n  def load(self): raise OSError('no weights')\n  def __call__(self, x): ...",
    "models/waits/graph.yaml": GRAPH, "models/waits/app.py": WAITS,
    "models/stray.txt": "", "models/.hidden/graph.yaml": GRAPH,
    "named/graph.yaml": f"name: named\n{GRAPH}", "named/app.py": answers(5),
}  # fmt: skip
THERE = {"one", "two", "versions", "broken", "fails", "waits", "stray.txt", ".hidden", "named"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    flags = ["--model-repository", "models", "--ready", "any"]
    with serving(folder, FILES, *flags, graphs=["named/graph.yaml"]) as own:
        own.wait_until("all are loaded or have failed", lambda: "LOADING" not in states(own).values())
        yield own


def states(server: Server) -> dict[tuple[str, str], str]:
    return {(own["name"], own["version"]): own["state"] for own in server.post(INDEX).json()}


def asked(server: Server, name: str, version: str = "") -> int:
    inputs = [{"name": "x", "datatype": "INT64", "shape": [1], "data": [0]}]
    path = f"/v2/models/{name}/versions/{version}/infer" if version else f"/v2/models/{name}/infer"
    reply = server.post(path, {"inputs": inputs})
    return reply.json()["outputs"][0]["data"][0] if reply.status_code == 200 else reply.status_code


def test_the_index_has_what_is_served_and_what_could_be(server):
    index = server.post(INDEX).json()
    assert all(list(own) == ["name", "version", "state", "reason"] for own in index)
    # Other tests put more there.
    found = {own["name"]: own for own in index if own["name"] in THERE}
    assert {name: own["state"] for name, own in found.items()} == {
        **dict.fromkeys(("one", "two", "versions", "waits", "named"), "READY"),
        **dict.fromkeys(("broken", "fails"), "UNAVAILABLE"),
    }
    assert "models/broken/graph.yaml:" in found["broken"]["reason"]
    assert found["broken"]["reason"].endswith("(and 1 more lines, in the log)")
    assert found["fails"]["reason"].endswith("is not ready. OSError: no weights")
    ready = server.post(INDEX, {"ready": True}).json()
    assert {own["state"] for own in ready} == {"READY"}
    served = THERE & set(server.get("/v1/models").json()["models"])
    assert served == {"named", "one", "two", "versions", "waits"}
    assert "model_repository" in server.get("/v2").json()["extensions"]
    assert "stray.txt is no model" in server.stderr
    assert 'has no "nothing"' in server.stderr, "the log has every fault"
    assert "limit" in server.stderr
    assert server.get("/v2/models/fails/ready").status_code == 503


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        (LOAD.format("nope"), {}, 404, "Model with name nope does not exist."),
        (UNLOAD.format("nope"), {}, 404, "Model with name nope does not exist."),
        (LOAD.format(".hidden"), {}, 404, "does not exist"),
        (LOAD.format("..%2Fmodels%2Fone"), {}, 404, "Not Found"),
        (LOAD.format("fails"), {}, 503, f"{NOT_READY.format('fails')}OSError: no weights"),
        (LOAD.format("broken"), {}, 503, f"{NOT_READY.format('broken')}models/broken/graph.yaml:"),
        (LOAD.format("one"), {"parameters": {"config": "{}"}}, 400, 'parameter "config": a load takes what lies'),
        (LOAD.format("one"), {"parameters": {"file:1/model.onnx": "AA=="}}, 400, 'parameter "file:1/model.onnx"'),
        (LOAD.format("one"), {"parameters": []}, 200, ""),
        (LOAD.format("one"), {"parameters": 3}, 400, '"parameters" is an object, got a number'),
        (LOAD.format("one"), [], 400, "a request to the repository is an object, got a list"),
        (UNLOAD.format("one"), {"parameters": {"unload_dependents": 1}}, 400, '"unload_dependents" is true or false'),
        (INDEX, {"ready": "yes"}, 400, '"ready" is true or false, got a text'),
        (INDEX, {}, 200, ""),
    ],
)  # fmt: skip
def test_what_is_answered_to_what_is_asked(server, path, body, status, says):
    reply = server.post(path, body)
    assert reply.status_code == status
    if says:
        assert says in reply.json()["error"]
    assert asked(server, "one") == 1


def test_a_body_is_json_or_nothing_and_is_posted(server):
    assert server.post(INDEX, content=b"{").status_code == 400
    assert server.get(INDEX).status_code == 405
    assert server.post(LOAD.format("one"), content=b"").json() == {"name": "one", "load": True}


def test_what_lies_there_now_is_served_after_a_load_and_only_then(server):
    write(server.folder, model("two", 3))
    assert asked(server, "two") == 2
    assert server.post(LOAD.format("two")).json() == {"name": "two", "load": True}
    assert asked(server, "two") == 3
    write(server.folder, {"models/two/app.py": "def answer(x:"})
    assert server.post(LOAD.format("two")).status_code == 503
    assert asked(server, "two") == 3, "a failed load leaves the old one serving"
    server.wait_for_log('model "two" version 1 is replaced and closed')


def test_versions_come_and_go(server):
    assert [asked(server, "versions", version) for version in ("", "1", "2", "3")] == [12, 11, 12, 404]
    write(server.folder, model("versions", 13, "3"))
    server.post(LOAD.format("versions"))
    assert [asked(server, "versions", version) for version in ("", "1", "3")] == [13, 11, 13]
    assert server.get("/v2/models/versions").json()["versions"] == ["1", "2", "3"]


def test_a_model_that_is_put_there_is_loaded_and_what_shows_models_shows_it_until_it_is_unloaded(server):
    write(server.folder, model("new", 7))
    assert states(server)["new", ""] == "UNAVAILABLE"
    assert asked(server, "new") == 404
    assert server.post(LOAD.format("new")).status_code == 200
    assert asked(server, "new") == 7
    seen = ["/v1/models", "/v2/models", "/graph", "/openapi.json", "/metrics"]
    assert all("new" in server.get(path).text for path in seen)
    assert server.get("/graph/new").headers["content-type"] == "image/svg+xml"
    assert server.post(UNLOAD.format("new"), {"parameters": {"unload_dependents": False}}).json() == {
        "name": "new", "unload": True,
    }  # fmt: skip
    assert asked(server, "new") == 404
    assert server.get("/graph/new").status_code == 404
    assert not any('"new"' in server.get(path).text for path in seen)
    assert server.post(UNLOAD.format("new")).status_code == 404
    assert states(server)["new", ""] == "UNAVAILABLE"


def test_a_graph_that_was_named_is_read_again_and_comes_back_after_an_unload(server):
    write(server.folder, {"named/app.py": answers(6)})
    assert server.post(LOAD.format("named")).status_code == 200
    assert asked(server, "named") == 6
    assert server.post(UNLOAD.format("named")).status_code == 200
    assert asked(server, "named") == 404
    assert server.post(LOAD.format("named")).status_code == 200
    assert asked(server, "named") == 6


def wait_for(server: Server, name: str):
    return server.post("/v1/models/waits:predict", {"instances": [name]})


def test_an_unload_waits_for_what_is_in_flight_and_a_caller_may_stop_waiting(server):
    inside = server.folder / "models/waits"
    with ThreadPoolExecutor() as pool:
        request = pool.submit(wait_for, server, "a")
        server.wait_until("it is inside", (inside / "a.began").exists)
        swapped = server.post(LOAD.format("waits"))
        assert swapped.status_code == 200, "a load does not wait for it"
        late = pool.submit(wait_for, server, "b")
        server.wait_until("it is inside", (inside / "b.began").exists)
        gives_up = server.post(UNLOAD.format("waits"), headers={"x-request-timeout": "50ms"})
        assert gives_up.status_code == 504
        assert "goes on" in gives_up.json()["error"]
        assert wait_for(server, "c").status_code == 404
        assert states(server)["waits", "1"] == "UNLOADING"
        for name in "ab":
            (inside / f"{name}.go").touch()
        assert request.result().json() == late.result().json() == {"predictions": 1}
    server.wait_until("it is gone", lambda: states(server).get(("waits", "")) == "UNAVAILABLE")
    assert server.post(LOAD.format("waits")).status_code == 200


async def test_our_client_asks_for_the_same(server):
    for protocol in ("v1", "v2"):
        async with Client(server.url, protocol=protocol) as client:
            await client.load("one")
            assert ("one", "READY") in {(own.name, own.state) for own in await client.index(ready=True)}
            with pytest.raises(ModelNotFound, match="nope"):
                await client.load("nope")
            with pytest.raises(ModelNotReady, match="no weights"):
                await client.load("fails")
            await client.unload("one")
            assert "one" not in await client.models()
            with pytest.raises(ModelNotFound):
                await client.unload("one")
            await client.load("one")


def test_our_client_that_blocks_too(server):
    with Client(server.url).blocking() as client:
        client.unload("one")
        client.load("one")
        assert {own.state for own in client.index()} >= {"READY", "UNAVAILABLE"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model-repository", "gone"], "--model-repository gone cannot be read: No such file or directory"),
        (["models/one/graph.yaml", "--model-name", "two", "--model-repository", "models"],
         '"two" is a graph that was named and one of --model-repository'),
        (["--model-repository", "models", "--model-name", "x"], "--model-name names one graph, and there is none"),
    ],
)  # fmt: skip
def test_a_folder_that_cannot_be_served_is_one_line_and_exit_2(server, arguments, says):
    ended = run(server.folder, *arguments, "--http-port", "0")
    assert ended.returncode == 2
    assert says in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_an_empty_folder_is_ready_to_be_filled(tmp_path):
    (tmp_path / "models").mkdir()
    environment = {"PIPELINE_SERVE_MODEL_REPOSITORY": "models"}
    with serving(tmp_path, {}, graphs=[], env=environment) as server:
        assert server.post(INDEX).json() == []
        write(tmp_path, model("first", 1))
        assert server.post(LOAD.format("first")).status_code == 200
        assert asked(server, "first") == 1
        assert server.stop() == 0


@pytest.mark.slow
def test_200_loads_and_unloads_under_load_lose_no_request(tmp_path):
    files = {**model("kept", 0, "1"), **model("gone", 0)}
    over = threading.Event()

    def ask(server: Server, name: str) -> dict[int, int]:
        """Status → how often, of one client after another."""
        found: dict[int, int] = {}
        body = {"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [0]}]}
        while not over.is_set():
            with server.client() as client:
                for _ in range(20):
                    status = client.post(f"/v2/models/{name}/infer", json=body).status_code
                    found[status] = found.get(status, 0) + 1
        return found

    def change(server: Server) -> None:
        with server.client() as client:
            for number in range(100):
                version = str(1 + number % 3)
                write(tmp_path, model("kept", number, version))
                assert client.post(LOAD.format("kept")).status_code == 200
                change = UNLOAD if number % 2 == 0 else LOAD
                assert client.post(change.format("gone")).status_code == 200
                assert asked(server, "kept", version) == number

    with serving(tmp_path, files, "--model-repository", "models", "--no-access-log", graphs=[]) as server:
        with ThreadPoolExecutor() as pool:
            kept = [pool.submit(ask, server, "kept") for _ in range(3)]
            gone = pool.submit(ask, server, "gone")
            try:
                change(server)
            finally:
                over.set()
        assert all(set(own.result()) == {200} for own in kept), [own.result() for own in kept]
        assert set(gone.result()) == {200, 404}
        assert server.stop() == 0
        assert "Traceback" not in server.stderr

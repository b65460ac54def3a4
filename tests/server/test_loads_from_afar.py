"""Models that are loaded and unloaded from a bucket while others are served: what is asked of it, kept, and removed."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from tests.serving import serving, write
from tests.storage.origin import Fault, slowly
from tests.storage.origin import serving as origin_of
from tests.storage.pullers import alive, pullers, written

APP = """
class Scale:
    def predict(self, X): return X * self.by
"""
LOAD, UNLOAD = "/v2/repository/models/{}/load", "/v2/repository/models/{}/unload"
MIB = 2**20


def pickled(by: int, size: int = 0) -> bytes:
    """A model, and bytes behind it that no unpickling reads."""
    return (b"\x80\x02capp\nScale\n)\x81}X\x02\x00\x00\x00byK" + bytes([by]) + b"sb.").ljust(size, b" ")


@pytest.fixture(scope="module")
def origin():
    with origin_of() as own:
        yield own


@contextmanager
def served(origin, folder):
    """One model, and a folder for those that lie in the bucket."""
    flags = ("--model-repository", "models", "--cache-dir", "cache", "--cache-size", "1MiB")
    env = {"AWS_ENDPOINT_URL": origin.url, "awsAnonymousCredential": "true"}
    files = {
        "graph.yaml": "name: here\nsteps: {a: app.py:answer}\n",
        "app.py": "import sys\ndef answer(x): return [sys.getswitchinterval()]\n",
    }
    (folder / "models").mkdir()
    with serving(folder, files, *flags, env=env) as own:
        yield own


@pytest.fixture(scope="module")
def server(origin, tmp_path_factory):
    with served(origin, tmp_path_factory.mktemp("afar")) as own:
        yield own


@pytest.fixture
def model(server, origin):
    """Makes a model that lies at that key of the bucket; at the end it is unloaded."""
    origin.decide = lambda seen: None
    made = []

    def model(name, key=None):
        made.append(name)
        return lying(server, name, key)

    yield model
    for name in made:
        server.post(UNLOAD.format(name))


def lying(server, name, key=None) -> str:
    graph = f"steps: {{m: {{model: 's3://b/{key or name}.pkl'}}}}\n"
    write(server.folder / "models", {f"{name}/graph.yaml": graph, f"{name}/app.py": APP})
    return name


def loaded(server, name) -> httpx.Response:
    return server.post(LOAD.format(name))


def asked(server, name):
    reply = server.post(f"/v1/models/{name}:predict", {"instances": [[1.0]]})
    return reply.json()["predictions"][0][0] if reply.status_code == 200 else reply.status_code


def in_cache(server) -> set[int]:
    """The sizes of the models that are there."""
    return {file.stat().st_size for file in (server.folder / "cache/models").rglob("*.pkl")}


def test_what_is_loaded_again_is_asked_for_and_not_downloaded(server, origin, model):
    origin.files = {"/b/again.pkl": pickled(3)}
    name = model("again")
    assert (loaded(server, name).status_code, asked(server, name)) == (200, 3.0)
    server.post(UNLOAD.format(name)).raise_for_status()
    before = list(origin.seen)
    assert (loaded(server, name).status_code, asked(server, name)) == (200, 3.0)
    assert len(origin.gets("/b/again.pkl")) == 1
    assert [seen.method for seen in origin.seen[len(before) :]] == ["HEAD"]
    assert "s3://b/again.pkl: it is in the cache" in server.stderr
    assert 'model_download_bytes_total{scheme="s3"}' in server.get("/metrics").text


def test_what_is_pulled_says_so_as_it_begins(server, origin, model):
    origin.files = {"/b/begins.pkl": pickled(3)}
    loaded(server, model("begins")).raise_for_status()
    server.wait_for_log("pulling s3://b/begins.pkl in a process beside this one")


def test_threads_that_import_or_compute_give_way_soon(server):
    assert server.post("/v1/models/here:predict", {"instances": [1]}).json() == {"predictions": [0.001]}


def test_models_of_one_uri_at_once_are_one_download(server, origin, model):
    origin.files = {"/b/shared.pkl": pickled(4)}
    names = [model(f"one-of-{number}", "shared") for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        replies = list(threads.map(lambda name: loaded(server, name), names))
    assert [reply.status_code for reply in replies] == [200] * 4
    assert [asked(server, name) for name in names] == [4.0] * 4
    assert len(origin.gets("/b/shared.pkl")) == 1


def test_a_download_that_fails_leaves_the_old_one_serving_and_the_next_load_goes_on(server, origin, model):
    origin.files = {"/b/grows.pkl": pickled(5)}
    name = model("grows")
    loaded(server, name).raise_for_status()
    origin.files = {"/b/grows.pkl": pickled(6, 12 * MIB)}
    before = len(origin.gets("/b/grows.pkl"))

    def breaking(seen):
        """In the middle, and then for good."""
        first = len(origin.gets("/b/grows.pkl")) == before + 1
        return None if seen.method != "GET" else Fault(drop=8 * MIB) if first else Fault(status=403)

    origin.decide = breaking
    reply = loaded(server, name)
    assert reply.status_code == 503
    assert reply.json()["error"].startswith(f"Model with name {name} is not ready. ")
    assert "S3 resource s3://b/grows.pkl is refused to nobody in particular" in reply.json()["error"]
    assert asked(server, name) == 5.0
    assert "s3://b/grows.pkl: what was downloaded is kept for 24 hours in" in server.stderr
    assert 12 * MIB not in in_cache(server)

    origin.decide = lambda seen: None
    assert (loaded(server, name).status_code, asked(server, name)) == (200, 6.0)
    assert 0 < origin.gets("/b/grows.pkl")[-1].sent < 12 * MIB


def test_a_load_goes_on_without_its_caller_and_an_unload_ends_it_with_nothing_half(server, origin, model):
    origin.files = {"/b/slow.pkl": pickled(7, 12 * MIB)}
    name, hold = model("slow"), threading.Event()
    origin.decide = lambda seen: Fault(wait=hold, after=4 * MIB) if seen.method == "GET" else None
    with server.client(timeout=httpx.Timeout(60, read=0.2)) as client, pytest.raises(httpx.ReadTimeout):
        client.post(LOAD.format(name))
    server.wait_until("it downloads", lambda: any(seen.sent >= 4 * MIB for seen in origin.gets("/b/slow.pkl")))
    assert server.post("/v2/repository/index").json()[-1] == {
        "name": name, "version": "", "state": "LOADING", "reason": ""
    }  # fmt: skip
    server.post(UNLOAD.format(name)).raise_for_status()
    server.wait_for_log("s3://b/slow.pkl: what was downloaded is kept for 24 hours in")
    hold.set()
    assert (asked(server, name), 12 * MIB in in_cache(server)) == (404, False)

    origin.decide = lambda seen: None
    assert (loaded(server, name).status_code, asked(server, name)) == (200, 7.0)
    assert "of it are here already" in server.stderr
    assert 0 < origin.gets("/b/slow.pkl")[-1].sent < 12 * MIB
    assert "s3://b/slow.pkl: 100 % (12.0 MiB of 12.0 MiB), " in server.stderr


def test_a_full_cache_keeps_what_is_served_and_gives_up_what_was_unloaded(server, origin, model):
    origin.files = {"/b/large.pkl": pickled(8, 3 * MIB), "/b/other.pkl": pickled(9, 2 * MIB)}
    large, other = model("large"), model("other")
    for name in (large, other):
        loaded(server, name).raise_for_status()
    assert {3 * MIB, 2 * MIB} <= in_cache(server)
    server.post(UNLOAD.format(large)).raise_for_status()
    assert (3 * MIB in in_cache(server), 2 * MIB in in_cache(server)) == (False, True)
    assert asked(server, other) == 9.0


def test_a_pull_that_is_killed_is_said_to_be_and_the_next_load_goes_on(server, origin, model):
    origin.files = {"/b/killed.pkl": pickled(10, 12 * MIB)}
    name, hold = model("killed"), threading.Event()
    origin.decide = lambda seen: Fault(wait=hold, after=4 * MIB) if seen.method == "GET" else None
    with ThreadPoolExecutor(1) as thread:
        load = thread.submit(loaded, server, name)
        slowly(lambda: written(server.folder / "cache"))
        for pid in pullers(server.process.pid):
            os.kill(pid, signal.SIGKILL)
        reply = load.result()
    hold.set()
    assert reply.status_code == 503
    assert "the process that pulled s3://b/killed.pkl was killed by SIGKILL" in reply.json()["error"]
    origin.decide = lambda seen: None
    assert (loaded(server, name).status_code, asked(server, name)) == (200, 10.0)
    assert 0 < origin.gets("/b/killed.pkl")[-1].sent < 12 * MIB


def test_a_server_that_is_stopped_leaves_no_pull_behind(origin, tmp_path):
    origin.files = {"/b/long.pkl": pickled(11, MIB)}
    hold = threading.Event()
    origin.decide = lambda seen: Fault(wait=hold) if seen.method == "GET" else None
    with served(origin, tmp_path) as own:
        lying(own, "long")
        with own.client(timeout=httpx.Timeout(60, read=0.2)) as client, pytest.raises(httpx.ReadTimeout):
            client.post(LOAD.format("long"))
        slowly(lambda: origin.gets("/b/long.pkl"))
        (pid,) = pullers(own.process.pid)
        assert own.stop() == 0
        slowly(lambda: not alive(pid))
    hold.set()

"""``hf://``: the hub's API by a fake of it, digests checked, tokens sent to the hub and to nobody else."""

from __future__ import annotations

import hashlib
import json

import pytest

from storage import Storage
from storage.errors import Corrupt, Denied, NotThere, Offline, StorageError
from storage.events import Fetched
from storage.options import Settings
from storage.schemes.hf import open_source, refusal, token
from tests.storage.origin import Fault, serving
from tests.storage.test_fetch import BIG

COMMIT = "c0ffee" * 6 + "beef"
FILES = {"config.json": b'{"a": 1}', "model.safetensors": BIG, "sub/ä b.txt": b"x", "empty": b""}


@pytest.fixture
def hub(origin):
    """A hub with ``me/m``; its large file is redirected to another host, as the real one does."""
    with serving() as cdn:
        cdn.files = {"/large": FILES["model.safetensors"]}
        siblings = []
        for name, data in FILES.items():
            file = {
                "rfilename": name,
                "size": len(data),
                "blobId": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(),
            }
            if len(data) > 1000:
                file["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            siblings.append(file)
            origin.files[f"/me/m/resolve/{COMMIT}/{name}"] = data
        origin.revisions = {"main": {"sha": COMMIT, "siblings": siblings}}

        def decide(seen):
            if seen.path.startswith("/api/models/me/m/revision/"):
                told = origin.revisions.get(seen.path.rpartition("/")[2])
                return Fault(200, body=json.dumps(told).encode()) if told else Fault(404)
            if seen.path.endswith("model.safetensors"):
                return Fault(302, headers={"location": f"{cdn.url}/large?sig=x"})
            return None

        origin.decide = decide
        origin.cdn = cdn
        yield origin


@pytest.fixture
def storage(hub, told, tmp_path, storage):
    storage.environment = {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_thetoken", "HOME": str(tmp_path)}
    return storage


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_a_repository_is_a_folder_at_one_commit_and_every_digest_is_checked(hub, storage, told, tmp_path):
    assert content(await storage.fetch("hf://me/m", tmp_path)) == FILES
    assert {seen.headers.get("authorization") for seen in hub.seen} == {"Bearer hf_thetoken"}
    assert {seen.headers.get("authorization") for seen in hub.cdn.seen} == {None}, "the token is the hub's alone"
    await storage.fetch("hf://me/m", tmp_path)
    assert len(told.of(Fetched)) == 1


async def test_patterns_choose_files(hub, storage, tmp_path):
    storage.environment["STORAGE_ALLOW_PATTERNS"] = '["*.json", "sub/*"]'
    assert content(await storage.fetch("hf://me/m", tmp_path)).keys() == {"config.json", "sub/ä b.txt"}


async def test_a_file_that_is_not_what_the_hub_says_is_refused(hub, storage, tmp_path):
    hub.files[f"/me/m/resolve/{COMMIT}/config.json"] = b'{"a": 2}'
    with pytest.raises(Corrupt, match=r"hf://me/m: config.json has git-sha1"):
        await storage.fetch("hf://me/m", tmp_path)
    assert not list((tmp_path / "cache").glob("models/*"))


async def test_a_revision_is_named_behind_a_colon(hub, storage, tmp_path):
    hub.revisions["refs/pr/1"] = hub.revisions["main"]
    hub.revisions["1"] = hub.revisions["main"]
    await storage.fetch("hf://me/m:refs/pr/1", tmp_path)
    assert hub.seen[0].path == "/api/models/me/m/revision/refs/pr/1"
    with pytest.raises(NotThere, match=r"HuggingFace resource hf://me/m:nope is not there"):
        await storage.fetch("hf://me/m:nope", tmp_path)


async def test_offline_it_is_what_was_listed_last(hub, storage, tmp_path):
    path = await storage.fetch("hf://me/m", tmp_path)
    hub.seen.clear()
    alone = Storage({"HOME": str(tmp_path)}, cache_dir=tmp_path / "cache", offline=True)
    with pytest.raises(Offline):
        await alone.fetch("hf://me/m", tmp_path)  # of another hub
    alone.environment = {"HF_ENDPOINT": hub.url}
    assert await alone.fetch("hf://me/m", tmp_path) == path
    assert hub.seen == []
    alone.cache.close()


@pytest.mark.parametrize("status", [401, 403])
async def test_who_may_not_is_told_what_to_set(hub, storage, tmp_path, status):
    hub.decide = lambda seen: Fault(status)
    with pytest.raises(Denied, match=r"refused to the token of HF_TOKEN: .*; set HF_TOKEN") as caught:
        await storage.fetch("hf://me/m", tmp_path)
    assert "thetoken" not in str(caught.value)
    assert "thetoken" not in repr(open_source("hf://me/m", Settings(storage.environment, tmp_path)))


def answered(commit=COMMIT, **file):
    told = {"rfilename": "a", "size": 5, "blobId": COMMIT, **file}
    return json.dumps({"sha": commit, "siblings": [told]}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b"[" * 100_000,
        json.dumps({"sha": COMMIT, "siblings": [1]}).encode(), json.dumps({"sha": COMMIT, "siblings": [{}]}).encode(),
        answered("../../../other?x"), answered("c0ffee\r\nx: y"), answered(size=-5), answered(size=5.5),
        answered(size=float("inf")), answered(size=None), answered(blobId="\x1b[2J"), answered(lfs="x"),
        answered(lfs={"sha256": 1, "size": 5}), answered(size=5).replace(b" 5,", b"9" * 5000 + b","),
    ],
)  # fmt: skip
async def test_what_is_no_hub_says_so(hub, storage, tmp_path, body):
    hub.decide = lambda seen: Fault(200, body=body)
    with pytest.raises(StorageError, match="did not answer as a hub does about hf://me/m"):
        await storage.fetch("hf://me/m", tmp_path)


@pytest.mark.parametrize("uri", ["hf://me/m", "hf://me/m:v2", "hf://me/m:refs/pr/1", "HF://me/m/"])
def test_two_names_are_a_model(uri):
    assert refusal(uri) is None


@pytest.mark.parametrize(
    "uri", ["hf://m", "hf://me/m/x", "hf:///m", "hf://me/", "hf://../m", "hf://me/m:", "hf://me/m?x"]
)
def test_anything_else_is_refused(uri):
    assert refusal(uri) == f'"{uri}" is not of the form hf://OWNER/MODEL or hf://OWNER/MODEL:REVISION'


def test_a_token_is_where_the_hubs_library_keeps_it(tmp_path):
    (tmp_path / ".cache/huggingface").mkdir(parents=True)
    (tmp_path / ".cache/huggingface/token").write_text("of-file\n")
    assert token(Settings({"HOME": str(tmp_path)}, tmp_path))[0] == "of-file"
    assert token(Settings({"HF_HOME": str(tmp_path)}, tmp_path)) == ("", "")
    (tmp_path / "other").write_text("other")
    assert token(Settings({"HF_TOKEN_PATH": str(tmp_path / "other")}, tmp_path))[0] == "other"
    assert token(Settings({"HUGGING_FACE_HUB_TOKEN": "x", "HOME": str(tmp_path)}, tmp_path)) == (
        "x",
        "HUGGING_FACE_HUB_TOKEN",
    )


@pytest.mark.parametrize("endpoint", ["ftp://h", "h", "http://user:hunter2@h"])
def test_an_endpoint_that_is_none_is_refused_without_repeating_it(tmp_path, endpoint):
    with pytest.raises(StorageError, match="HF_ENDPOINT is http://HOST") as caught:
        open_source("hf://me/m", Settings({"HF_ENDPOINT": endpoint}, tmp_path))
    assert "hunter2" not in str(caught.value)

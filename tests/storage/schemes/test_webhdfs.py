"""HDFS over WebHDFS, by a fake name node that sends readers on to a data node."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from storage import Storage
from storage.errors import Changed, Denied, NotThere, StorageError, Unsafe
from storage.events import Listed
from storage.options import Settings
from storage.schemes.webhdfs import name_node, open_source, refusal, secret
from tests.storage.origin import Fault
from tests.storage.test_fetch import BIG

FILES = {"/models/m/big.bin": BIG, "/models/m/sub/ä b.txt": b"x", "/models/m/empty": b"", "/models/other": b"y"}


@pytest.fixture
def nodes(origin):
    """Name node and data node in one, whose files are ``origin.hdfs``."""
    origin.hdfs = dict(FILES)
    origin.changed = 1

    def status(path, name=""):
        if path in origin.hdfs:
            size = len(origin.hdfs[path])
            return {"pathSuffix": name, "type": "FILE", "length": size, "modificationTime": origin.changed, "fileId": 7}
        return {"pathSuffix": name, "type": "DIRECTORY", "length": 0}

    def decide(seen):
        asked = {name: values[0] for name, values in parse_qs(seen.query).items()}
        path = seen.path.removeprefix("/webhdfs/v1").rstrip("/")
        if seen.path == "/data":
            start = int(asked["offset"])
            end = start + int(asked["length"]) if "length" in asked else None
            return Fault(200, body=origin.hdfs[asked["path"]][start:end])
        below = {own.removeprefix(f"{path}/").split("/")[0] for own in origin.hdfs if own.startswith(f"{path}/")}
        if path not in origin.hdfs and not below:
            return Fault(404, body=b'{"RemoteException": {"exception": "FileNotFoundException"}}')
        match asked["op"]:
            case "GETFILESTATUS":
                told = {"FileStatus": status(path)}
            case "LISTSTATUS":
                told = {"FileStatuses": {"FileStatus": [status(f"{path}/{name}", name) for name in sorted(below)]}}
            case "OPEN":
                return Fault(307, headers={"location": f"{origin.url}/data?path={path}&{seen.query}"})
        return Fault(200, body=json.dumps(told).encode())

    origin.decide = decide
    return origin


@pytest.fixture
def storage(nodes, told, storage, tmp_path):
    storage.environment = {"HDFS_SECRET_DIR": str(tmp_path / "secrets")}
    return storage


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("scheme", ["webhdfs", "hdfs"])
async def test_a_folder_is_read_to_its_depth_in_parts(nodes, storage, told, tmp_path, scheme):
    folder = await storage.fetch(f"{scheme}://{nodes.host}/models/m", tmp_path)
    assert content(folder) == {"big.bin": BIG, "sub/ä b.txt": b"x", "empty": b""}
    lengths = [parse_qs(seen.query)["length"][0] for seen in nodes.gets("/data")]
    assert sorted(map(int, lengths))[-2:] == [16 * 2**20, 16 * 2**20]
    assert told.of(Listed)[0].files == 3


async def test_a_file_of_a_name_node_that_a_variable_names(nodes, storage, tmp_path):
    storage.environment |= {"HDFS_NAMENODE": nodes.url, "USER_PROXY": "me", "HEADERS": '{"X-Gateway": "hush-hush"}'}
    path = await storage.fetch("hdfs:///models/other", tmp_path)
    assert (path.name, path.read_bytes()) == ("other", b"y")
    assert all("doas=me" in seen.query and "user.name" not in seen.query for seen in nodes.seen)
    assert all(seen.headers["x-gateway"] == "hush-hush" for seen in nodes.seen)
    assert "hush-hush" not in repr(storage._open("hdfs:///models/other", tmp_path))


async def test_a_user_may_be_named_by_the_uri_or_a_variable_and_a_root_stands_before_the_path(nodes, storage, tmp_path):
    storage.environment |= {"HADOOP_USER_NAME": "other", "HDFS_ROOTPATH": "/models/"}
    assert (await storage.fetch(f"webhdfs://me@{nodes.host}/other", tmp_path)).read_bytes() == b"y"
    assert all("user.name=me" in seen.query and "doas" not in seen.query for seen in nodes.seen)
    nodes.seen.clear()
    assert content(await storage.fetch(f"webhdfs://{nodes.host}/m/sub", tmp_path)) == {"ä b.txt": b"x"}
    assert all("user.name=other" in seen.query for seen in nodes.seen)


async def test_what_is_not_there_and_what_may_not_be_read(nodes, storage, tmp_path):
    with pytest.raises(NotThere, match=r"HDFS resource webhdfs://.*/nope is not there"):
        await storage.fetch(f"webhdfs://{nodes.host}/nope", tmp_path)
    nodes.decide = lambda seen: Fault(403)
    with pytest.raises(Denied, match=r"refused to the user me: .*; set HADOOP_USER_NAME"):
        await storage.fetch(f"webhdfs://me@{nodes.host}/models/m", tmp_path)


FILE = {"type": "FILE", "pathSuffix": "a", "length": 5}


@pytest.mark.parametrize(
    "listed",
    [
        [1], ["a"], {"FileStatus": [1]}, {"FileStatus": ["a"]}, {"FileStatus": FILE},
        *({"FileStatus": [{**FILE, **wrong}]} for wrong in (
            {"length": -1}, {"length": "abc"}, {"length": None}, {"pathSuffix": None}, {"pathSuffix": 1},
        )),
    ],
)  # fmt: skip
async def test_what_is_no_listing_of_a_name_node_says_so(nodes, storage, tmp_path, listed):
    told = {"FileStatus": {"type": "DIRECTORY"}, "FileStatuses": listed}
    nodes.decide = lambda seen: Fault(200, body=json.dumps(told).encode())
    with pytest.raises(StorageError, match="did not answer as a name node does"):
        await storage.fetch(f"webhdfs://{nodes.host}/models/m", tmp_path)


@pytest.mark.parametrize("name", ["", "..", ".", "a/../..", "d", "\ud800"])
async def test_a_folder_that_is_in_itself_is_not_listed_for_ever(nodes, storage, tmp_path, name):
    told = {"FileStatuses": {"FileStatus": [{"type": "DIRECTORY", "pathSuffix": name}]}, "FileStatus": {"type": "x"}}
    nodes.decide = lambda seen: Fault(200, body=json.dumps(told).encode())
    with pytest.raises(Unsafe, match="has a folder that is none below it, or no end of them"):
        await storage.fetch(f"webhdfs://{nodes.host}/models/m", tmp_path)
    assert len(nodes.seen) <= 102


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"FileStatus": 1}', b"[" * 100_000])
async def test_what_is_no_name_node_says_so(nodes, storage, tmp_path, body):
    nodes.decide = lambda seen: Fault(200, body=body)
    with pytest.raises(StorageError, match="did not answer as a name node does"):
        await storage.fetch(f"webhdfs://{nodes.host}/models/m", tmp_path)


def test_a_file_that_changed_since_it_was_listed_is_noticed(nodes, tmp_path):
    source = open_source(f"webhdfs://{nodes.host}/models/other", Settings({}, tmp_path))
    (item,) = source.listing().items
    assert b"".join(source.read(item, 0, 1)) == b"y"
    nodes.changed = 2
    with pytest.raises(Changed, match="the next pull starts clean"):
        list(source.read(item, 0, 1))


async def test_names_that_leave_the_folder_are_refused(nodes, storage, tmp_path):
    nodes.hdfs["/models/m/a\\b"] = b"evil"
    with pytest.raises(Unsafe, match="no file below its folder"):
        await storage.fetch(f"webhdfs://{nodes.host}/models/m", tmp_path)


@pytest.mark.parametrize("name", ["KERBEROS_PRINCIPAL", "KERBEROS_KEYTAB"])
@pytest.mark.parametrize("as_file", [False, True])
async def test_kerberos_is_refused_with_the_way_out(nodes, tmp_path, name, as_file):
    variables = {"HDFS_SECRET_DIR": str(tmp_path)}
    if as_file:
        (tmp_path / name).write_bytes(b"\x05\x02\xff")
    else:
        variables[name] = "me@REALM"
    with pytest.raises(StorageError, match="Kerberos, which is not spoken here; put a gateway before it"):
        await Storage(variables, cache_dir=tmp_path / "c").fetch(f"webhdfs://{nodes.host}/models/m", tmp_path)


@pytest.mark.parametrize(
    ("uri", "variables", "node"),
    [
        ("webhdfs://node/m", {}, "http://node:9870"),
        ("webhdfs://me@node:50070/m", {}, "http://node:50070"),
        ("swebhdfs://node/m", {}, "https://node:9871"),
        ("hdfs:///m", {"HDFS_NAMENODE": "http://other:1/"}, "http://other:1"),
        ("hdfs://node/m", {"HDFS_NAMENODE": "https://other:1"}, "https://node:9871"),
    ],
)
def test_the_authority_is_the_name_node(uri, variables, node):
    assert name_node(uri, Settings(variables, Path())) == node


def test_without_a_name_node_it_is_asked_for():
    with pytest.raises(StorageError, match=r"hdfs:///m names no name node; .*set HDFS_NAMENODE"):
        name_node("hdfs:///m", Settings({}, Path()))


def test_secrets_are_variables_or_files_and_certificates_also_in_base64(tmp_path):
    pem = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"
    (tmp_path / "USER_PROXY").write_text("me\n")
    (tmp_path / "TLS_CA").write_text(pem)
    coded = base64.b64encode(pem.encode()).decode()
    settings = Settings({"HDFS_SECRET_DIR": str(tmp_path), "TLS_CERT": coded, "TLS_KEY": "not base64!"}, tmp_path)
    assert (secret(settings, "USER_PROXY"), secret(settings, "TLS_CA"), secret(settings, "TLS_CERT")) == (
        "me",
        pem,
        pem,
    )
    assert secret(settings, "HEADERS") is None
    with pytest.raises(StorageError, match=r"^TLS_KEY is neither PEM nor PEM in base64$"):
        secret(settings, "TLS_KEY")


@pytest.mark.parametrize("uri", ["webhdfs://node", "webhdfs://node/", "webhdfs://node/a/../b"])
def test_a_uri_without_a_path_or_with_a_way_up_is_refused(uri):
    assert str(refusal(uri)).startswith(f'"{uri}" ')
    assert refusal("hdfs:///m") is None

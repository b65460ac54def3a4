"""Azure blobs: URIs and credentials by table, and all of it against Azurite."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from email.utils import formatdate
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import obstore
import pytest
from obstore.store import AzureStore

from storage import Storage
from storage.errors import Changed, Denied, NotThere, StorageError
from storage.options import Settings
from storage.scheme import scheme_for
from storage.schemes.azure import HOSTS, Place, endpoint, open_source, place, refusal
from tests.peers import node
from tests.peers.environment import environment
from tests.storage.test_fetch import BIG

ACCOUNT = "devstoreaccount1"
# Azurite's own, of its documentation.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        (
            "https://acc.blob.core.windows.net/c/a/b%20c?sv=1&sig=x%2By",
            Place("acc", "c", "a/b c", "", "sv=1&sig=x%2By"),
        ),
        (
            "https://acc.z12.blob.storage.azure.net/c/a",
            Place("acc", "c", "a", "https://acc.z12.blob.storage.azure.net"),
        ),
        ("az://c/a/b%20c", Place("", "c", "a/b%20c")),
        ("azure://c", Place("", "c", "")),
        ("abfs://c@acc.dfs.core.windows.net/a/", Place("acc", "c", "a/")),
        ("abfss://c/a", Place("", "c", "a")),
    ],
)
def test_what_a_uri_names(uri, named):
    assert place(uri) == named
    assert refusal(uri) is None
    assert "sig=" not in repr(place(uri))


@pytest.mark.parametrize(
    "uri", ["az:///x", "https://acc.blob.core.windows.net/", "https://acc.blob.core.windows.net/?sig=x"]
)
def test_a_uri_without_a_container_is_refused_without_its_query(uri):
    told = refusal(uri)
    assert told is not None
    assert "names no container; write " in told
    assert "sig" not in told


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("acc.blob.core.windows.net", "azure"),
        ("acc.z1.blob.storage.azure.net", "azure"),
        ("blob.core.windows.net.evil.example", "http"),
        ("acc.file.core.windows.net", "http"),
    ],
)
def test_hosts_of_azure_are_azures_alone(host, served):
    assert (HOSTS.fullmatch(host) is not None) == (served == "azure")
    assert scheme_for(f"https://{host}/c/a").__name__ == f"storage.schemes.{served}"


@pytest.mark.parametrize(
    ("variables", "where"),
    [
        ({}, ""),
        ({"AZURE_STORAGE_ENDPOINT": "http://h:1/acc/"}, "http://h:1/acc"),
        ({"AZURITE_BLOB_STORAGE_URL": "http://h:1"}, "http://h:1/acc"),
        ({"AZURITE_BLOB_STORAGE_URL": "http://h:1/other"}, "http://h:1/other"),
    ],
)
def test_where_an_account_is(variables, where):
    assert endpoint(Settings(variables, Path()), "acc") == where


def test_an_account_that_nothing_names_is_asked_for(tmp_path):
    with pytest.raises(StorageError, match="az://c/m does not say of which account; set AZURE_STORAGE_ACCOUNT_NAME"):
        open_source("az://c/m", Settings({}, tmp_path))


# ---- Azurite


@dataclass(frozen=True)
class Azurite:
    url: str

    def variables(self, **more: str) -> dict[str, str]:
        return {"AZURITE_BLOB_STORAGE_URL": self.url, **more}

    def store(self) -> AzureStore:
        return AzureStore(
            "models", account_name=ACCOUNT, account_key=KEY, endpoint=f"{self.url}/{ACCOUNT}",
            client_options={"allow_http": True},
        )  # fmt: skip

    def put(self, **objects: bytes) -> None:
        for key, data in objects.items():
            obstore.put(self.store(), key, data)

    def make_container(self, name: str, public: bool) -> None:
        when = formatdate(usegmt=True)
        headers = {"x-ms-date": when, "x-ms-version": "2021-12-02"}
        if public:
            headers["x-ms-blob-public-access"] = "container"
        named = "\n".join(f"{key}:{value}" for key, value in sorted(headers.items()))
        signed = "PUT" + "\n" * 12 + f"{named}\n/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
        key = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
        headers["authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(key).decode()}"
        url = f"{self.url}/{ACCOUNT}/{name}?restype=container"
        httpx.put(url, headers=headers, trust_env=False).raise_for_status()


@pytest.fixture(scope="module")
def azurite(tmp_path_factory) -> Iterator[Azurite]:
    try:
        interpreter, folder = node.program("azurite", "3.35.0")
    except node.NoNode as nowhere:
        pytest.skip(str(nowhere))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        interpreter, folder / "dist/src/blob/main.js", "--blobHost", "127.0.0.1", "--blobPort", str(port),
        "--location", tmp_path_factory.mktemp("azurite"), "--silent", "--skipApiVersionCheck", "--disableTelemetry",
    ]  # fmt: skip
    server = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    own = Azurite(f"http://127.0.0.1:{port}")
    try:
        give_up = time.monotonic() + 60
        while True:
            try:
                httpx.get(own.url, trust_env=False)
                break
            except httpx.TransportError:
                assert time.monotonic() < give_up, "Azurite did not start"
                assert server.poll() is None, "Azurite ended"
                time.sleep(0.05)
        own.make_container("models", public=False)
        own.make_container("public", public=True)
        yield own
    finally:
        server.kill()
        server.wait()


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_a_folder_and_a_blob_with_the_accounts_key(azurite, tmp_path):
    azurite.put(**{"m/big.bin": BIG, "m/sub/ä b": b"x", "m/empty": b"", "m2/other": b"y"})
    variables = azurite.variables(AZURE_STORAGE_ACCESS_KEY=KEY)
    storage = Storage(variables, cache_dir=tmp_path / "cache")
    expected = {"big.bin": BIG, "sub/ä b": b"x", "empty": b""}
    assert files(await storage.fetch("az://models/m", tmp_path)) == expected
    url = f"https://{ACCOUNT}.blob.core.windows.net/models/m/sub/%C3%A4%20b"
    assert (await storage.fetch(url, tmp_path)).read_bytes() == b"x"
    assert (
        await storage.fetch(f"abfs://models@{ACCOUNT}.dfs.core.windows.net/m/sub/ä b", tmp_path)
    ).read_bytes() == b"x"
    storage.cache.close()


async def test_a_sas_token_in_the_uri_is_used_and_never_shown(azurite, tmp_path):
    azurite.put(**{"sas/a": b"x"})
    signed = obstore.sign(azurite.store(), "GET", "sas/a", timedelta(minutes=5))
    query = urlsplit(signed).query
    storage = Storage(azurite.variables(), cache_dir=tmp_path / "cache")
    url = f"https://{ACCOUNT}.blob.core.windows.net/models/sas/a"
    assert (await storage.fetch(f"{url}?{query}", tmp_path)).read_bytes() == b"x"
    broken = f"{url}?{query[:-6]}AAAAAA"
    with pytest.raises(Denied, match="refused to the SAS token of the URI") as caught:
        await storage.fetch(broken, tmp_path)
    assert "sig=" not in str(caught.value)
    assert query[-20:-6] not in str(caught.value)
    assert query[-20:-6] not in repr(open_source(broken, Settings(azurite.variables(), tmp_path)))
    storage.cache.close()


async def test_nobody_in_particular_sees_what_is_public_and_nothing_else(azurite, tmp_path):
    azurite.put(**{"private/a": b"x"})
    obstore.put(AzureStore("public", account_name=ACCOUNT, account_key=KEY, endpoint=f"{azurite.url}/{ACCOUNT}",
                           client_options={"allow_http": True}), "m/a", b"x")  # fmt: skip
    storage = Storage(azurite.variables(), cache_dir=tmp_path / "cache")
    assert files(await storage.fetch("az://public/m", tmp_path)) == {"a": b"x"}
    with pytest.raises((Denied, NotThere)) as caught:
        await storage.fetch("az://models/private", tmp_path)
    assert "az://models/private" in str(caught.value)
    storage.cache.close()


def test_a_part_is_asked_for_under_if_match(azurite, tmp_path):
    azurite.put(changing=b"0123456789")
    source = open_source("az://models/changing", Settings(azurite.variables(AZURE_STORAGE_ACCESS_KEY=KEY), tmp_path))
    (item,) = source.listing().items
    assert b"".join(source.read(item, 2, 5)) == b"234"
    azurite.put(changing=b"9876543210")
    with pytest.raises(Changed):
        list(source.read(item, 2, 5))

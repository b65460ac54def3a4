"""What a web server may do wrong: versions in the middle, sizes, codings; and whom our headers are for."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest

from storage import Storage
from storage.connection import Connection
from storage.errors import Changed, StorageError
from storage.failures import Who
from storage.parts import PART
from storage.web import answer, client, json_of
from tests.storage.origin import Fault, etag, serving

SIZE = 2 * PART + 5
LATER = "Mon, 02 Nov 2026 11:00:00 GMT"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Fault(etag='W/"a"'), Fault(etag='W/"b"')),
        (Fault(etag="a"), Fault(etag="b")),
        (Fault(etag='"a"', ignore_match=True), Fault(no_etag=True, ignore_match=True)),
        (Fault(no_etag=True), Fault(no_etag=True, headers={"last-modified": LATER})),
    ],
    ids=["weak", "unquoted", "no longer told", "by time"],
)
@pytest.mark.parametrize("header", [None, "X-Api-Key"], ids=["obstore", "by hand"])
async def test_two_versions_are_never_mixed_however_a_server_tells_them(
    storage, origin, tmp_path, before, after, header
):
    origin.files = {"/m.bin": b"A" * SIZE}

    def decide(seen):
        if len(origin.gets("/m.bin")) <= 2:
            return before
        origin.files["/m.bin"] = b"B" * SIZE
        return after

    origin.decide = decide
    order = replace(storage.order, crew=replace(storage.order.crew, least=1, most=1))
    headers = {"127.0.0.1-headers": json.dumps({header: "secret"})} if header else {}
    own = Storage({**storage.environment, **headers}, cache_dir=tmp_path / "cache", order=order)
    with pytest.raises(Changed, match=r"m\.bin changed while it was downloaded; the next pull starts clean"):
        await own.fetch(f"{origin.url}/m.bin", tmp_path)
    assert (await own.fetch(f"{origin.url}/m.bin", tmp_path)).read_bytes() == b"B" * SIZE
    own.cache.close()


async def test_what_nothing_tells_apart_comes_in_one_stream(storage, origin, tmp_path):
    origin.files = {"/m.bin": b"A" * SIZE}
    origin.decide = lambda seen: Fault(no_etag=True, headers={"last-modified": "yesterday"})
    assert (await storage.fetch(f"{origin.url}/m.bin", tmp_path)).stat().st_size == SIZE
    assert [seen.headers.get("range") for seen in origin.gets("/m.bin")] == ["bytes=0-0", None]


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_our_headers_stay_with_the_host_they_are_for(storage, origin, tmp_path, elsewhere):
    told = {"Authorization": "Bearer secret", "X-Api-Key": "secret", "Cookie": "secret"}
    own = Storage({**storage.environment, "localhost-headers": json.dumps(told)}, cache_dir=tmp_path / "cache")
    with serving() as other:
        target = other if elsewhere else origin
        target.files = {"/n.bin": b"A" * SIZE}
        host = "127.0.0.1" if elsewhere else "localhost"
        away = Fault(status=302, headers={"location": f"http://{host}:{target.url.rpartition(':')[2]}/n.bin"})
        origin.decide = lambda seen: away if seen.path == "/m.bin" else None
        uri = f"http://localhost:{origin.url.rpartition(':')[2]}/m.bin"
        assert (await own.fetch(uri, tmp_path)).stat().st_size == SIZE
        assert all("secret" in seen.headers["x-api-key"] for seen in origin.gets("/m.bin"))
        sent = [name for seen in target.gets("/n.bin") for name, value in seen.headers.items() if "secret" in value]
        assert set(sent) == (set() if elsewhere else {"authorization", "x-api-key", "cookie"})
    own.cache.close()


async def test_a_redirect_that_cannot_be_followed_is_tried_once(storage, origin, tmp_path):
    origin.decide = lambda seen: Fault(302, headers={"location": "ftp://h/x"})
    with pytest.raises(StorageError, match=f"HTTP resource {origin.url}/m.bin leads to where it cannot be followed: "):
        await storage.fetch(f"{origin.url}/m.bin", tmp_path)
    assert len(origin.seen) == 1


async def test_redirects_without_an_end_are_given_up(storage, origin, tmp_path):
    origin.decide = lambda seen: Fault(status=307, headers={"location": "/m.bin"})
    with pytest.raises(StorageError, match="more than 20 redirects"):
        await storage.fetch(f"{origin.url}/m.bin", tmp_path)
    assert len(origin.seen) == 20, "once"


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "zstd", "x\x1bz"])
async def test_a_content_coding_that_is_not_undone_is_refused(storage, origin, tmp_path, coding):
    origin.files = {"/m.bin": b"coded"}
    origin.decide = lambda seen: Fault(headers={"content-encoding": coding})
    with pytest.raises(StorageError, match=r"m\.bin comes in the content coding '(gzip, gzip|br|zstd|x\\x1bz)'"):
        await storage.fetch(f"{origin.url}/m.bin", tmp_path)


async def test_an_answer_without_an_end_is_not_kept(origin, monkeypatch):
    monkeypatch.setattr("storage.web._LISTING", 1000)
    origin.files = {"/small": b"[1]", "/large": b"[" + b" " * 2000 + b"]"}
    who = Who("HTTP", "u", "nobody", "nothing")
    with client(Connection()) as asking:
        for path, told in (("/small", [1]), ("/large", None)):
            with answer(asking, origin.url + path, who) as reply:
                assert json_of(reply) == told


async def test_a_size_that_no_file_has_is_none(storage, origin, tmp_path):
    origin.files = {"/m.bin": b"model"}
    huge = {"content-range": f"bytes 0-0/{'9' * 5000}", "etag": etag(b"model")}
    origin.decide = lambda seen: Fault(status=206, headers=huge, body=b"m") if "range" in seen.headers else None
    assert (await storage.fetch(f"{origin.url}/m.bin", tmp_path)).read_bytes() == b"model"


@pytest.mark.parametrize("value", ["hunter2\n", "hunter2\0", "hünter2", "hunter2…"])
def test_a_header_that_cannot_be_one_is_refused_without_its_value(value):
    with pytest.raises(StorageError, match=r"^the header 'x-key' has a line end or another character") as caught:
        client(Connection(headers={"x-key": value}))
    assert "nter2" not in str(caught.value)


def test_a_header_may_be_all_that_the_rfc_lets_it_be():
    with client(Connection(headers={"x-key": "a b\tc~!"})) as asking:
        assert isinstance(asking, httpx.Client)

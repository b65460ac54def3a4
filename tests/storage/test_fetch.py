"""Whole pulls over a real socket: what arrives, what is asked, and what is left when it goes wrong."""

from __future__ import annotations

import errno
import io
import json
import random
import sys
import tarfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from storage import Storage
from storage.errors import Cancelled, Changed, Corrupt, Denied, NoSpace, NotThere, Offline, StorageError, Unsafe
from storage.events import Fetched, Found, Kept, Listed
from storage.flag import cancelled_by_flag
from storage.journal import spans
from storage.order import Order
from storage.parts import PART
from storage.pull import local_to_folder
from tests.storage.origin import Fault, slowly

BIG = random.Random(7).randbytes(2 * PART + 12345)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("model.joblib", None),
        ("/abs/model.joblib", None),
        ("s3://b/m", None),
        ("https://h/m.bin", None),
        ("memory://m/x", None),
        (
            "ftp://x/y",
            'no scheme "ftp://" is known; there are paths and abfs://, abfss://, az://, azure://',
        ),
        ("s3:/b/m", "slashes are missing: write s3://b/m; a path of that name begins with ./"),
        ("http:/u:hush-hush@h/m", "slashes are missing: write http://h/m"),
        ("https://u:hush-hush@h:x/m", '"https://h:x/m" has a host or a port that cannot be read'),
        ("s3://KEY:hush-hush@b/m", '"s3://b/m" has keys in it; set AWS_ACCESS_KEY_ID'),
        ("hf://m?token=hush-hush", '"hf://m" is not of the form'),
    ],
)
def test_what_can_be_told_without_looking_is_told(uri, says):
    told = Storage({}).refusal(uri)
    assert (told is None) if says is None else str(told).startswith(says)
    assert "hush-hush" not in str(told)


@pytest.mark.parametrize("uri", ["ftp://x/y", "s3:///k", "file://host/x"])
async def test_what_is_refused_is_not_fetched(tmp_path, uri):
    with pytest.raises(ValueError, match="://"):
        await Storage({}).fetch(uri, tmp_path)


async def test_a_path_goes_to_the_local_scheme(tmp_path):
    (tmp_path / "m.joblib").touch()
    assert await Storage({}).fetch("m.joblib", tmp_path) == tmp_path / "m.joblib"


async def test_a_file_arrives_in_parts_each_under_if_match(storage, origin, told, tmp_path):
    origin.files = {"/m.bin": BIG}
    path = await storage.fetch(f"{origin.url}/m.bin", tmp_path)
    assert (path.name, path.read_bytes()) == ("m.bin", BIG)
    parts = [seen for seen in origin.gets("/m.bin") if seen.headers.get("range") != "bytes=0-0"]
    assert len(parts) == 3
    assert {bool(seen.headers.get("if-match")) for seen in parts} == {True}
    assert [(event.files, event.size, event.there) for event in told.of(Listed)] == [(1, len(BIG), 0)]
    assert told.of(Fetched)[0].size == len(BIG)


async def test_a_second_fetch_asks_whether_anything_changed_and_downloads_nothing(storage, origin, told, tmp_path):
    origin.files = {"/b/m/a.bin": b"one", "/b/m/b.bin": b"two"}
    first = await storage.fetch("s3://b/m", tmp_path)
    origin.seen.clear()
    assert await storage.fetch("s3://b/m", tmp_path) == first
    assert [seen.path for seen in origin.seen if seen.path.endswith(".bin")] == []
    assert told.of(Found)[0].path == first
    origin.files["/b/m/b.bin"] = b"three"
    second = await storage.fetch("s3://b/m", tmp_path)
    assert ((second / "b.bin").read_bytes(), (first / "b.bin").read_bytes()) == (b"three", b"two")


async def test_a_prefix_is_a_folder_empty_files_and_all_and_its_sibling_is_not_in_it(storage, origin, tmp_path):
    origin.files = {"/b/m/a/x": b"x", "/b/m/__init__.py": b"", "/b/m/a/": b"", "/b/m2/y": b"y"}
    folder = await storage.fetch("s3://b/m", tmp_path)
    assert {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()} == {
        "a/x": b"x",
        "__init__.py": b"",
    }


async def test_an_object_of_that_very_key_is_the_model_also_where_others_lie_under_it(storage, origin, tmp_path):
    origin.files = {"/b/m": b"the model", "/b/m2/y": b"y"}
    assert (await storage.fetch("s3://b/m", tmp_path)).read_bytes() == b"the model"


@pytest.mark.parametrize("key", ["m/../../evil", "m//a", "m/./a", "m/a\\b", "m/%2e%2e/%2e%2e/evil"])
async def test_keys_that_would_leave_the_folder_are_refused_and_nothing_is_written(storage, origin, tmp_path, key):
    origin.files = {"/b/m/good": b"x", f"/b/{key}": b"evil"}
    if "%" in key:  # a name like any other: nothing is decoded
        folder = await storage.fetch("s3://b/m", tmp_path)
        assert (folder / key.removeprefix("m/")).read_bytes() == b"evil"
        return
    with pytest.raises(Unsafe, match="no file below its folder"):
        await storage.fetch("s3://b/m", tmp_path)
    assert not list(tmp_path.rglob("evil*"))
    assert not list(tmp_path.rglob("good"))


async def test_a_connection_that_drops_again_and_again_is_taken_up_at_the_byte(storage, origin, tmp_path):
    origin.files = {"/m.bin": BIG}
    origin.decide = lambda seen: Fault(drop=6 * 2**20) if len(origin.gets("/m.bin")) < 9 else None
    path = await storage.fetch(f"{origin.url}/m.bin", tmp_path)
    assert path.read_bytes() == BIG
    assert sum(seen.sent for seen in origin.gets("/m.bin")) < len(BIG) + 9 * 2**20


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_server_is_left_alone_as_long_as_it_asks(storage, origin, tmp_path, status, monkeypatch):
    waited: list[float] = []
    plain = threading.Event.wait

    def wait(self: threading.Event, timeout: float | None = None) -> bool:
        if timeout is not None and timeout > 5:
            waited.append(timeout)
            return plain(self, 0)
        return plain(self, timeout)

    monkeypatch.setattr(threading.Event, "wait", wait)
    origin.files = {"/b/m/a": b"model"}
    asked = []

    def decide(seen):
        if seen.path == "/b/m/a":
            asked.append(seen)
            # The get, and the question how long to wait.
            return Fault(status=status, headers={"retry-after": "7"}) if len(asked) <= 2 else None
        return None

    origin.decide = decide
    assert ((await storage.fetch("s3://b/m", tmp_path)) / "a").read_bytes() == b"model"
    assert 7.0 in waited


async def test_a_server_without_ranges_gives_one_stream_and_a_drop_starts_over(storage, origin, tmp_path):
    origin.files = {"/m.bin": BIG}
    origin.decide = lambda seen: Fault(no_ranges=True, drop=2**20 if len(origin.gets("/m.bin")) == 2 else None)
    path = await storage.fetch(f"{origin.url}/m.bin", tmp_path)
    assert path.read_bytes() == BIG
    assert [seen.headers.get("range") for seen in origin.gets("/m.bin")] == ["bytes=0-0", None, None]


async def test_a_bucket_without_ranges_is_taken_whole_when_that_shows(storage, origin, tmp_path):
    origin.files = {"/b/m.bin": BIG}
    origin.decide = lambda seen: Fault(no_ranges=True)
    assert (await storage.fetch("s3://b/m.bin", tmp_path)).read_bytes() == BIG


@pytest.mark.parametrize("size", [0, 10, len(BIG)])
async def test_a_server_without_a_length_gives_what_it_has(storage, origin, tmp_path, size):
    origin.files = {"/m.bin": BIG[:size]}
    origin.decide = lambda seen: Fault(no_length=True, no_ranges=True)
    assert (await storage.fetch(f"{origin.url}/m.bin", tmp_path)).read_bytes() == BIG[:size]


async def test_an_empty_file_of_a_web_server(storage, origin, tmp_path):
    origin.files = {"/m.bin": b""}
    assert (await storage.fetch(f"{origin.url}/m.bin", tmp_path)).read_bytes() == b""


async def test_what_is_lent_stays_in_a_full_cache_until_the_block_ends(storage, origin, tmp_path):
    storage.cache.limit = 0
    origin.files = {"/m.bin": b"one", "/other.bin": b"two"}
    async with storage.lend(f"{origin.url}/m.bin", tmp_path) as path:
        async with storage.lend(f"{origin.url}/other.bin", tmp_path) as other:
            assert (path.read_bytes(), other.read_bytes()) == (b"one", b"two")
        assert (path.exists(), other.exists()) == (True, False)
        with trio.CancelScope() as scope:
            async with storage.lend(f"{origin.url}/m.bin", tmp_path) as again:
                assert again == path
                scope.cancel()
                await trio.lowlevel.checkpoint()
        assert path.exists()
    assert not path.exists()


async def test_what_is_here_already_is_lent_as_it_is(storage, tmp_path):
    (tmp_path / "m.bin").write_bytes(b"one")
    async with storage.lend("m.bin", tmp_path) as path:
        assert path == tmp_path / "m.bin"
    assert path.exists()


async def test_what_nothing_tells_apart_stays_for_who_has_it_when_it_is_downloaded_anew(storage, origin, tmp_path):
    origin.files = {"/m.bin": b"one"}
    origin.decide = lambda seen: Fault(no_etag=True, headers={"last-modified": ""})
    async with storage.lend(f"{origin.url}/m.bin", tmp_path) as first:
        origin.files = {"/m.bin": b"two"}
        async with storage.lend(f"{origin.url}/m.bin", tmp_path) as second:
            assert (first.read_bytes(), second.read_bytes()) == (b"one", b"two")
    assert (first.exists(), second.exists()) == (False, True)


async def test_what_nothing_tells_apart_is_downloaded_anew_each_time(storage, origin, tmp_path):
    origin.files = {"/m.bin": b"one"}
    origin.decide = lambda seen: Fault(no_etag=True, headers={"last-modified": ""})
    first = await storage.fetch(f"{origin.url}/m.bin", tmp_path)
    origin.files = {"/m.bin": b"two"}
    assert (await storage.fetch(f"{origin.url}/m.bin", tmp_path)).read_bytes() == b"two"
    assert not first.exists(), "the one before is nobody's"


@pytest.mark.parametrize("ignore_match", [False, True])
async def test_an_object_that_changes_in_the_middle_is_an_error_and_the_next_pull_starts_clean(
    storage, origin, tmp_path, ignore_match
):
    origin.files = {"/b/m.bin": BIG}
    other = bytes(len(BIG))

    def decide(seen):
        if len(origin.gets("/b/m.bin")) == 2:
            origin.files["/b/m.bin"] = other
        return Fault(ignore_match=ignore_match)

    origin.decide = decide
    storage.order = replace(storage.order, crew=replace(storage.order.crew, least=1, most=1))
    with pytest.raises(Changed, match=r"s3://b/m\.bin changed while it was downloaded; the next pull starts clean"):
        await storage.fetch("s3://b/m.bin", tmp_path)
    origin.decide = lambda seen: None
    assert (await storage.fetch("s3://b/m.bin", tmp_path)).read_bytes() == other


async def test_a_cancelled_pull_returns_though_the_server_is_silent_and_is_taken_up_at_the_byte(
    storage, origin, told, tmp_path
):
    origin.files = {"/b/m.bin": BIG}
    silent = threading.Event()
    origin.decide = lambda seen: Fault(wait=silent) if seen.method == "GET" and not silent.is_set() else None
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(storage.fetch, "s3://b/m.bin", tmp_path)
            await trio.to_thread.run_sync(slowly, lambda: any(seen.sent for seen in origin.gets("/b/m.bin")))
            before = trio.current_time()
            nursery.cancel_scope.cancel()
        assert trio.current_time() - before < 5, "the client's read timeout is 30 s"
    assert told.of(Kept)[0].folder.is_relative_to(tmp_path / "cache/work")
    assert not list((tmp_path / "cache").glob("models/*"))
    silent.set()
    assert (await storage.fetch("s3://b/m.bin", tmp_path)).read_bytes() == BIG


async def test_three_at_once_download_once_also_to_folders_through_the_cache(storage, origin, told, tmp_path):
    async def put(target: Path) -> None:
        await cancelled_by_flag(lambda cancel: storage.put("s3://b/m", target, tmp_path, cancel=cancel))

    origin.files = {"/b/m/a.bin": BIG}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(storage.fetch, "s3://b/m", tmp_path)
        nursery.start_soon(put, tmp_path / "one")
        nursery.start_soon(put, tmp_path / "two")
    assert len(told.of(Fetched)) == 1
    assert sum(seen.sent for seen in origin.gets("/b/m/a.bin")) == len(BIG)
    files = [tmp_path / "one/a.bin", tmp_path / "two/a.bin", *(tmp_path / "cache/models").rglob("a.bin")]
    assert len({path.stat().st_ino for path in files}) == 1, "hard links"
    assert files[0].read_bytes() == BIG
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "one", "two"]


@pytest.mark.parametrize("name", ["m.bin", "m.tar"])
async def test_a_full_disk_gets_back_what_was_taken_of_it(storage, origin, tmp_path, monkeypatch, name):
    """No length, so that no room is looked for; or an archive that is larger than it looks."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    origin.files = {f"/{name}": packed.getvalue()}
    origin.decide = lambda seen: Fault(no_length=True, no_ranges=True)

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "")

    if name == "m.bin":
        monkeypatch.setattr("os.pwrite", full)
    else:
        monkeypatch.setattr("os.fdopen", full)
    with pytest.raises(NoSpace):
        await storage.fetch(f"{origin.url}/{name}", tmp_path)
    with pytest.raises(NoSpace):
        Storage(storage.environment).put(f"{origin.url}/{name}", tmp_path / "dest", tmp_path, cancel=threading.Event())
    monkeypatch.undo()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "locks"] == []
    assert (await storage.fetch(f"{origin.url}/{name}", tmp_path)).exists()


def test_a_cancelled_unpacking_leaves_what_the_next_one_removes(tmp_path):
    with tarfile.open(tmp_path / "m.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    order = Order()
    order.cancel.set()
    with pytest.raises(Cancelled):
        local_to_folder(tmp_path / "m.tar", tmp_path / "dest", order)
    assert not (tmp_path / "dest").exists()
    local_to_folder(tmp_path / "m.tar", tmp_path / "dest", Order())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dest", "m.tar"]


async def test_a_clock_that_was_ahead_hides_no_new_version(storage, origin, tmp_path):
    origin.files = {"/b/m/a.bin": b"one"}
    await storage.fetch("s3://b/m", tmp_path)
    (ref,) = (tmp_path / "cache/refs").iterdir()
    ref.write_text(json.dumps({**json.loads(ref.read_text()), "listed": 4e9}))
    origin.files = {"/b/m/a.bin": b"two"}
    assert (await storage.fetch("s3://b/m", tmp_path) / "a.bin").read_bytes() == b"two"


def test_a_folder_is_filled_straight_where_no_cache_was_named(storage, origin, tmp_path):
    origin.files = {"/b/m/a.bin": b"one", "/b/m/sub/b.bin": b"two"}
    straight = Storage({**storage.environment})
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest/mine").write_text("stays")
    straight.put("s3://b/m", tmp_path / "dest", tmp_path, cancel=threading.Event())
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"dest/a.bin", "dest/sub/b.bin", "dest/mine"}


async def test_a_folder_takes_a_hard_link_of_what_the_users_cache_has(storage, origin, tmp_path):
    origin.files = {"/b/m/a.bin": b"one"}
    own = Storage({**storage.environment})
    await own.fetch("s3://b/m", tmp_path)
    origin.seen.clear()
    own.put("s3://b/m", tmp_path / "dest", tmp_path, cancel=threading.Event())
    assert origin.gets("/b/m/a.bin") == []
    assert (tmp_path / "dest/a.bin").stat().st_nlink == 2
    own.cache.close()


async def test_offline_the_last_complete_listing_is_served_and_nobody_is_asked(storage, origin, told, tmp_path):
    origin.files = {"/b/m/a.bin": b"one"}
    path = await storage.fetch("s3://b/m", tmp_path)
    origin.seen.clear()
    alone = Storage({"PIPELINE_SERVE_OFFLINE": "1", "PIPELINE_SERVE_CACHE_DIR": str(tmp_path / "cache"),
                     "AWS_ENDPOINT_URL": origin.url}, order=Order(observe=told.append))  # fmt: skip
    assert await alone.fetch("s3://b/m", tmp_path) == path
    assert told.of(Found)[-1].listed is not None
    with pytest.raises(Offline, match="s3://b/other was never downloaded"):
        await alone.fetch("s3://b/other", tmp_path)
    assert origin.seen == []
    alone.cache.close()


@pytest.mark.parametrize(
    ("uri", "place", "lost"),
    [
        ("s3://b/m.bin", {"AWS_ENDPOINT_URL": "{}", "awsAnonymousCredential": "true"},
         {"awsAnonymousCredential": "", "AWS_PROFILE": "gone"}),
        ("gs://b/m.bin", {"STORAGE_EMULATOR_HOST": "{}"}, {"GOOGLE_APPLICATION_CREDENTIALS": "/gone"}),
        ("az://b/m.bin", {"AZURE_STORAGE_ENDPOINT": "{}", "AZURE_STORAGE_ACCOUNT_NAME": "a"},
         {"AZURE_STORAGE_ACCESS_KEY": "no base64"}),
    ],
)  # fmt: skip
async def test_offline_no_credential_is_looked_for(origin, tmp_path, uri, place, lost):
    origin.files = {"/b/m.bin": b"x"}
    variables = {name: value.format(origin.url) for name, value in place.items()}
    there = Storage(variables, cache_dir=tmp_path / "cache")
    path = await there.fetch(uri, tmp_path)
    there.cache.close()
    with pytest.raises(StorageError, match=r"AWS_PROFILE|GOOGLE_APPLICATION_CREDENTIALS|AZURE_STORAGE_ACCESS_KEY"):
        await Storage(variables | lost, cache_dir=tmp_path / "cache").fetch(uri, tmp_path)
    alone = Storage(variables | lost, cache_dir=tmp_path / "cache", offline=True)
    assert await alone.fetch(uri, tmp_path) == path
    alone.cache.close()


async def test_a_digest_that_is_another_one_leaves_nothing(storage, origin, tmp_path):
    origin.files = {"/b/m.bin": b"model"}
    good = "sha256:9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"
    storage.order = replace(storage.order, digest=good)
    assert (await storage.fetch("s3://b/m.bin", tmp_path)).read_bytes() == b"model"
    storage.order = replace(storage.order, digest="sha256:" + "0" * 64)
    with pytest.raises(Corrupt, match=r"s3://b/m\.bin: m\.bin has sha256 9372"):
        await storage.fetch("s3://b/m.bin", tmp_path)
    assert not list((tmp_path / "cache/work").iterdir())


async def test_what_a_disk_has_damaged_at_its_length_is_not_what_the_digest_says_and_comes_anew(
    storage, origin, tmp_path
):
    origin.files = {"/b/m.bin": b"model"}
    digest = "sha256:9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"
    path = await storage.fetch("s3://b/m.bin", tmp_path, digest=digest)
    path.chmod(0o644)
    path.write_bytes(b"mOdel")
    storage.offline = True
    with pytest.raises(Offline, match="no longer there, or damaged"):
        await storage.fetch("s3://b/m.bin", tmp_path, digest=digest)
    storage.offline = False
    assert (await storage.fetch("s3://b/m.bin", tmp_path, digest=digest)).read_bytes() == b"model"
    assert len(list((tmp_path / "cache/models").iterdir())) == 1


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (401, Denied, r"refused to nobody in particular .*: 401 .*; set AWS_ACCESS_KEY_ID"),
        (403, Denied, r"refused to nobody in particular .*; set AWS_ACCESS_KEY_ID"),
        (404, NotThere, r"s3://b/m"),
        (409, StorageError, r"S3 resource s3://b/m: 409 Conflict"),
    ],
)
async def test_errors_name_the_source_the_credential_and_what_to_set(storage, origin, tmp_path, status, kind, says):
    origin.decide = lambda seen: Fault(status=status)
    with pytest.raises(kind, match=says):
        await storage.fetch("s3://b/m", tmp_path)


async def test_no_secret_is_in_an_error_or_a_repr(origin, tmp_path):
    origin.decide = lambda seen: Fault(status=403)
    secrets = ["topsecretkey", "sessiontoken", "pass-word", "thesignature", "thebearertoken"]
    storage = Storage({
        "AWS_ENDPOINT_URL": origin.url, "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": secrets[0],
        "AWS_SESSION_TOKEN": secrets[1], "127.0.0.1-headers": f'{{"X-Key": "{secrets[4]}"}}',
    }, cache_dir=tmp_path / "cache")  # fmt: skip
    web = f"http://user:{secrets[2]}@{origin.host}/m.bin?X-Amz-Signature={secrets[3]}"
    for uri in ("s3://b/m", web):
        with pytest.raises(Denied) as caught:
            await storage.fetch(uri, tmp_path)
        told = f"{caught.value!r} {caught.value} {caught.value.__cause__!r} {storage!r}"
        told += repr(storage._open(uri, tmp_path))
        assert not any(secret in told for secret in secrets)
    sent = origin.gets("/m.bin")[0]
    assert sent.headers["x-key"] == secrets[4]
    assert sent.headers["authorization"].startswith("Basic ")
    assert secrets[3] in sent.query


PULL = """
import sys, trio
from pathlib import Path
from storage import Storage
variables = dict(argument.split("=", 1) for argument in sys.argv[2:])
trio.run(Storage(variables, cache_dir=Path(sys.argv[1])).fetch, "s3://b/m.bin", Path())
"""


def journaled(folder):
    """Bytes that a pull below this folder has written so far."""
    written = (spans(file.read_bytes()) for file in folder.glob("cache/work/*/journal"))
    return sum(stop - start for own in written for file in own.values() for start, stop in file)


async def test_what_was_killed_is_taken_up_at_the_byte(storage, origin, told, tmp_path):
    origin.files = {"/b/m.bin": BIG}
    slow = threading.Event()
    origin.decide = lambda seen: Fault(wait=slow, after=10 * 2**20)
    variables = [f"{name}={value}" for name, value in storage.environment.items()]
    command = [sys.executable, "-c", PULL, str(tmp_path / "cache"), *variables]
    process = await trio.lowlevel.open_process(command, cwd=Path(__file__).parents[2])
    try:
        await trio.to_thread.run_sync(slowly, lambda: journaled(tmp_path) >= 12 * 2**20)
    finally:
        process.kill()
        await process.wait()
    assert not list(tmp_path.glob("cache/models/*"))
    slow.set()
    origin.seen.clear()
    assert (await storage.fetch("s3://b/m.bin", tmp_path)).read_bytes() == BIG
    there = told.of(Listed)[0].there
    assert there >= 12 * 2**20
    assert sum(seen.sent for seen in origin.gets("/b/m.bin")) == len(BIG) - there


async def test_a_web_servers_weak_etag_is_compared_and_not_sent(storage, origin, tmp_path):
    origin.files = {"/m.bin": BIG}
    origin.decide = lambda seen: Fault(etag='W/"one"')
    assert (await storage.fetch(f"{origin.url}/m.bin", tmp_path)).read_bytes() == BIG
    assert not any("if-match" in seen.headers for seen in origin.seen)
    origin.decide = lambda seen: Fault(etag='W/"two"' if len(origin.seen) % 3 == 0 else 'W/"one"')
    origin.files = {"/other.bin": BIG}
    with pytest.raises(Changed):
        await storage.fetch(f"{origin.url}/other.bin", tmp_path)


def test_a_folder_that_is_a_link_is_filled_where_it_leads(storage, origin, tmp_path):
    origin.files = {"/b/m/a": b"x"}
    (tmp_path / "real/deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real/deep")
    storage.put("s3://b/m", tmp_path / "link", tmp_path, cancel=threading.Event())
    assert (tmp_path / "real/deep/a").read_bytes() == b"x"
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        ("m.onnx", "m.onnx"),
        ("file://{}/m.onnx", "m.onnx"),
        (".", "."),
        ("gone.onnx", None),
        ("file://host/m.onnx", None),
        ("pvc://no-claim/m.onnx", None),
        ("s3://b/m.onnx", None),
        ("https://h/m.onnx", None),
        ("nothing://x", None),
        ("a\0b", None),
    ],
)
def test_what_is_on_this_machine_is_known_without_fetching(tmp_path, uri, found):
    (tmp_path / "m.onnx").touch()
    assert Storage({}).local(uri.format(tmp_path), tmp_path) == (None if found is None else tmp_path / found)

"""Pulls in a process of their own: what it brings, tells and raises is as in threads; it goes when nobody wants it."""

from __future__ import annotations

import ast
import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from obstore.store import MemoryStore

from storage import Storage
from storage.errors import StorageError
from storage.events import Fetched, Found, Kept, Listed, Moved
from storage.order import Order
from storage.pace import Pace
from storage.transfer import Crew
from tests.serving import ROOT, environment, write
from tests.storage.origin import Fault, slowly
from tests.storage.pullers import alive, pullers, written

MIB = 2**20
BIG = bytes(range(256)) * (12 * 4096)
ALONE = Crew(least=1, most=1)
PARENT = """
import sys, trio
from pathlib import Path
from storage import Storage
from storage.pace import Pace
from storage.transfer import Crew

url, folder = sys.argv[1:]
storage = Storage({"AWS_ENDPOINT_URL": url, "awsAnonymousCredential": "true"}, cache_dir=Path(folder, "cache"))
crew = Crew(pace=Pace(1e9))  # before trio takes descriptors, as in a server
storage.beside = lambda: crew
trio.run(storage.fetch, "s3://b/m.bin", Path(folder))
"""


@pytest.fixture
def beside(storage):
    storage.beside = lambda: ALONE
    return storage


@pytest.fixture
def startup(monkeypatch, tmp_path):
    """Runs that text at the start of every Python that this process starts."""

    def startup(text):
        (tmp_path / "sitecustomize.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    return startup


@asynccontextmanager
async def halfway(storage, origin):
    """A pull that its server leaves waiting: the process, the scope to cancel, and what it raised."""
    origin.files = {"/b/m.bin": BIG}
    hold, raised = threading.Event(), []
    origin.decide = lambda seen: Fault(wait=hold, after=8 * MIB) if seen.method == "GET" else None

    async def fetch():
        try:
            await storage.fetch("s3://b/m.bin", Path())
        except OSError as error:
            raised.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fetch)
        await trio.to_thread.run_sync(slowly, lambda: written(storage.cache.root))
        (pid,) = await trio.to_thread.run_sync(pullers, os.getpid())
        yield pid, nursery.cancel_scope, raised
    hold.set()
    origin.decide = lambda seen: None


async def test_it_is_brought_told_of_and_in_use_by_who_wanted_it(beside, origin, told, tmp_path):
    origin.files = {"/b/m.bin": BIG}
    path = await beside.fetch("s3://b/m.bin", tmp_path)
    assert path.read_bytes() == BIG
    assert (told.of(Listed)[0].size, told.of(Moved)[-1].done, told.of(Fetched)[0].size) == (len(BIG),) * 3
    other = Storage({}, beside.cache_dir, cache_size=0)
    assert (other.cache.evict(), path.exists()) == ([], True)
    assert await beside.fetch("s3://b/m.bin", tmp_path) == path
    assert told.of(Found)[-1].path == path
    assert len(told.of(Fetched)) == 1


@pytest.mark.parametrize("options", [{}, {"digest": f"sha256:{'0' * 64}"}, {"options": {"endpoint": "ftp://h"}}])
async def test_what_it_raises_is_what_threads_raise(beside, origin, tmp_path, options):
    origin.files = {"/b/m.bin": b"one"} if options else {}
    raised = []
    for how in (beside.beside, None):
        beside.beside = how
        with pytest.raises(StorageError) as caught:
            await beside.fetch("s3://b/m.bin", tmp_path, **options)
        raised.append((type(caught.value), str(caught.value)))
    assert raised[0] == raised[1]


async def test_what_is_refused_asks_no_process(beside, tmp_path):
    with pytest.raises(ValueError, match="names no bucket"):
        await beside.fetch("s3:///k", tmp_path)


async def test_its_log_lines_are_ours(beside, origin, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    origin.files = {"/b/one.bin": b"one", "/b/two.bin": b"two"}
    beside.cache.limit = 3
    async with beside.lend("s3://b/one.bin", tmp_path):
        pass
    await beside.fetch("s3://b/two.bin", tmp_path)
    assert "removed s3://b/one.bin (3 bytes) from the cache" in caplog.text


async def test_what_nothing_tells_apart_stays_for_who_has_it_and_goes_then(beside, origin, tmp_path):
    origin.files = {"/m.bin": b"one"}
    origin.decide = lambda seen: Fault(no_etag=True, headers={"last-modified": ""})
    async with beside.lend(f"{origin.url}/m.bin", tmp_path) as first:
        origin.files = {"/m.bin": b"two"}
        async with beside.lend(f"{origin.url}/m.bin", tmp_path) as second:
            assert (first.read_bytes(), second.read_bytes()) == (b"one", b"two")
    assert (first.exists(), second.exists()) == (False, True)


async def test_many_at_once_are_one_download_and_share_their_rate(beside, origin, told, tmp_path):
    origin.files = {"/b/m.bin": BIG}
    crew = replace(ALONE, pace=Pace(1e9))
    beside.beside = lambda: crew
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(beside.fetch, "s3://b/m.bin", tmp_path)
    assert (len(told.of(Fetched)), len(told.of(Found))) == (1, 2)
    assert os.pread(crew.pace.clock, 8, 0) != bytes(8), "the other process has kept the pace of this one"


async def test_killed_in_the_middle_it_is_an_error_and_the_next_pull_goes_on(beside, origin, told, tmp_path):
    async with halfway(beside, origin) as (pid, _, raised):
        os.kill(pid, signal.SIGKILL)
    assert [str(error) for error in raised] == [
        "the process that pulled s3://b/m.bin was killed by SIGKILL; the next pull goes on from there"
    ]
    assert len(told.of(Kept)) == 1
    assert (await beside.fetch("s3://b/m.bin", tmp_path)).read_bytes() == BIG
    assert told.of(Listed)[-1].there > 0


async def test_cancelled_it_is_gone_and_says_what_is_kept(beside, origin, told):
    async with halfway(beside, origin) as (pid, scope, raised):
        scope.cancel()
    await trio.to_thread.run_sync(slowly, lambda: not alive(pid))
    assert (raised, len(told.of(Kept))) == ([], 1)


async def test_stopped_by_a_signal_it_cannot_see_it_is_killed_when_it_is_cancelled(beside, origin, told):
    async with halfway(beside, origin) as (pid, scope, _):
        os.kill(pid, signal.SIGSTOP)
        scope.cancel()
    await trio.to_thread.run_sync(slowly, lambda: not alive(pid))
    assert len(told.of(Kept)) == 1


def test_it_goes_with_the_process_that_wanted_it(origin, tmp_path):
    origin.files = {"/b/m.bin": BIG}
    hold = threading.Event()
    origin.decide = lambda seen: Fault(wait=hold, after=MIB) if seen.method == "GET" else None
    with subprocess.Popen([sys.executable, "-c", PARENT, origin.url, str(tmp_path)], env=environment()) as parent:
        slowly(lambda: origin.gets("/b/m.bin"))
        (pid,) = pullers(parent.pid)
        parent.kill()
    slowly(lambda: not alive(pid))
    hold.set()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems show no process's files")
async def test_nobody_sees_its_credentials_and_it_gives_way(storage, origin):
    hush = "hush-hush-hush"
    told = {**storage.environment, "AWS_SECRET_ACCESS_KEY": hush}
    own = Storage(
        told,
        storage.cache_dir,
        order=Order(),
    )
    own.beside = lambda: ALONE
    async with halfway(own, origin) as (pid, scope, _):
        place = trio.Path(f"/proc/{pid}")
        shown = await (place / "cmdline").read_text() + await (place / "environ").read_text()
        assert "storage.puller" in shown
        assert hush not in shown
        assert os.getpriority(os.PRIO_PROCESS, pid) == 10
        scope.cancel()


async def test_what_a_startup_file_prints_goes_where_errors_do(beside, origin, startup, tmp_path, capfd):
    origin.files = {"/b/m.bin": b"one"}
    startup("import os\nprint('hello from a startup file', flush=True)\nos.system('echo and from a child of it')\n")
    assert (await beside.fetch("s3://b/m.bin", tmp_path)).read_bytes() == b"one"
    out, err = capfd.readouterr()
    assert out == ""
    assert "hello from a startup file\nand from a child of it\n" in err


async def test_what_it_says_and_is_no_message_is_an_error(beside, origin, startup, tmp_path):
    origin.files = {"/b/m.bin": b"one"}
    startup("import os, sys\nos.write(int(sys.argv[1]), b'this goes to whoever listens\\n')\n")
    with pytest.raises(StorageError) as caught:
        await beside.fetch("s3://b/m.bin", tmp_path)
    assert str(caught.value) == (
        "the process that pulled s3://b/m.bin said what is no message of it (a message of 1,952,999,795 bytes, "
        "where 16,777,216 are the most), and was ended; the next pull goes on from there"
    )
    await trio.to_thread.run_sync(slowly, lambda: not pullers(os.getpid()))


async def test_one_that_says_nothing_is_ended(beside, startup, tmp_path, autojump_clock):
    startup("import time\ntime.sleep(10_000)\n")
    with pytest.raises(StorageError, match=r"s3://b/m\.bin said nothing for 300 s, and was ended; the next pull"):
        await beside.fetch("s3://b/m.bin", tmp_path)
    assert not pullers(os.getpid())


async def test_it_runs_no_module_of_the_current_folder(beside, origin, tmp_path, monkeypatch):
    origin.files = {"/b/m.bin": b"one"}
    here = tmp_path / "here"
    here.mkdir()
    for name in ("sitecustomize", "typing", "pathlib", "contextlib"):
        (here / f"{name}.py").write_text("open('ran', 'a').write(__name__ + chr(10))\n")
    monkeypatch.chdir(here)
    monkeypatch.setenv("PYTHONPATH", "")
    await beside.fetch("s3://b/m.bin", tmp_path)
    assert not (here / "ran").exists()


STARTED = """
import subprocess, sys
sys.path[:] = sys.argv[1:]
from storage.beside import _command
fake, *_ = sys.path
command = _command(7)
subprocess.run(command[: -len(sys.path)] + [fake + "/other", *sys.path[1:]], check=True)
"""
TELLS = """
import sys
def main(said):
    own = sys.flags
    print([said, own.isolated, own.ignore_environment, own.no_user_site, "site" in sys.modules, sys.path[1:]])
"""


@pytest.mark.parametrize(
    ("flags", "told"),
    [((), [0, 0, 0, True]), (("-I",), [1, 1, 1, True]), (("-E", "-s"), [0, 1, 1, True]), (("-S",), [0, 0, 0, False])],
)
def test_it_is_as_isolated_as_this_process_and_finds_modules_where_it_does(flags, told, tmp_path):
    write(tmp_path, {"other/storage/__init__.py": "", "other/storage/puller.py": TELLS})
    path = [str(tmp_path), str(ROOT), *(own for own in sys.path if own), "/not/there"]
    done = subprocess.run(
        [sys.executable, *flags, "-c", STARTED, *path],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ast.literal_eval(done.stderr or done.stdout) == [7, *told, path[1:]]


@pytest.mark.parametrize("closed", ["<&-", ">&-", ">&- 2>&-"])
def test_a_process_without_standard_streams_pulls_too(origin, tmp_path, closed):
    origin.files = {"/b/m.bin": b"one"}
    parent = [sys.executable, "-c", PARENT, origin.url, str(tmp_path)]
    subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *parent], env=environment(), check=True)
    assert [path.read_bytes() for path in tmp_path.glob("cache/models/*/m.bin")] == [b"one"]


async def test_a_ninth_at_once_says_that_it_waits(beside, origin, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    origin.files = {f"/b/{number}.bin": b"one" for number in range(9)}
    hold = threading.Event()
    origin.decide = lambda seen: Fault(wait=hold) if seen.method == "GET" else None
    async with trio.open_nursery() as nursery:
        for number in range(9):
            nursery.start_soon(beside.fetch, f"s3://b/{number}.bin", tmp_path)
        waits = "waits for one of the 8 pulls beside this process to end"
        await trio.to_thread.run_sync(slowly, lambda: waits in caplog.text)
        hold.set()
    assert caplog.text.count("waits for one of") == 1
    assert caplog.text.count("in a process beside this one") == 9


async def test_what_the_cache_has_is_asked_about_without_a_process(beside, origin, told, tmp_path, monkeypatch):
    origin.files = {"/b/m.bin": b"one"}
    path = await beside.fetch("s3://b/m.bin", tmp_path)
    monkeypatch.setattr(sys, "executable", "")
    assert await beside.fetch("s3://b/m.bin", tmp_path) == path
    assert told.of(Found)[-1].path == path
    origin.files = {}
    with pytest.raises(FileNotFoundError):
        await beside.fetch("s3://b/m.bin", tmp_path)
    origin.files = {"/b/m.bin": b"another"}
    with pytest.raises(StorageError, match="no process can be started"):
        await beside.fetch("s3://b/m.bin", tmp_path)


async def test_what_is_evicted_between_finding_and_lending_is_pulled_again(beside, origin, told, tmp_path):
    """The last who had it gives it back as another one finds it, in a cache that keeps nothing for itself."""
    origin.files = {"/b/m.bin": b"one"}
    path = await beside.fetch("s3://b/m.bin", tmp_path)
    identity, beside.cache.limit = path.parent.name, 0
    beside.cache.lend(identity)

    def observe(event):
        told.append(event)
        if isinstance(event, Found):
            beside.cache.give_back(identity)
            assert not path.exists()

    beside.order = Order(observe=observe)
    async with beside.lend("s3://b/m.bin", tmp_path) as again:
        assert again.read_bytes() == b"one"
    assert (len(told.of(Found)), len(told.of(Fetched))) == (1, 2)
    assert not again.exists()


@pytest.mark.parametrize("python", [None, ""])
async def test_where_this_python_is_not_known_the_error_says_so(beside, monkeypatch, tmp_path, python):
    monkeypatch.setattr(sys, "executable", python)
    with pytest.raises(StorageError, match=r"to pull s3://b/m\.bin: .* sys\.executable does not say where"):
        await beside.fetch("s3://b/m.bin", tmp_path)


async def test_without_a_python_to_start_the_error_says_so(beside, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(StorageError, match=r"no process can be started to pull s3://b/m\.bin: No such file"):
        await beside.fetch("s3://b/m.bin", tmp_path)


async def test_a_store_of_this_process_is_read_in_it(origin, tmp_path):
    store = MemoryStore()
    store.put("m.bin", b"one")
    own = Storage({}, tmp_path / "cache", stores={"own": store})
    own.beside = lambda: ALONE
    assert (await own.fetch("memory://own/m.bin", tmp_path)).read_bytes() == b"one"

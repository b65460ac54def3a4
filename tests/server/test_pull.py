"""``pull``: a real process, what it prints where, its exit codes, and what a signal leaves."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from tests.peers.environment import environment
from tests.serving import ROOT
from tests.storage.origin import Fault, serving, slowly
from tests.storage.test_fetch import BIG
from tests.terminal import everything


@pytest.fixture
def origin():
    with serving() as own:
        yield own


@pytest.fixture
def start(origin, tmp_path):
    """Starts ``pipeline-serve pull`` with these arguments in the test's folder; bucket ``b`` is the origin's."""
    started = []

    def start(*arguments, stderr=subprocess.PIPE, **more):
        env = environment(PYTHONPATH=str(ROOT), HOME=str(tmp_path / "home"), AWS_ENDPOINT_URL=origin.url,
                          awsAnonymousCredential="true", **more)  # fmt: skip
        env.pop("XDG_CACHE_HOME", None)
        command = [sys.executable, "-m", "pipeline_serve", "pull", *map(str, arguments)]
        process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=stderr, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def pulled(start):
    """(exit code, stdout, stderr) of a whole run."""

    def pulled(*arguments, **more):
        process = start(*arguments, **more)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    return pulled


def test_a_model_in_the_cache_is_the_last_line_of_stdout_and_all_else_is_on_stderr(pulled, origin, tmp_path):
    origin.files = {"/b/m.bin": BIG}
    code, out, err = pulled("s3://b/m.bin", "--cache-dir", "c")
    path = Path(out.splitlines()[-1])
    assert (code, out.count("\n")) == (0, 1)
    assert path.is_relative_to(tmp_path / "c")
    assert path.read_bytes() == BIG
    assert "s3://b/m.bin: 1 file, 32.0 MiB" in err
    assert "100 % (32.0 MiB of 32.0 MiB)" in err
    assert "downloaded 32.0 MiB in" in err


def test_by_default_the_cache_is_the_users(pulled, origin, tmp_path):
    origin.files = {"/b/m.bin": b"x"}
    assert Path(pulled("s3://b/m.bin")[1].strip()).is_relative_to(tmp_path / "home")


def test_folders_are_filled_by_turns_one_that_fails_is_a_line_and_the_others_go_on(pulled, origin, tmp_path):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("in/side.txt")
        member.size = 2
        archive.addfile(member, io.BytesIO(b"ok"))
    origin.files = {"/b/m/a/x": b"x", "/m.tar.gz": packed.getvalue()}
    code, out, err = pulled("s3://b/m", "one", "s3://b/gone", "two", f"{origin.url}/m.tar.gz", "three")
    assert (code, out) == (1, "one\nthree\n")
    assert f"{origin.url}/m.tar.gz: unpacking m.tar.gz" in err
    assert [line for line in err.splitlines() if line.startswith("pipeline-serve: ")] == [
        "pipeline-serve: there is no model at s3://b/gone: no object has that name, and none lies under it"
    ]
    found = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"one/a/x": b"x", "three/in/side.txt": b"ok"}


def test_three_processes_download_once(start, origin, tmp_path):
    origin.files = {"/b/m/a.bin": BIG}
    env = {"PIPELINE_SERVE_CACHE_DIR": str(tmp_path / "c")}
    processes = [start("s3://b/m", **env), start("s3://b/m", "one", **env), start("s3://b/m", "two", **env)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert sum(seen.sent for seen in origin.gets("/b/m/a.bin")) == len(BIG)
    assert (tmp_path / "one/a.bin").stat().st_ino == (tmp_path / "two/a.bin").stat().st_ino


def test_three_processes_fill_one_folder_in_turn(start, origin, tmp_path):
    origin.files = {"/b/m/a.bin": BIG}
    slow = threading.Event()
    origin.decide = lambda seen: Fault(wait=slow)
    processes = [start("s3://b/m", "one") for _ in range(3)]
    slowly(lambda: list(tmp_path.glob(".pipeline-serve-*/lock")))
    slow.set()
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert (tmp_path / "one/a.bin").read_bytes() == BIG
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("where", [["--cache-dir", "c"], ["dest"]])
def test_a_signal_ends_it_and_says_what_is_kept_and_the_next_pull_goes_on(start, origin, tmp_path, number, code, where):
    origin.files = {"/b/m.bin": BIG}
    slow = threading.Event()
    origin.decide = lambda seen: Fault(wait=slow, after=8 * 2**20)
    process = start("s3://b/m.bin", *where, S3_READ_TIMEOUT="3600")
    slowly(lambda: sum(file.stat().st_size for file in tmp_path.rglob("journal")) >= 10 * 20)
    assert not [path for path in tmp_path.iterdir() if path.name not in ("c", "home") and not path.name.startswith(".")]
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "what was downloaded is kept for 24 hours in " in err
    slow.set()
    origin.decide = lambda seen: None
    again = start("s3://b/m.bin", *where)
    out, err = again.communicate(timeout=60)
    assert again.returncode == 0
    assert "of it are here already" in err
    file = tmp_path / "dest/m.bin" if where == ["dest"] else Path(out.strip())
    assert file.read_bytes() == BIG
    assert not list(tmp_path.glob(".pipeline-serve-*"))


def test_offline_says_of_when_its_listing_is_and_asks_nobody(pulled, origin):
    origin.files = {"/b/m.bin": b"x"}
    path = pulled("s3://b/m.bin")[1]
    origin.seen.clear()
    code, out, err = pulled("s3://b/m.bin", "--offline")
    assert (code, out) == (0, path)
    assert "s3://b/m.bin: offline, it is as it was listed at 20" in err
    code, out, err = pulled("s3://b/other", PIPELINE_SERVE_OFFLINE="1")
    assert (code, out) == (1, "")
    assert "s3://b/other was never downloaded in the cache" in err
    assert origin.seen == []


def test_a_local_path_is_itself_and_in_a_folder_a_link(pulled, tmp_path):
    (tmp_path / "m.joblib").write_text("m")
    assert pulled("m.joblib") == (0, f"{tmp_path}/m.joblib\n", "")
    assert pulled("m.joblib", "dest") == (0, "dest\n", "")
    assert (tmp_path / "dest/m.joblib").is_symlink()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 2, "Missing argument"),
        (["a", "b", "c"], 2, "several models are URI FOLDER URI FOLDER …, and these are 3 arguments"),
        (["a", "--max-ratio", "0"], 2, "--max-ratio"),
        (["a", ""], 2, 'a folder has no name; "." is the current one'),
        (["ftp://x/y"], 1, 'no scheme "ftp://" is known'),
        (["s3:/b/m"], 1, "slashes are missing: write s3://b/m; a path of that name begins with ./"),
        (["s3://b/m", "/dev/null"], 1, "/dev/null is a file; a model goes into a folder"),
    ],
)
def test_mistakes_are_one_line(pulled, arguments, code, says):
    ended, out, err = pulled(*arguments)
    assert (ended, out, err.count("\n")) == (code, "", 1)
    assert says in err


def test_the_path_goes_into_a_pipe_also_where_a_terminal_shows_a_bar(start, origin, tmp_path):
    origin.files = {"/b/m.bin": BIG}
    main, terminal = os.openpty()
    process = start("s3://b/m.bin", "--cache-dir", "c", stderr=terminal, TERM="xterm", COLUMNS="80")
    os.close(terminal)
    shown = everything(main).decode()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert Path(out.strip()).read_bytes() == BIG
    assert "downloaded 32.0 MiB in" in shown
    assert str(tmp_path) not in shown


def test_what_an_archive_may_become_is_a_flag(pulled, origin):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in ("a", "b"):
            archive.addfile(tarfile.TarInfo(name))
    origin.files = {"/m.tar": packed.getvalue()}
    code, _, err = pulled(f"{origin.url}/m.tar", "dest", "--max-members", "1")
    assert code == 1
    assert "m.tar has more than 1 members" in err

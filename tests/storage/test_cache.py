"""The cache: whole models by their contents, and what may be removed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.cache import Cache, cache_folder
from storage.errors import StorageError
from storage.events import KEPT_SECONDS


@pytest.fixture
def cache(tmp_path):
    own = Cache(tmp_path / "cache")
    yield own
    own.close()


def made(cache, identity, *, single=False, used=None, **files):
    """A model in the cache, last used so many seconds after 1970."""
    folder = cache.work("new")
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    entry = cache.publish(folder, identity, f"u://{identity}", single=single)
    if used is not None:
        os.utime(cache.root / f"manifests/{identity}.json", (used, used))
    return entry


def test_a_cache_that_cannot_be_made_says_which_variable_names_another(tmp_path):
    (tmp_path / "file").touch()
    for root in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(StorageError, match=r"cannot be written: .*; PIPELINE_SERVE_CACHE_DIR names another folder"):
            Cache(root).ready()


def test_a_model_is_its_folder_or_its_one_file(cache):
    assert made(cache, "a", x=b"1", sub__y=b"22").path == cache.root / "models/a"
    alone = made(cache, "b", single=True, x=b"1")
    assert (alone.path, alone.path.read_bytes()) == (cache.root / "models/b/x", b"1")
    found = cache.find("a")
    assert (found.uri, found.size, found.files) == ("u://a", 3, (("sub/y", 2), ("x", 1)))
    assert cache.find("c") is None


def test_its_files_cannot_be_written_by_mistake(cache):
    path = made(cache, "a", single=True, x=b"1").path
    assert path.stat().st_mode & 0o222 == 0


@pytest.mark.parametrize("harm", ["gone", "short", "manifest"])
def test_a_damaged_model_is_not_there_and_can_be_published_again(cache, harm):
    path = made(cache, "a", x=b"1").folder / "x"
    path.chmod(0o644)
    match harm:
        case "gone":
            path.unlink()
        case "short":
            path.write_bytes(b"")
        case "manifest":
            (cache.root / "manifests/a.json").write_text("{")
    assert cache.find("a") is None
    assert (made(cache, "a", x=b"2").folder / "x").read_bytes() == b"2"


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["../../x", "a" * 300, 10**400]),
    lambda own: st.lists(own, max_size=3) | st.dictionaries(st.text(max_size=3), own, max_size=2),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A cache with one model of two files, what its reference and its manifest say, and where."""
    cache = Cache(tmp_path_factory.mktemp("cache"))
    made(cache, "a", x=b"1", sub__y=b"22")
    cache.remember("k", "a", "u://a")
    cache.close()
    return cache, [(path, path.read_bytes()) for path in (cache.root / "refs/k.json", cache.root / "manifests/a.json")]


@given(st.data())
def test_whatever_became_of_a_reference_or_a_manifest_is_that_model_or_none(kept, data):
    cache, sound = kept
    for path, told in sound:
        at = data.draw(st.integers(0, len(told)))
        harmed = [told[:at], told[:at] + data.draw(st.binary(max_size=3)) + told[at + 1 :], b"[" * 10_000]
        word = data.draw(st.sampled_from(sorted(json.loads(told))))
        harmed.append(json.dumps(json.loads(told) | {word: data.draw(ODD)}).encode())
        path.write_bytes(data.draw(st.sampled_from([told, *harmed])))
    latest = cache.latest("k")
    entry = cache.find(latest[0]) if latest else None
    cache.close()
    assert latest is None or 0 <= latest[1] < 2**40
    assert entry is None or {(entry.folder / name).read_bytes() for name, _ in entry.files} <= {b"1", b"22"}


def test_a_model_without_its_manifest_is_what_a_killed_process_left(cache):
    (cache.root / "models/a").mkdir(parents=True)
    (cache.root / "models/a/half").touch()
    assert cache.find("a") is None
    assert [path.name for path in made(cache, "a", x=b"1").folder.iterdir()] == ["x"]


@pytest.mark.parametrize("step", ["publish", "forget"])
def test_what_is_killed_between_two_steps_leaves_no_model_that_nobody_counts(tmp_path, step):
    """At the rename of the folder the manifest is there on either side: by it ``evict`` finds what to remove."""
    program = f"""
import os, pathlib, sys
from storage.cache import Cache
cache = Cache(pathlib.Path({str(tmp_path / "cache")!r}), limit=0)
files = cache.work("new")
def kill(event, arguments):
    if event == "os.rename" and arguments[0] == os.fspath(places[{step!r}]) and places[{step!r}].exists():
        assert (cache.root / "manifests/a.json").exists()
        os._exit(9)
places = {{"publish": files, "forget": cache.root / "models/a"}}
files.mkdir(parents=True)
(files / "x").write_bytes(b"1")
sys.addaudithook(kill)
cache.publish(files, "a", "u://a", single=False)
cache.forget("a")
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 9
    cache = Cache(tmp_path / "cache", limit=0)
    cache.evict()
    assert [path.name for kind in ("models", "manifests") for path in (cache.root / kind).glob("*")] == []
    assert (made(cache, "a", x=b"2").folder / "x").read_bytes() == b"2"
    cache.close()


def test_what_may_only_be_read_serves_too(cache):
    made(cache, "a", x=b"1")
    program = f"""
import pathlib, sys
from storage.cache import Cache
def refuse(event, arguments):
    if event == "os.utime":
        raise PermissionError("not the owner")
sys.addaudithook(refuse)
assert Cache(pathlib.Path({str(cache.root)!r})).find("a").size == 1
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_request_remembers_what_it_was_answered(cache):
    assert cache.latest("key") is None
    cache.remember("key", "a", "u://a")
    identity, when = cache.latest("key")
    assert (identity, when > 0) == ("a", True)
    (cache.root / "refs/key.json").write_text("[]")
    assert cache.latest("key") is None


def test_what_was_not_used_for_longest_goes_first_until_the_limit_holds(tmp_path):
    filler = Cache(tmp_path / "cache")
    for number, name in enumerate("abc"):
        made(filler, name, used=1000 + number, x=bytes(10))
    filler.close()
    cache = Cache(tmp_path / "cache", limit=25)
    assert [entry.id for entry in cache.evict()] == ["a"]
    assert cache.find("a") is None
    assert not (cache.root / "models/a").exists()
    assert Cache(tmp_path / "cache").evict() == [], "without a limit nothing goes"


def test_use_makes_it_young_again_and_what_is_in_use_stays_whoever_uses_it(tmp_path):
    one = Cache(tmp_path / "cache", limit=0)
    for number, name in enumerate("abc"):
        made(one, name, used=1000 + number, x=bytes(10))
    two = Cache(tmp_path / "cache", limit=0)
    assert two.evict() == [], "one uses all of them"
    one.close()
    two.find("b")
    assert (two.root / "manifests/b.json").stat().st_mtime > 2000
    assert [entry.id for entry in two.evict()] == ["a", "c"]
    assert [entry.id for entry in one.evict()] == []
    two.close()
    assert [entry.id for entry in one.evict()] == ["b"]


def test_what_is_lent_stays_until_all_have_given_it_back_and_then_the_limit_holds(tmp_path):
    cache = Cache(tmp_path / "cache", limit=0)
    made(cache, "a", x=b"1")
    cache.lend("a")
    cache.lend("a")
    cache.give_back("a")
    assert (cache.evict(), cache.find("a") is None) == ([], False)
    cache.give_back("a")
    assert not (cache.root / "models/a").exists()


def test_what_is_forgotten_while_it_is_lent_goes_when_it_is_given_back(cache):
    folder = made(cache, "a", x=b"1").folder
    cache.lend("a")
    cache.forget("a")
    assert folder.exists()
    cache.give_back("a")
    assert not folder.exists()


def test_what_another_process_removed_before_it_was_lent_is_an_error(cache):
    with pytest.raises(FileNotFoundError, match="was removed while it was looked for"):
        cache.lend("a")


def test_a_damaged_one_that_another_still_uses_does_not_stand_in_the_way(tmp_path):
    one, two = Cache(tmp_path / "cache"), Cache(tmp_path / "cache")
    path = made(one, "a", x=b"1").folder / "x"
    path.unlink()
    entry = made(two, "a", x=b"2")
    assert entry.id.startswith("a-")
    assert (entry.folder / "x").read_bytes() == b"2"
    one.close()
    two.close()


def test_working_folders_that_nobody_touched_for_a_day_are_removed(cache):
    for name in ("old", "new"):
        cache.work(name).mkdir(parents=True)
        (cache.work(name) / "journal").touch()
    for path in (cache.work("old"), cache.work("old") / "journal"):
        then = path.stat().st_mtime - KEPT_SECONDS - 60
        os.utime(path, (then, then))
    cache.sweep()
    assert [path.name for path in (cache.root / "work").iterdir()] == ["new"]


def test_backups_leave_it_out(cache):
    made(cache, "a", x=b"1")
    assert (cache.root / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")


@pytest.mark.parametrize(
    ("environment", "platform", "folder"),
    [
        ({"HOME": "/h"}, "linux", "/h/.cache/pipeline-serve"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "linux", "/x/pipeline-serve"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "relative"}, "linux", "/h/.cache/pipeline-serve"),
        ({"HOME": "/h"}, "darwin", "/h/Library/Caches/pipeline-serve"),
    ],
)
def test_by_default_it_is_the_users(environment, platform, folder):
    assert cache_folder(environment, platform) == Path(folder)

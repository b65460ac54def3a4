"""Into a folder that somebody named: at once where that can be, and without a trace where it cannot."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from storage.errors import Cancelled, StorageError
from storage.events import KEPT_SECONDS
from storage.locks import locked
from storage.place import HIDDEN, copy_of, deliver, link_entries, sweep, working, workplace


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/a").write_text("new")
    (tmp_path / "tree/sub/b").write_text("new")
    return tmp_path / "tree"


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_that_is_new_or_empty_is_filled_in_one_step(tree, tmp_path, there):
    if there:
        (tmp_path / "dest").mkdir()
    inode = tree.stat().st_ino
    deliver(tree, tmp_path / "dest")
    assert (tmp_path / "dest").stat().st_ino == inode
    assert content(tmp_path / "dest") == {"a": "new", "sub/b": "new"}


def test_what_is_in_a_folder_stays_but_for_what_has_the_name(tree, tmp_path):
    (tmp_path / "dest/sub").mkdir(parents=True)
    for name in ("a", "sub/b", "sub/c", "mine"):
        (tmp_path / "dest" / name).write_text("old")
    deliver(tree, tmp_path / "dest")
    assert content(tmp_path / "dest") == {"a": "new", "sub/b": "new", "sub/c": "old", "mine": "old"}


@pytest.mark.parametrize(("name", "kind"), [("sub", "folder"), ("a", "file")])
def test_a_file_in_the_way_of_a_folder_or_the_other_way_round_is_named(tree, tmp_path, name, kind):
    (tmp_path / "dest").mkdir()
    if kind == "folder":
        (tmp_path / "dest/sub").write_text("old")
    else:
        (tmp_path / "dest/a/x").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StorageError, match=f"{name} is in the way: the model has a {kind} of that name"):
        deliver(tree, tmp_path / "dest")
    assert sorted(tmp_path.rglob("*")) == before, "nothing of the model is there, and nothing is gone"


def test_nothing_is_written_through_a_link_that_is_in_the_way(tree, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest/sub").symlink_to(tmp_path / "mine")
    with pytest.raises(StorageError, match="sub is in the way: the model has a folder of that name"):
        deliver(tree, tmp_path / "dest")
    assert not list((tmp_path / "mine").iterdir())
    (tmp_path / "dest/sub").unlink()
    (tmp_path / "mine/a").write_text("mine")
    (tmp_path / "dest/a").symlink_to(tmp_path / "mine/a")
    deliver(tree, tmp_path / "dest")
    assert (tmp_path / "mine/a").read_text() == "mine"
    assert content(tmp_path / "dest") == {"a": "new", "sub/b": "new"}


def test_a_file_where_the_folder_should_be_is_named_before_anything_else(tree, tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(StorageError, match=rf"{tmp_path}/file( is a file; a model goes into a folder|/below)"):
            workplace(folder, "key")
        with pytest.raises(StorageError, match=r"is a file|cannot be made"):
            link_entries([tree / "a"], folder)
    assert (tmp_path / "file").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"file", "tree"}


def test_the_working_folder_is_hidden_beside_and_one_per_folder(tmp_path):
    place = workplace(tmp_path / "new/dest", "key")
    assert place.parent == tmp_path / "new"
    assert place.name.startswith(HIDDEN)
    assert workplace(tmp_path / "new/dest", "key") == place
    assert len({place, workplace(tmp_path / "new/dest", "other"), workplace(tmp_path / "new/two", "key")}) == 3


@pytest.mark.parametrize("made", ["link", "file", "open"])
def test_a_working_folder_that_a_neighbour_could_have_filled_is_refused(tmp_path, made):
    shared = tmp_path / "shared"
    shared.mkdir()
    place = workplace(shared / "dest", "key")
    with working(place, threading.Event()):
        assert place.stat().st_mode & 0o777 == 0o700
    shutil.rmtree(place)
    match made:
        case "link":
            (tmp_path / "mine").mkdir()
            place.symlink_to(tmp_path / "mine")
        case "file":
            place.touch()
        case "open":
            place.mkdir()
            place.chmod(0o777)
    shared.chmod(0o1777)
    with (
        pytest.raises(StorageError, match="and another user can write it; remove it"),
        working(place, threading.Event()),
    ):
        pass
    assert not list(tmp_path.rglob("lock"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_it_is_in_the_folder_where_nothing_may_be_beside_it(tmp_path):
    (tmp_path / "dest").mkdir()
    tmp_path.chmod(0o555)
    assert workplace(tmp_path / "dest", "key").parent == tmp_path / "dest"
    tmp_path.chmod(0o755)


def test_a_mounted_folder_is_worked_in():
    # The one mount that every machine has.
    mount = Path("/dev/shm")
    if not mount.is_mount():
        pytest.skip("nothing is mounted at /dev/shm")
    assert workplace(mount, "key").parent == mount


def test_files_are_linked_or_copied_and_a_cancelled_copy_is_gone(tree, tmp_path):
    copy_of(tree, tmp_path / "same", threading.Event())
    assert content(tmp_path / "same") == {"a": "new", "sub/b": "new"}
    assert (tmp_path / "same/a").stat().st_ino == (tree / "a").stat().st_ino
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        copy_of(tree, tmp_path / "cancelled", cancel)
    assert not (tmp_path / "cancelled").exists()


def test_entries_become_links_and_what_is_there_stays(tree, tmp_path):
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest/a").write_text("mine")
    link_entries([tree / "a", tree / "sub"], tmp_path / "dest")
    assert content(tmp_path / "dest")["a"] == "mine"
    assert (tmp_path / "dest/sub").readlink() == tree / "sub"


def test_a_day_old_working_folder_goes_but_not_one_that_a_pull_is_at(tmp_path):
    for name in ("old", "busy", "young"):
        (tmp_path / f"{HIDDEN}{name}/pull").mkdir(parents=True)
        (tmp_path / f"{HIDDEN}{name}/pull/journal").touch()
        (tmp_path / f"{HIDDEN}{name}/lock").touch()
    later = time.time() + KEPT_SECONDS + 60
    young = tmp_path / f"{HIDDEN}young/pull/journal"
    os.utime(young, (later, later))
    with locked(tmp_path / f"{HIDDEN}busy/lock", threading.Event()):
        assert sweep(tmp_path, later) == [tmp_path / f"{HIDDEN}old"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{HIDDEN}busy", f"{HIDDEN}young"]
    assert sweep(tmp_path / "gone") == []

"""A working folder: room before bytes, taken up or begun anew, and never a file beyond its folder."""

from __future__ import annotations

import json
import os
from threading import Event

import pytest

from storage.errors import NoSpace
from storage.journal import record
from storage.listing import Item, Listing
from storage.source import CHUNK
from storage.work import begin


def listing(*items):
    return Listing(tuple(items))


ONE = Item("a", "m/a", 10, '"e"')
TWO = Item("sub/b", "m/sub/b", 5, '"f"')


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "work"


def wrote(folder, own, data=b"01234", at=0):
    """Begins with that listing, and writes into its first file."""
    work = begin(folder, "u", own, durable=False)
    before = dict(work.written)
    descriptor = work.open(0)
    work.write(descriptor, 0, at, data)
    os.close(descriptor)
    work.close()
    return before


def test_what_was_written_is_known_to_the_next_that_begins_with_the_same(folder):
    assert wrote(folder, listing(ONE, TWO)) == {}
    assert wrote(folder, listing(ONE, TWO), b"56789", 5) == {0: [(0, 5)]}
    work = begin(folder, "u", listing(ONE, TWO), durable=False)
    work.close()
    assert work.written == {0: [(0, 10)]}
    assert (folder / "files/a").read_bytes() == b"0123456789"


@pytest.mark.parametrize(
    "other",
    [
        listing(Item("a", "m/a", 10, '"other"'), TWO),
        listing(Item("a", "m/a", 11, '"e"'), TWO),
        listing(ONE),
        listing(TWO, ONE),
        listing(Item("a", "m/a", 10, '"e"', ranged=False), TWO),
    ],
)
def test_with_another_listing_everything_begins_anew(folder, other):
    wrote(folder, listing(ONE, TWO))
    work = begin(folder, "u", other, durable=False)
    work.close()
    assert work.written == {}
    assert list((folder / "files").iterdir()) == []


def test_what_nothing_tells_apart_is_never_taken_up(folder):
    unknown = listing(Item("a", "m/a", 10))
    wrote(folder, unknown)
    assert wrote(folder, unknown) == {}


@pytest.mark.parametrize("harm", ["boot", "plan", "gone"])
def test_nor_is_what_an_earlier_boot_or_half_a_plan_left(folder, harm):
    wrote(folder, listing(ONE))
    plan = folder / "plan.json"
    match harm:
        case "boot":
            plan.write_text(json.dumps({**json.loads(plan.read_text()), "boot": "another"}))
        case "plan":
            plan.write_text(plan.read_text()[:-5])
        case "gone":
            plan.unlink()
    assert wrote(folder, listing(ONE)) == {}


@pytest.mark.parametrize("harm", ["taken", "short", "beyond", "another"])
def test_a_journal_of_files_that_are_not_there_is_not_believed(folder, harm):
    wrote(folder, listing(ONE, TWO), b"0123456789")
    match harm:
        case "taken":  # a pull that was killed between its last rename and its end
            (folder / "files").rename(folder.parent / "models")
        case "short":
            os.truncate(folder / "files/a", 9)
        case "beyond":
            with (folder / "journal").open("ab") as journal:
                journal.write(record(0, 0, 11))
        case "another":
            with (folder / "journal").open("ab") as journal:
                journal.write(record(7, 0, 1))
    assert wrote(folder, listing(ONE, TWO)) == {}
    assert begin(folder, "u", listing(ONE, TWO), durable=False).written == {0: [(0, 5)]}


def test_a_record_that_a_full_disk_has_torn_shifts_none_of_those_after_it(folder):
    wrote(folder, listing(ONE, TWO))
    with (folder / "journal").open("ab") as journal:
        journal.write(record(0, 5, 10)[:7])
    assert wrote(folder, listing(ONE, TWO), b"567", 5) == {0: [(0, 5)]}
    assert wrote(folder, listing(ONE, TWO)) == {0: [(0, 8)]}


def test_a_file_has_its_size_in_the_end(folder):
    work = begin(folder, "u", listing(Item("a", "m/a", None)), durable=True)
    descriptor = work.open(0)
    work.write(descriptor, 0, 0, b"longer than it is")
    work.finish(descriptor, 0, 6)
    os.close(descriptor)
    work.close()
    assert (folder / "files/a").read_bytes() == b"longer"


def test_room_is_taken_for_the_bytes_that_are_to_come_and_no_more_of_it_once_it_is_cancelled(folder):
    size = 3 * CHUNK
    work = begin(folder, "u", listing(Item("a", "m/a", size, '"e"')), durable=False)
    descriptor, cancel = work.open(0), Event()
    work.take_room(descriptor, CHUNK, 2 * CHUNK, cancel)
    assert os.fstat(descriptor).st_size == 2 * CHUNK
    assert CHUNK <= os.fstat(descriptor).st_blocks * 512 < 2 * CHUNK
    cancel.set()
    work.take_room(descriptor, 0, size, cancel)
    assert os.fstat(descriptor).st_size == 2 * CHUNK
    os.close(descriptor)
    work.close()


def test_what_has_its_room_needs_none_when_it_is_taken_up_again(folder, monkeypatch):
    size = 3 * CHUNK
    wrote(folder, listing(Item("a", "m/a", size, '"e"')), bytes(CHUNK))
    disk = os.statvfs_result((1, 1, 0, 0, 2 * CHUNK, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: disk)
    assert wrote(folder, listing(Item("a", "m/a", size, '"e"')), b"") == {0: [(0, CHUNK)]}
    with pytest.raises(NoSpace, match=f"has {2 * CHUNK:,} bytes free, and {size:,} are to come"):
        begin(folder, "u", listing(Item("a", "m/a", size, '"f"')), durable=False)


def test_room_is_looked_for_before_a_byte_is_asked_for(folder):
    with pytest.raises(NoSpace, match=r"bytes free, and 4,611,686,018,427,387,904 are to come"):
        begin(folder, "u", listing(Item("a", "m/a", 2**62, '"e"')), durable=False)
    assert not (folder / "journal").exists()


def test_a_link_that_somebody_put_there_is_not_followed(folder, tmp_path):
    (folder / "files").mkdir(parents=True)
    work = begin(folder, "u", listing(ONE), durable=False)
    (folder / "files/a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        work.open(0)
    work.close()
    assert not (tmp_path / "elsewhere").exists()

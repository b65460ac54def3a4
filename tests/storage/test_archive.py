"""Archives become plain files below their folder, within their limits, or nothing."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import threading
import tracemalloc
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.archive import is_archive, unpack
from storage.errors import Cancelled, Corrupt, Unsafe
from storage.order import Limits

FILES = {"a.txt": b"one", "sub/b.bin": bytes(3000), "sub/deep/c": b""}


def tar(path, *members, mode="w"):
    """Members are (name, bytes or TarInfo type, link)."""
    with tarfile.open(path, mode) as archive:
        for name, content, *link in members:
            info = tarfile.TarInfo(name)
            if (isinstance(content, bytes) and content[:1] in (*tarfile.REGULAR_TYPES, b"")) or len(content) != 1:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
                continue
            info.type = content
            info.linkname = link[0] if link else ""
            archive.addfile(info)
    return path


def zipped(path, *members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, *kind in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (kind[0] if kind else stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)
    return path


def taken(path, folder, limits=None, cancel=None):
    unpack(path, folder, limits or Limits(), cancel or threading.Event())
    return {own.relative_to(folder).as_posix(): own.read_bytes() for own in folder.rglob("*") if own.is_file()}


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("m.tar", "w"),
        ("m.tgz", "w:gz"),
        ("m.tar.gz", "w:gz"),
        ("m.tar.bz2", "w:bz2"),
        ("m.tar.xz", "w:xz"),
        ("M.TAR", "w"),
    ],
)
def test_a_tar_in_each_of_its_codings(tmp_path, name, mode):
    path = tar(tmp_path / name, *FILES.items(), mode=mode)
    assert is_archive(name)
    assert taken(path, tmp_path / "out") == FILES


def test_a_zip(tmp_path):
    assert taken(zipped(tmp_path / "m.zip", *FILES.items()), tmp_path / "out") == FILES


def test_a_coding_that_its_name_does_not_say_is_found(tmp_path):
    path = tar(tmp_path / "m.tar", *FILES.items(), mode="w:gz")
    assert taken(path, tmp_path / "out") == FILES


@pytest.mark.parametrize("name", ["m.bin", "m.gz", "tar", "m.zip.bin", "model.keras"])
def test_what_is_not_named_like_an_archive_is_a_file(name):
    assert not is_archive(name)


EVIL = ["../evil", "/evil", "a/../../evil", "a//b", "a/./b", "C:\\evil", "a\nb", "a/" + "b" * 256]


@pytest.mark.parametrize("make", [tar, zipped])
@pytest.mark.parametrize("name", EVIL)
def test_a_name_that_leaves_the_folder_is_refused_and_nothing_is_left(tmp_path, make, name):
    path = make(tmp_path / f"m.{'tar' if make is tar else 'zip'}", ("good", b"good"), (name, b"evil"))
    with pytest.raises(Unsafe, match="which is no file below its folder"):
        taken(path, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["./a", "././a", "a"])
def test_a_dot_before_a_name_is_none(tmp_path, name):
    assert taken(tar(tmp_path / "m.tar", ("./", tarfile.DIRTYPE), (name, b"xx")), tmp_path / "out") == {"a": b"xx"}


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "../../evil"),
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, ".."),
        (tarfile.LNKTYPE, "../evil"),
        (tarfile.LNKTYPE, "/etc/passwd"),
    ],
)
def test_a_link_that_leaves_is_refused(tmp_path, kind, target):
    path = tar(tmp_path / "m.tar", ("sub/link", kind, target))
    with pytest.raises(Unsafe, match="leaves its folder"):
        taken(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_within_become_the_files_they_lead_to(tmp_path):
    path = tar(
        tmp_path / "m.tar",
        ("sub/first", tarfile.SYMTYPE, "second"),
        ("sub/second", tarfile.SYMTYPE, "../real"),
        ("hard", tarfile.LNKTYPE, "real"),
        ("real", b"content"),
    )
    assert taken(path, tmp_path / "out") == {
        "sub/first": b"content", "sub/second": b"content", "hard": b"content", "real": b"content"
    }  # fmt: skip
    assert not any(own.is_symlink() for own in (tmp_path / "out").rglob("*"))


@pytest.mark.parametrize(
    "members",
    [
        [("link", tarfile.SYMTYPE, "nowhere")],
        [("one", tarfile.SYMTYPE, "two"), ("two", tarfile.SYMTYPE, "one")],
        [("self", tarfile.SYMTYPE, "self")],
        [("folder/", tarfile.DIRTYPE), ("link", tarfile.SYMTYPE, "folder")],
        [("link", tarfile.SYMTYPE, "sub"), ("link/x", b"through"), ("sub/", tarfile.DIRTYPE)],
    ],
)
def test_a_link_that_leads_to_no_file_is_refused_and_nothing_is_written_through_it(tmp_path, members):
    with pytest.raises((Unsafe, OSError)):
        taken(tar(tmp_path / "m.tar", *members), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_link_in_a_zip(tmp_path):
    link = stat.S_IFLNK | 0o777
    good = zipped(tmp_path / "good.zip", ("real", b"x"), ("link", b"real", link))
    assert taken(good, tmp_path / "out") == {"real": b"x", "link": b"x"}
    with pytest.raises(Unsafe, match="leaves its folder"):
        taken(zipped(tmp_path / "evil.zip", ("link", b"../../etc/passwd", link)), tmp_path / "no")


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_devices_are_refused(tmp_path, kind):
    with pytest.raises(Unsafe, match="neither file nor folder nor link"):
        taken(tar(tmp_path / "m.tar", ("dev", kind)), tmp_path / "out")


@pytest.mark.parametrize("make", [tar, zipped])
def test_a_name_that_is_file_and_folder_is_refused(tmp_path, make):
    path = make(tmp_path / f"m.{'tar' if make is tar else 'zip'}", ("a", b"xx"), ("a/b", b"xx"))
    with pytest.raises(Unsafe, match="both as a file and as a folder"):
        taken(path, tmp_path / "out")


def test_of_a_name_that_comes_twice_the_last_counts(tmp_path):
    assert taken(tar(tmp_path / "m.tar", ("a", b"longer"), ("a", b"last")), tmp_path / "out") == {"a": b"last"}


def test_an_archive_within_is_a_file(tmp_path):
    inner = tar(tmp_path / "inner.tar", ("x", b"xx")).read_bytes()
    assert taken(tar(tmp_path / "m.tar", ("inner.tar", inner)), tmp_path / "out") == {"inner.tar": inner}


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(total=2999), "becomes more than 2,999 bytes"),
        (Limits(members=2), "has more than 2 members"),
    ],
)
@pytest.mark.parametrize("make", [tar, zipped])
def test_limits_hold_before_they_are_exceeded_on_the_disk(tmp_path, make, limits, says):
    path = make(tmp_path / f"m.{'tar' if make is tar else 'zip'}", *FILES.items())
    with pytest.raises(Unsafe, match=says):
        taken(path, tmp_path / "out", limits)
    assert not (tmp_path / "out").exists()


def test_a_bomb_is_known_by_its_ratio_but_not_a_page_of_zeros(tmp_path):
    small = zipped(tmp_path / "small.zip", ("zeros", bytes(10 * 2**20)))
    assert small.stat().st_size * 200 < 10 * 2**20
    assert len(taken(small, tmp_path / "out")["zeros"]) == 10 * 2**20
    bomb = tmp_path / "bomb.tar.gz"
    with gzip.open(bomb, "wb", 1) as out, tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("zeros")
        info.size = 80 * 2**20
        archive.addfile(info, io.BytesIO(bytes(info.size)))
    with pytest.raises(Unsafe, match="becomes more than 200 times its"):
        taken(bomb, tmp_path / "no")
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("name", ["m.tar", "m.tar.gz", "m.tar.bz2", "m.tar.xz", "m.zip"])
@pytest.mark.parametrize("content", [b"", b"no archive at all", b"\x1f\x8b\x08garbage", b"PK\x03\x04garbage"])
def test_what_is_no_archive_says_so(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Corrupt, match=f"{name} is named like an archive and cannot be unpacked"):
        taken(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@given(st.data())
def test_a_damaged_archive_is_corrupt_or_unsafe_or_what_it_was(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    make, name = data.draw(st.sampled_from([(tar, "m.tar"), (zipped, "m.zip")]))
    content = bytearray(make(folder / name, *FILES.items()).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = content[: data.draw(st.integers(len(content) // 2, len(content)))]
    (folder / name).write_bytes(cut)
    try:
        taken(folder / name, folder / "out")
    except (Corrupt, Unsafe):
        assert not (folder / "out").exists()
    assert {path.name for path in folder.iterdir()} <= {name, "out"}


def header(name, size=0, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("harm", ["cut after a member", "cut in a header", "damaged"])
def test_the_beginning_of_a_tar_is_none(tmp_path, harm):
    """To the library each of them is the end of an archive with one member."""
    first, second, end = header("a"), header("b"), bytes(1024)
    path = tmp_path / "m.tar"
    match harm:
        case "cut after a member":
            path.write_bytes(first)
        case "cut in a header":
            path.write_bytes(first + second[:100])
        case "damaged":
            path.write_bytes(first + b"c" + second[1:] + end)
    with pytest.raises(Corrupt, match="a member's header is damaged, or the rest is missing"):
        taken(path, tmp_path / "out")
    path.write_bytes(first + second + end)
    assert set(taken(path, tmp_path / "out")) == {"a", "b"}


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_name_of_gibibytes_is_not_read(tmp_path, kind):
    path = tmp_path / "m.tar"
    path.write_bytes(header("long", 8 * 2**30, kind) + header("a") + bytes(1024))
    with pytest.raises(Unsafe, match=r"m\.tar has a header of a size that no honest one has"):
        taken(path, tmp_path / "out")


def test_what_a_zip_has_packed_as_tightly_as_can_be_is_undone_little_by_little(tmp_path):
    path, size = tmp_path / "m.zip", 64 * 2**20
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("zeros", bytes(size))
    tracemalloc.start()
    try:
        unpack(path, tmp_path / "out", Limits(), threading.Event())
        assert tracemalloc.get_traced_memory()[1] < 1.3 * size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_in_each_of_its_codings_is_what_was_packed_and_a_bomb_is_not_undone_at_once(tmp_path, kind):
    path, size = tmp_path / "m.zip", 2**20
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in {**FILES, "many": bytes(size)}.items():
            archive.writestr(name, data)
    assert taken(path, tmp_path / "out") == {**FILES, "many": bytes(size)}
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02") + 24  # how long the last member says it is
    content[at : at + 4] = (size - 1).to_bytes(4, "little")
    if kind == zipfile.ZIP_BZIP2:
        path.write_bytes(content)
        with pytest.raises(Corrupt, match="'many' is not as long as its index says"):
            taken(path, tmp_path / "no")
        bomb = zipfile.ZipInfo("bomb")
        bomb.compress_type = kind
        with zipfile.ZipFile(path, "w") as archive, archive.open(bomb, "w") as out:
            for _ in range(100):
                out.write(bytes(size))
        tracemalloc.start()
        try:
            with pytest.raises(Unsafe, match="becomes more than 200 times its"):
                unpack(path, tmp_path / "no", Limits(), threading.Event())
            assert tracemalloc.get_traced_memory()[1] < 20 * size
        finally:
            tracemalloc.stop()


def test_the_index_of_a_zip_is_not_read_where_it_has_too_many_members(tmp_path):
    names = (f"{number:0200}" for number in range(5000))
    path = zipped(tmp_path / "m.zip", *((name, b"") for name in names))
    with pytest.raises(Unsafe, match=r"m\.zip has an index of 1,230,000 bytes, too many for its members"):
        taken(path, tmp_path / "out", Limits(members=4000))


@pytest.mark.parametrize("make", [tar, zipped])
def test_the_folders_of_a_name_count_as_members(tmp_path, make):
    path = make(tmp_path / f"m.{'tar' if make is tar else 'zip'}", *((f"{number}/b/c/d", b"xx") for number in range(5)))
    assert len(taken(path, tmp_path / "out", Limits(members=20))) == 5
    with pytest.raises(Unsafe, match="has more than 19 members"):
        taken(path, tmp_path / "no", Limits(members=19))


@pytest.mark.parametrize("durable", [False, True])
def test_what_is_to_last_is_synced_file_by_file(tmp_path, monkeypatch, durable):
    synced, fsync = [], os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size) or fsync(descriptor)
    )
    path = tar(tmp_path / "m.tar", *FILES.items())
    unpack(path, tmp_path / "out", Limits(), threading.Event(), durable=durable)
    assert synced == ([3, 3000, 0] if durable else [])


def test_an_archive_of_folders_is_no_model(tmp_path):
    with pytest.raises(Corrupt, match=r"m\.tar has no file in it"):
        taken(tar(tmp_path / "m.tar", ("sub", tarfile.DIRTYPE)), tmp_path / "out")


def test_a_password_is_no_secret_to_be_guessed(tmp_path):
    path = zipped(tmp_path / "m.zip", ("a", b"xx"))
    content = bytearray(path.read_bytes())
    for at in (content.index(b"PK\x03\x04") + 6, content.index(b"PK\x01\x02") + 8):
        content[at] |= 1
    path.write_bytes(content)
    with pytest.raises(Corrupt, match="password"):
        taken(path, tmp_path / "out")


def test_it_can_be_cancelled(tmp_path):
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        taken(tar(tmp_path / "m.tar", *FILES.items()), tmp_path / "out", cancel=cancel)
    with pytest.raises(Cancelled):
        taken(zipped(tmp_path / "m.zip", *FILES.items()), tmp_path / "other", cancel=cancel)


def test_what_can_be_run_still_can(tmp_path):
    path = zipped(tmp_path / "m.zip", ("run.sh", b"x", stat.S_IFREG | 0o755), ("data", b"x", stat.S_IFREG | 0o4600))
    taken(path, tmp_path / "out")
    assert (tmp_path / "out/run.sh").stat().st_mode & 0o7777 & ~0o022 == 0o755
    assert (tmp_path / "out/data").stat().st_mode & 0o7111 == 0

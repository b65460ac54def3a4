"""Keys become names below a folder, or are refused; the layout is KServe's, bounded by slashes."""

from itertools import count
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import NotThere, StorageError, Unsafe
from storage.listing import Item, chosen, expected, identity, request_key, single, under, unsafe


def items(**sizes):
    return [Item(key, key, size, '"e"') for key, size in sizes.items()]


def laid_out(prefix, *keys):
    found = [Item(key.removesuffix("!"), key, 0 if key.endswith("!") else 1, '"e"') for key in keys]
    return [item.name for item in under("s3://b/x", prefix, found).items]


@pytest.mark.parametrize(
    ("prefix", "keys", "names"),
    [
        ("m", ["m/a", "m/b/c"], ["a", "b/c"]),
        ("m/", ["m/a", "m2/b", "ma"], ["a"]),
        ("", ["a", "b/c"], ["a", "b/c"]),
        ("a/b", ["a/b/c", "a/bb/c"], ["c"]),
        ("m", ["m/empty!", "m/a"], ["a", "empty"]),
        ("m", ["m/sub!", "m/sub/a"], ["sub/a"]),
        ("m", ["m/ä ö?#%20", "m/..a", "m/a..b/.c"], ["..a", "a..b/.c", "ä ö?#%20"]),
    ],
)
def test_a_prefix_becomes_a_folder_without_it(prefix, keys, names):
    assert laid_out(prefix, *keys) == names


@pytest.mark.parametrize("keys", [[], ["m2/a"], ["m"]])
def test_nothing_below_a_prefix_is_an_error(keys):
    with pytest.raises(NotThere, match="there is no model at s3://b/x"):
        laid_out("m", *keys)


@pytest.mark.parametrize(
    "key", ["../x", "a/../b", "./x", "a/./b", "/x", "a//b", "a/", "", "a\0b", "a\nb", "a\\b", "a" * 256,
            "a/" * 100 + "a", "a" * 200 + ("/" + "a" * 200) * 15, "\ud800"]
)  # fmt: skip
def test_what_is_no_name_below_a_folder_is_refused_with_its_key(key):
    with pytest.raises((Unsafe, NotThere)) as caught:
        laid_out("m", f"m/{key}")
    assert key == "" or "which is no file below its folder" in str(caught.value)
    assert str(caught.value).isprintable()


@given(st.text(st.sampled_from("a./\\\0é "), max_size=12))
def test_a_name_that_is_not_refused_stays_below_its_folder(name):
    if unsafe(name) is None:
        path = PurePosixPath("/srv/folder", name)
        assert ".." not in path.parts
        assert path.is_relative_to("/srv/folder")
        assert path != PurePosixPath("/srv/folder")
        assert str(path) == f"/srv/folder/{name}"


def test_a_key_that_is_file_and_folder_is_refused():
    with pytest.raises(Unsafe, match='has "m/a" both as a file and as a folder'):
        laid_out("m", "m/a", "m/a/b")


def test_a_listing_that_begins_again_is_not_read_to_an_end_that_it_has_not():
    again = (Item(f"m/{number % 3}", f"m/{number % 3}", 1) for number in count())
    with pytest.raises(Unsafe, match='s3://b/x lists "m/0" a second time'):
        under("s3://b/x", "m", again)


def test_nor_is_one_that_goes_on(monkeypatch):
    monkeypatch.setattr("storage.listing.MOST", 1000)
    ever = (Item(f"m/{number}", f"m/{number}", 1) for number in count())
    with pytest.raises(Unsafe, match="or more than 1,000 files"):
        under("s3://b/x", "m", ever)


@pytest.mark.parametrize(
    ("allow", "ignore", "names"),
    [
        ((), (), ["a.bin", "sub/b.bin", "sub/c.txt"]),
        (("*.bin",), (), ["a.bin", "sub/b.bin"]),
        (("sub/*",), ("*.txt",), ["sub/b.bin"]),
        ((), ("sub/*",), ["a.bin"]),
    ],
)
def test_patterns_are_of_the_whole_name_and_a_star_crosses_slashes(allow, ignore, names):
    listing = under("s3://b/m", "m", items(**{"m/a.bin": 1, "m/sub/b.bin": 1, "m/sub/c.txt": 1}))
    assert [item.name for item in chosen("s3://b/m", listing, allow, ignore).items] == names


def test_patterns_that_leave_nothing_are_an_error_and_do_not_touch_a_single_object():
    listing = under("s3://b/m", "m", items(**{"m/a.bin": 1}))
    with pytest.raises(NotThere, match="has 1 files, and the patterns leave none"):
        chosen("s3://b/m", listing, ("*.txt",), ())
    alone = single("s3://b/m.bin", Item("m.bin", "m.bin", 1))
    assert chosen("s3://b/m.bin", alone, ("*.txt",), ()) == alone


def test_contents_have_one_identity_in_whichever_order_and_another_when_anything_differs():
    one, two = Item("a", "m/a", 1, '"e"'), Item("b", "m/b", 2, '"f"')
    listing = under("u", "m", [Item("m/a", "m/a", 1, '"e"'), Item("m/b", "m/b", 2, '"f"')])
    same = type(listing)((two, one))
    assert identity("u", listing) == identity("u", same)
    others = [
        type(listing)((one,)),
        type(listing)((one, Item("b", "m/b", 2, '"g"'))),
        type(listing)((one, Item("b", "m/b", 3, '"f"'))),
    ]
    assert len({identity("u", own) for own in (listing, *others)} | {identity("v", listing)}) == 5
    assert request_key("u", ("a",), ()) != request_key("u", (), ("a",)) != request_key("u", (), (), "sha256:00")


def test_a_digest_goes_with_one_file():
    alone = single("u", Item("m", "m", 1))
    assert expected("u", alone, "sha256:00").items[0].digest == "sha256:00"
    assert expected("u", alone, None) == alone
    with pytest.raises(StorageError, match="u has 2 files, and a sha256 goes with one"):
        expected("u", under("u", "", items(a=1, b=1)), "sha256:00")


def test_a_size_that_is_not_told_makes_the_whole_unknown():
    assert under("u", "", items(a=1, b=2)).size == 3
    assert under("u", "", [*items(a=1), Item("b", "b", None)]).size is None
    assert not under("u", "", [Item("b", "b", 1)]).versioned

"""Digests of files."""

import hashlib
import threading

import pytest

from storage.errors import Cancelled, Corrupt
from storage.listing import Item
from storage.verify import check, verify

DATA = b"model" * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()
GIT = hashlib.sha1(b"blob 5000\0" + DATA).hexdigest()


@pytest.mark.parametrize("digest", [f"sha256:{SHA256}", f"sha256:{SHA256.upper()}", f"git-sha1:{GIT}"])
def test_a_file_is_what_its_digest_says(tmp_path, digest):
    (tmp_path / "m").write_bytes(DATA)
    verify("u", [Item("m", "m", 5000, digest=digest), Item("unread", "m", 1)], tmp_path, threading.Event())


@pytest.mark.parametrize("digest", ["sha256:00", f"git-sha1:{SHA256}"])
def test_another_file_is_named_with_both_digests(tmp_path, digest):
    (tmp_path / "m").write_bytes(DATA)
    with pytest.raises(Corrupt, match=r"u: m has .* and .* was expected"):
        check("u", tmp_path / "m", digest, threading.Event())


def test_it_can_be_cancelled(tmp_path):
    (tmp_path / "m").write_bytes(DATA)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        check("u", tmp_path / "m", f"sha256:{SHA256}", cancel)

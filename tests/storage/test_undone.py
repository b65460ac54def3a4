"""Compressed files, undone forward and in pieces: all of it, or an error."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import Unsafe
from storage.undone import Undone

CODINGS = {"plain": bytes, "gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}
BOMB = bytes(3 * 2**20)


def undone(data, skipped=lambda size: None):
    return Undone(io.BytesIO(data), "m.tar", skipped)


@pytest.mark.parametrize("coding", CODINGS)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=3), st.integers(1, 200), st.integers(0, 400))
def test_it_is_what_was_packed_in_one_stream_or_several(coding, streams, size, to):
    streams = [b"a name", *streams]  # which is no coding's first bytes
    packed = b"".join(CODINGS[coding](data) for data in streams) + (b"" if coding == "plain" else bytes(7))
    whole = b"".join(streams)
    reading = undone(packed)
    read = b""
    while piece := reading.read(size):
        assert len(piece) <= size
        read += piece
    assert (read, reading.tell()) == (whole, len(whole))
    counted = []
    reading = undone(packed, counted.append)
    if to > len(whole):
        with pytest.raises(EOFError):
            reading.seek(to)
        return
    reading.seek(to)
    assert (sum(counted), reading.read(10)) == (to, whole[to : to + 10])
    reading.drain()
    assert reading.tell() == len(whole)


@pytest.mark.parametrize("coding", ["gzip", "bzip2", "xz"])
def test_a_small_question_is_never_a_large_answer(coding):
    reading = undone(CODINGS[coding](BOMB))
    assert len(reading.read(10)) == 10
    assert len(reading.read(len(BOMB))) == len(BOMB) - 10


@pytest.mark.parametrize("coding", ["gzip", "bzip2", "xz"])
@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_file_cut_short_is_known_at_its_end(coding, cut):
    reading = undone(CODINGS[coding](BOMB[:1000])[:-cut])
    with pytest.raises(EOFError, match="middle of its compressed data"):
        reading.drain()


@pytest.mark.parametrize("coding", ["gzip", "bzip2", "xz"])
def test_a_damaged_one_is_known_at_its_end(coding):
    data = bytearray(CODINGS[coding](BOMB[:1000]))
    data[{"gzip": -6, "bzip2": 12, "xz": -30}[coding]] ^= 0xFF
    with pytest.raises((zlib.error, OSError, lzma.LZMAError)):
        undone(bytes(data)).drain()


def test_a_dictionary_of_gibibytes_is_not_made():
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 2**29}]
    data = lzma.compress(b"x", filters=filters)
    with pytest.raises(lzma.LZMAError, match="Memory usage limit"):
        undone(data).read(1)
    assert undone(lzma.compress(b"x", preset=9)).read(1) == b"x"


def test_it_goes_forward_and_asks_for_no_more_than_there_is_room_for():
    reading = undone(b"0123456789")
    reading.room = 5
    assert reading.read(4) == b"0123"
    with pytest.raises(Unsafe, match=r"m\.tar has a header"):
        reading.read(2)
    with pytest.raises(ValueError, match="overlap"):
        reading.seek(3)

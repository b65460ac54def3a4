"""Compressed bodies: round trips, members, limits that hold before memory is taken, and broken streams."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Code, InferError
from server.encoding import codings, decoded

LIMIT = 1000


def bare(data: bytes) -> bytes:
    squeezer = zlib.compressobj(wbits=-15)
    return squeezer.compress(data) + squeezer.flush()


@given(st.binary(max_size=LIMIT))
def test_what_clients_compress_comes_back(data):
    assert decoded(gzip.compress(data), ["gzip"], LIMIT) == data
    assert decoded(zlib.compress(data), ["deflate"], LIMIT) == data
    assert decoded(zlib.compress(gzip.compress(data)), ["deflate", "gzip"], 2 * LIMIT) == data
    assert decoded(gzip.compress(data[:5]) + gzip.compress(data[5:]), ["gzip"], LIMIT) == data


def test_deflate_without_its_header_is_deflate_too():
    assert decoded(bare(b'{"instances": [1]}'), ["deflate"], LIMIT) == b'{"instances": [1]}'


@pytest.mark.parametrize(
    ("header", "undo"),
    [
        (None, []),
        ("", []),
        ("identity", []),
        ("GZIP", ["gzip"]),
        ("x-gzip", ["x-gzip"]),
        ("gzip, deflate", ["deflate", "gzip"]),
        ("identity , gzip", ["gzip"]),
    ],
)
def test_codings_are_undone_in_reverse(header, undo):
    assert codings({} if header is None else {"content-encoding": header}) == undo


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("br", 'no content-encoding "br"; there are gzip and deflate'),
        ("gzip, zstd", 'no content-encoding "zstd"'),
        ("gzip, gzip, gzip", "at most 2 codings, got 3"),
    ],
)
def test_what_is_not_known_is_415(header, says):
    with pytest.raises(InferError, match=says) as caught:
        codings({"content-encoding": header})
    assert caught.value.code is Code.UNSUPPORTED_MEDIA


@pytest.mark.parametrize(
    "body", [gzip.compress(b"a" * (LIMIT + 1)), gzip.compress(b"a" * 10**7), gzip.compress(b"a" * 600) * 2]
)
def test_a_body_that_grows_past_the_limit_is_413(body):
    with pytest.raises(InferError, match=r"larger than 1000 bytes \(--max-body\) once decoded") as caught:
        decoded(body, ["gzip"], LIMIT)
    assert caught.value.code is Code.TOO_LARGE


def test_a_body_of_exactly_the_limit_is_read():
    assert len(decoded(gzip.compress(b"a" * LIMIT), ["gzip"], LIMIT)) == LIMIT


@pytest.mark.parametrize(
    ("body", "coding", "says"),
    [
        (b'{"instances": [1]}', "gzip", "the body is no gzip"),
        (gzip.compress(b"hello")[:-1], "gzip", "it ends too early"),
        (gzip.compress(b"hello") + b"!", "gzip", "the body is no gzip"),
        (zlib.compress(b"hello")[:-2], "deflate", "it ends too early"),
        (zlib.compress(b"hello") + b"!", "deflate", "1 bytes follow its end"),
        (b"\xff\xff\xff", "deflate", "the body is no deflate"),
    ],
)
def test_a_broken_stream_is_the_callers_fault(body, coding, says):
    with pytest.raises(InferError, match=says) as caught:
        decoded(body, [coding], LIMIT)
    assert caught.value.code is Code.INVALID_ARGUMENT


@given(st.binary(max_size=60), st.sampled_from(["gzip", "deflate"]))
def test_any_bytes_are_read_or_refused(body, coding):
    try:
        assert len(decoded(body, [coding], LIMIT)) <= LIMIT
    except InferError as error:
        assert error.code in (Code.INVALID_ARGUMENT, Code.TOO_LARGE)

"""Compressed bodies: round trips, members, limits that hold before memory is taken, broken streams; and replies."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Code, InferError
from server.encoding import accepted, codings, decoded, encoded

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
    assert caught.value.headers == {"accept-encoding": "gzip, deflate"}


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


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (None, None),
        ("", None),
        ("identity", None),
        ("br, zstd", None),
        ("gzip", "gzip"),
        ("GZip", "gzip"),
        ("x-gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate, br", "gzip"),
        ("deflate, gzip;q=0.5", "deflate"),
        ("gzip;q=0", None),
        ("gzip; Q=0.000, deflate;q=0.001", "deflate"),
        ("gzip;q=0.3, identity;q=0.5", None),
        ("gzip;q=1.0, identity", "gzip"),
        ("*", "gzip"),
        ("*;q=0", None),
        ("*, gzip;q=0", "deflate"),
        ("gzip;q=2", None),
        ("gzip;level=9", None),
        (";,;q=1,,", None),
    ],
)
def test_the_coding_of_a_reply_is_the_one_its_caller_likes_best(header, coding):
    headers = {} if header is None else {"accept-encoding": header}
    assert accepted(headers, "application/json", 10_000) == coding
    assert accepted(headers, "application/json", 100) is None
    binary = accepted(headers, "application/octet-stream", 10_000)
    assert binary == (coding if header and "," not in header else None), "tensors in binary are not coded unasked"


@given(st.text(max_size=40))
def test_any_header_is_read(text):
    assert accepted({"accept-encoding": text}, "text/plain", 10_000) in (None, "gzip", "deflate")


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.sampled_from(["gzip", "deflate"]))
def test_a_coded_reply_is_what_it_was(parts, coding):
    parts = [b"{}" * 1000, *map(memoryview, parts)]
    coded = encoded(parts, coding)
    assert decoded(b"".join(coded), [coding], 10_000) == b"".join(parts)


def test_what_hardly_shrinks_stays_as_it_is():
    assert encoded([b"{}", random.Random(1).randbytes(100_000)], "gzip") is None

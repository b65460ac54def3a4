"""Compressed bodies: round trips, members, limits that hold before memory is taken, broken streams; and replies."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Code, InferError
from server.encoding import accepted, codings, decoded, encoded, to_plain

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
    "body",
    [gzip.compress(b"a" * (LIMIT + 1)), gzip.compress(b"a" * 10**7), gzip.compress(b"a" * 600) * 2],
    ids=["just", "by far", "in two members"],
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
    ids=["plain", "cut", "followed", "deflate cut", "deflate followed", "no deflate"],
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


def test_members_are_read_one_after_the_other_and_are_bounded():
    members = gzip.compress(b"a") * 4096
    assert decoded(members, ["gzip"], 4096) == b"a" * 4096
    assert decoded(gzip.compress(b"b" * 100_000) * 3, ["gzip"], 300_000) == b"b" * 300_000
    with pytest.raises(InferError, match="more than 4096 members"):
        decoded(members + gzip.compress(b""), ["gzip"], 5000)
    with pytest.raises(InferError, match="more than 4096 members"):
        decoded(gzip.compress(gzip.compress(b"") * 800_000), ["gzip", "gzip"], 10**8)


def test_the_limit_is_that_of_the_whole_body_and_holds_in_memory(monkeypatch):
    taken = []
    real = zlib.decompressobj

    class Counting:
        def __init__(self, *arguments):
            self._inflater = real(*arguments)

        def decompress(self, piece, most):
            taken.append(most)
            return self._inflater.decompress(piece, most)

        def __getattr__(self, name):
            return getattr(self._inflater, name)

    monkeypatch.setattr(zlib, "decompressobj", Counting)
    with pytest.raises(InferError, match="larger than 1000 bytes"):
        decoded(gzip.compress(b"a" * 900) * 2, ["gzip"], LIMIT)
    assert taken == [1001, 101]


@pytest.mark.parametrize(
    ("media", "body"),
    [
        ("application/json", "ä".encode()),
        ("application/json; charset=UTF-8", "ä".encode()),
        ("text/plain;charset=utf8", "ä".encode()),
        ("application/json; charset=iso-8859-1", b"\xe4"),
        ('application/vnd.x+json; a=b; Charset="Windows-1252"', b"\xe4"),
        ("application/json; charset=utf-16", "ä".encode("utf-16")),
        ("application/json; charset=utf-16le; q=1", "ä".encode("utf-16-le")),
    ],
)
def test_a_body_is_utf8_whatever_charset_it_came_in(media, body):
    plain = to_plain({"content-type": media}, LIMIT)
    assert (plain(body) if plain else body).decode() == "ä"


@pytest.mark.parametrize("name", ["koi8-r", "punycode", "zip", "rot13", "utf-7", "x" * 500])
def test_a_charset_that_is_not_read_is_415_and_named(name):
    with pytest.raises(InferError, match="no charset") as caught:
        to_plain({"content-type": f"application/json; charset={name}"}, LIMIT)
    assert caught.value.code is Code.UNSUPPORTED_MEDIA
    assert len(caught.value.message) < 200


def test_text_that_is_not_in_its_charset_is_the_callers_fault():
    plain = to_plain({"content-type": "application/json; charset=utf-16le"}, LIMIT)
    with pytest.raises(InferError, match="the body is no utf-16le") as caught:
        plain(b"{")
    assert caught.value.code is Code.INVALID_ARGUMENT

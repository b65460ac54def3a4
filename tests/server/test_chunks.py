"""Bodies in chunks: however they are cut they are the same, and what is no chunk is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.chunks import Chunks
from server.head import Refused


def decoded(*pieces: bytes) -> tuple[bytes, bytes, bool]:
    """(data, what follows, whether it ended)"""
    chunks = Chunks()
    data = b"".join(bytes(part) for piece in pieces if not chunks.ended for part in chunks.take(piece))
    return data, chunks.rest, chunks.ended


@pytest.mark.parametrize(
    "sent",
    [
        b"5\r\nhello\r\n0\r\n\r\n",
        b"05\r\nhello\r\n000\r\n\r\n",
        b"5;a=b\r\nhello\r\n0;x=\"y\"\r\n\r\n",
        b"5 ;a\r\nhello\r\n0\r\nx-trailer: y\r\ncontent-length: 5\r\n\r\n",
        b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ],
)  # fmt: skip
def test_a_body_is_its_data_whatever_stands_beside_it_and_however_it_is_cut(sent):
    assert decoded(sent + b"GET") == (b"hello", b"GET", True)
    for cut in range(1, len(sent)):
        assert decoded(sent[:cut], sent[cut:]) == (b"hello", b"", True)
    assert decoded(*(bytes([byte]) for byte in sent)) == (b"hello", b"", True)


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=5), st.data())
def test_what_was_cut_into_chunks_and_pieces_is_whole_again(chunks, draw):
    sent = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    cuts = sorted(draw.draw(st.sets(st.integers(0, len(sent)), max_size=4)))
    pieces = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    assert decoded(*pieces) == (b"".join(chunks), b"", True)


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n", b"zz\r\n", b"-1\r\n", b"+5\r\nhello", b"0x5\r\nhello", b" 5\r\nhello", b"5 \r\nhello", b"5\nhello\n",
        b"00000000000000005\r\nhello", b"5;\x00\r\nhello", b"5\r\nhelloworld", b"5\r\nhello\n\n",
        b"4\r\nhello\r\n0\r\n\r\n", b"0\r\nname\r\n\r\n", b"0\r\n: x\r\n\r\n", b"0\r\nx: y\n\r\n",
        b"0\r\n x: y\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_chunk_is_refused(sent):
    with pytest.raises(Refused) as refused:
        decoded(sent)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "sent",
    [
        b"5;" + b"x" * 20_000 + b"\r\nhello\r\n0\r\n\r\n",
        b"5;" + b"x" * 20_000,
        b"1;xxxxxxxxxxxxxxxxxxxxxxxxxxx\r\na\r\n" * 2000,
        b"0\r\n" + b"x: y\r\n" * 5000,
    ],
)
def test_more_beside_the_data_than_gos_bound_is_refused(sent):
    with pytest.raises(Refused, match="too much beside"):
        decoded(sent)


def test_the_smallest_chunks_are_not_too_much():
    sent = b"1\r\na\r\n" * 20_000 + b"0\r\n\r\n"
    assert decoded(sent) == (b"a" * 20_000, b"", True)

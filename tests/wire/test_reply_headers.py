"""Which headers a model can add to its reply."""

from __future__ import annotations

import pytest

from pipeline.errors import WrongAnswer
from pipeline.wire.reply_headers import BODY, TYPE, sendable, with_added

OWN = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("added", "allowed", "sent"),
    [
        ({}, frozenset(), OWN),
        ({"X-Model": "m", "x-n": 1}, frozenset(), {**OWN, "x-model": "m", "x-n": "1"}),
        ({"Content-Type": "text/csv"}, frozenset(), OWN),
        ({"Content-Type": "text/csv"}, TYPE, {"content-type": "text/csv"}),
        ({"content-encoding": "gzip"}, TYPE, OWN),
        ({"content-encoding": "gzip"}, BODY, {**OWN, "content-encoding": "gzip"}),
        ({"Content-Length": "1", "transfer-encoding": "chunked", "connection": "close", "date": "x"}, BODY, OWN),
        ({"inference-header-content-length": "7"}, BODY, OWN),
    ],
)
def test_what_is_the_transports_or_the_codecs_to_say_is_left_out(added, allowed, sent):
    assert with_added(OWN, added, allowed) == sent


@pytest.mark.parametrize(
    "added",
    [
        {"x-a": "1\r\nset-cookie: b"},
        {"x-a": "1\n"},
        {"x a": "1"},
        {"": "1"},
        {"x-a": "ä"},
        {"x-a:": "1"},
        {"x: y": "z"},
    ],
)
def test_what_would_end_its_line_is_the_models_fault(added):
    with pytest.raises(WrongAnswer, match=r"^header .* of the answer is none: a name is a word"):
        with_added(OWN, added)


def test_headers_larger_than_others_read_are_the_models_fault():
    assert len(with_added({}, {"x-a": "1" * 16_000})["x-a"]) == 16_000
    with pytest.raises(WrongAnswer, match='larger than 16384 bytes, at "x-b"'):
        with_added({}, {"x-a": "1" * 10_000, "x-b": "1" * 10_000})
    assert sendable({"x-a": "1", "x: y": "z"}) == {"x-a": "1"}
    assert sendable({"x-a": "1" * 20_000}) == {}

"""What supervisor and workers tell each other, as bytes and back, however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Code, InferError, ModelNotFound, ModelNotReady
from server.channel import (
    Answer,
    Ask,
    AskStop,
    Begin,
    Failure,
    Follow,
    FromWorker,
    Join,
    Lines,
    Made,
    Ready,
    Settled,
    Stop,
    ToWorker,
    Verdict,
    line,
)

FROM = [
    Settled(3, frozenset({"iris"})),
    Ready(),
    Ask(1, "load", "a\nb"),
    AskStop(None),
    AskStop("ValueError: no weights\n"),
]
TO = [
    Stop(),
    Join(),
    Follow(2, {"m": Made(2, "unload")}),
    Begin(1, "load", "m"),
    Verdict(1, Failure("UNAVAILABLE", "é")),
    Answer(7, None),
]


@pytest.mark.parametrize(("kind", "messages"), [(FromWorker, FROM), (ToWorker, TO)])
@given(data=st.data())
def test_messages_come_as_they_were_sent_however_they_are_cut(kind, messages, data):
    rest, came = b"".join(map(line, messages)), []
    lines = Lines(kind)
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        came += lines.fed(rest[:size])
        rest = rest[size:]
    assert came == messages


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ModelNotFound("m"), ModelNotFound),
        (ModelNotReady("m", "no weights"), ModelNotReady),
        (InferError(Code.INTERNAL, "the text"), InferError),
    ],
)
def test_an_error_is_told_elsewhere_in_its_own_words(error, kind):
    again = Failure.of(error).error()
    assert (type(again), again.code, again.message) == (kind, error.code, error.message)

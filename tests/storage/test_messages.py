"""Messages arrive as they were told, however the bytes come, and so do errors."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import errors
from storage.errors import StorageError
from storage.events import Fetched, Found, Kept, Listed, Moved, Unpacking
from storage.messages import Alive, Brought, Failed, Frames, Line, framed, travelling
from storage.pace import Pace
from storage.transfer import Crew

TEXTS = st.text(max_size=20)
MESSAGES = st.one_of(
    st.builds(Listed, TEXTS, st.integers(0), st.none() | st.integers(0), st.integers(0), st.just(Path("work/key"))),
    st.builds(Moved, TEXTS, st.integers(0), st.none() | st.integers(0)),
    st.builds(Fetched, TEXTS, st.integers(0), st.floats(0, 1e9)),
    st.builds(Unpacking, TEXTS, TEXTS),
    st.builds(Found, TEXTS, st.just(Path("m")), st.none() | st.floats(0, 1e9)),
    st.builds(Kept, TEXTS, st.just(Path("work/key"))),
    st.builds(Line, TEXTS, st.integers(0, 50), TEXTS),
    st.builds(Brought, TEXTS, st.frozensets(TEXTS, max_size=3)),
    st.builds(Alive),
)


@given(st.lists(MESSAGES, max_size=6), st.data())
def test_messages_come_whole_and_in_order_however_they_are_cut(messages, data):
    told = b"".join(map(framed, messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(told)), max_size=8)))
    frames, came = Frames(), []
    for start, stop in zip([0, *cuts], [*cuts, len(told)], strict=True):
        came += frames.feed(told[start:stop])
    assert came == messages


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (b"hello from a startup file\n", "a message of 1,751,477,356 bytes, where 16,777,216 are the most"),
        (b"\0\0\0\x05hello", "a message that cannot be read: "),
        (b"\0\0\0\x00", "a message that cannot be read: "),
        (framed({"no": "message"}), "a message of an unknown kind: dict"),
    ],
)
def test_what_is_no_message_is_an_error(told, reason):
    with pytest.raises(StorageError) as caught:
        Frames().feed(told)
    assert str(caught.value).startswith(reason)


KINDS = [own for own in vars(errors).values() if isinstance(own, type) and issubclass(own, StorageError)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_arrives_as_what_it_was(kind):
    (told,) = Frames().feed(framed(Failed(travelling(kind("s3://b/m is not there")))))
    assert (type(told.error), str(told.error)) == (kind, "s3://b/m is not there")


def test_an_error_of_the_system_keeps_its_number_and_place():
    (told,) = Frames().feed(framed(Failed(travelling(PermissionError(13, "Permission denied", "/cache")))))
    assert (type(told.error), told.error.errno, told.error.filename) == (PermissionError, 13, "/cache")


class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


@pytest.mark.parametrize("error", [Odd("this", "that"), RuntimeError(threading.Lock())])
def test_of_an_error_that_cannot_be_told_the_text_is(error):
    told = travelling(error)
    assert (type(told), str(told)) == (StorageError, f"{type(error).__name__}: {error}")


def test_a_crew_keeps_its_pace_on_the_way():
    pace = Pace(1.0)
    came = pickle.loads(pickle.dumps(Crew(pace=pace)))
    assert (came.pace.rate, came.pace.clock) == (1.0, pace.clock)

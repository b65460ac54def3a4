"""How often and how soon."""

import threading
from itertools import pairwise

import pytest

from storage.errors import Cancelled, Denied, Unreachable, Untrusted
from storage.retry import TRIES, delays, insistently
from storage.web import retry_after


def test_waits_grow_and_end():
    waits = list(delays())
    assert len(waits) == TRIES - 1
    assert all(first < second for first, second in pairwise(waits))


@pytest.mark.parametrize("error", [Denied, Untrusted])
def test_what_is_refused_or_speaks_no_tls_is_not_asked_again(error):
    asked = []

    def ask():
        asked.append(1)
        raise error("no")

    with pytest.raises(error):
        insistently(None, ask, threading.Event())
    assert len(asked) == 1


def test_what_cannot_be_reached_is_asked_until_told_not_to():
    cancel = threading.Event()

    def ask():
        cancel.set()
        raise Unreachable("silence")

    with pytest.raises(Cancelled):
        insistently(None, ask, cancel)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 120 ", 120.0),
        ("Mon, 02 Nov 2026 10:00:10 GMT", 10.0),
        ("Mon, 02 Nov 2026 09:00:00 GMT", 0.0),
        ("", 0.0),
        ("soon", 0.0),
        ("-1", 0.0),
    ],
)
def test_retry_after_is_a_number_or_a_date(text, seconds):
    assert retry_after(text, 1793613600.0) == seconds

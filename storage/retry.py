"""How often and how soon a source is asked again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event
from typing import TypeVar

from storage.errors import Busy, Cancelled, Unreachable, Untrusted
from storage.listing import Item
from storage.source import Remote

TRIES = 6
"""In a row, without a byte between them."""
# 0.1 s, 0.2 s … 15 s: object_store's own; and what a server may ask for before that is an outage.
_FIRST, _LONGEST, _LONGEST_ASKED = 0.1, 15.0, 120.0
Given = TypeVar("Given")


def delays() -> Iterator[float]:
    """Seconds before the second try, the third, …"""
    return (min(_FIRST * 2.0**count, _LONGEST) for count in range(TRIES - 1))


def pause(source: Remote, item: Item | None, error: Unreachable, own: float, cancel: Event) -> None:
    """Waits as long as the source asks, or as we would. Raises Cancelled."""
    asked = source.asked_to_wait(item) if isinstance(error, Busy) else 0.0
    if cancel.wait(max(own, min(asked, _LONGEST_ASKED))):
        raise Cancelled


def insistently(source: Remote, ask: Callable[[], Given], cancel: Event) -> Given:
    """What ``ask`` returns, asked until it does not raise Unreachable or has done so too often. Raises Cancelled.

    It is the first question: whom TLS cannot be spoken with now, it has never been spoken with.
    """
    for delay in delays():
        if cancel.is_set():
            raise Cancelled
        try:
            return ask()
        except Untrusted:
            raise
        except Unreachable as error:
            pause(source, None, error, delay, cancel)
    return ask()

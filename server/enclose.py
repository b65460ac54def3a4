"""A reply to an event, as the event it is: with an id of its own, and the time."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable

from pipeline.wire.cloudevents import Event, Sender, Stamp, enclosed
from pipeline.wire.codec import Reply

Enclose = Callable[[Reply, Event, str], Reply]
"""Makes the event of a reply, the event that the call was, and the model's name. Raises InferError."""


def now() -> Stamp:
    return Stamp(str(uuid.uuid4()), datetime.datetime.now(datetime.UTC).isoformat())


def enclose_by(sender: Sender, stamp: Callable[[], Stamp] = now) -> Enclose:
    """As that sender; ``stamp`` makes what is new in each, at the time it is asked."""

    def enclose(reply: Reply, event: Event, model: str) -> Reply:
        return enclosed(reply, event, model, sender, stamp())

    return enclose

"""The clock of connections: one task of a worker ends those that take too long for what they are at.

Precedent: nginx gives a head 60 s, and each part of a body or of a reply 60 s; Apache a head 20 to 40 s, and wants 500
bytes of a body in each second; Kestrel 240, of both. Parts alone are no bound: a byte a second is a part.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import inf

import trio

from server.connected import Connected, Phase

_TICK = 0.5
"""Seconds between two looks; no phase is ended earlier than it should, and none so much later."""
RATE = 500.0
"""Bytes a second: a body or a reply that has moved so many when its time is over has the same time again."""


def patience(keep_alive: float) -> Mapping[Phase, float]:
    """Seconds for each phase."""
    return {
        Phase.SHAKE: 60.0,
        Phase.IDLE: keep_alive,
        Phase.HEAD: 30.0,
        Phase.BODY: 30.0,
        Phase.WORK: inf,
        Phase.SEND: 60.0,
        Phase.LINGER: inf,
        Phase.OTHER: inf,
    }


async def reap(connections: Collection[Connected], allowed: Mapping[Phase, float]) -> None:
    """Ends those of the connections, which come and go, that are overdue. Runs until cancelled; ended ones stay so."""
    while True:
        await trio.sleep(_TICK)
        now = trio.current_time()
        for own in connections:
            _look(own, now, allowed[own.phase])


def _look(own: Connected, now: float, seconds: float) -> None:
    moved = own.moving.received + own.moving.sent if own.moving else 0
    if own.since is None:
        own.since, own.moved = now, moved
        return
    if now - own.since < seconds or own.overdue:
        return
    if own.phase in (Phase.BODY, Phase.SEND) and moved - own.moved >= seconds * RATE:
        own.since, own.moved = now, moved
    else:
        own.expire()

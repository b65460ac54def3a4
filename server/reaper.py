"""The clock of connections: one task of a worker ends those that take too long for what they are at.

Precedent: nginx gives a head 60 s, and each part of a body or of a reply 60 s; Apache a head 20 to 40 s, and wants 500
bytes of a body in each second; Kestrel 240, of both. Parts alone are no bound: a byte a second is a part.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from math import inf

import trio

from server.connected import Connected, Phase

_LOG = logging.getLogger("pipeline_serve")
_TICK = 0.5
"""Seconds between two looks; no phase is ended earlier than it should, and none so much later."""
MOST_OWED = 2**30
"""Bytes of replies that are kept for those who take their time: 16 as large as a body may be at first."""
_TIME_TO_TAKE = 5.0
"""Seconds in which no reply is cut for what others keep."""
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
        if sum(own.owed for own in connections) > MOST_OWED:
            _relieve(connections, now)


def _look(own: Connected, now: float, seconds: float) -> None:
    moved = _moved(own)
    if own.since is None:
        own.since, own.moved = now, moved
        return
    if now - own.since < seconds or own.overdue:
        return
    if own.phase in (Phase.BODY, Phase.SEND) and moved - own.moved >= seconds * RATE:
        own.since, own.moved = now, moved
    else:
        own.expire()


def _relieve(connections: Collection[Connected], now: float) -> None:
    """Ends those that take their replies the slowest, until the others keep no more than they may."""
    owing = [own for own in connections if own.owed and not own.overdue]
    owed = sum(own.owed for own in owing)
    cut = 0
    for own in sorted(owing, key=lambda own: _speed(own, now)):
        if owed > MOST_OWED and own.since is not None and now - own.since >= _TIME_TO_TAKE:
            owed -= own.owed
            own.expire()
            cut += 1
    if cut:
        _LOG.warning("replies kept more than %d bytes; cut the %d that were taken the slowest", MOST_OWED, cut)


def _speed(own: Connected, now: float) -> float:
    """Bytes a second, in the time that it was looked at; who was not yet is the fastest."""
    if own.since is None or now <= own.since:
        return inf
    return (_moved(own) - own.moved) / (now - own.since)


def _moved(own: Connected) -> int:
    return own.moving.received + own.moving.sent if own.moving else 0

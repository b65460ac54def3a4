"""The clock of connections where their replies are many and large: the slowest go first."""

from __future__ import annotations

import trio

from server.connected import Connected, Phase
from server.reaper import MOST_OWED, patience, reap
from tests.server.memory import Memory


def sending(owed: int) -> Connected:
    own = Connected()
    own.moving, own.owed = Memory(), owed
    own.enter(Phase.SEND)
    return own


async def test_where_replies_keep_too_much_the_slowest_are_cut_and_no_more_than_needed(autojump_clock, caplog):
    slow, slower, fast = (sending(MOST_OWED // 2) for _ in range(3))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reap, {slow, slower, fast}, patience(65))
        for _ in range(10):
            await trio.sleep(1)
            slow.moving.sent += 20_000
            slower.moving.sent += 10_000
            fast.moving.sent += 30_000_000
        nursery.cancel_scope.cancel()
    assert [own.overdue for own in (slow, slower, fast)] == [False, True, False]
    assert "cut the 1 that were taken the slowest" in caplog.text


async def test_what_has_been_sent_for_a_moment_is_not_cut(autojump_clock):
    own = sending(2 * MOST_OWED)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reap, {own}, patience(65))
        await trio.sleep(4.9)
        assert not own.overdue
        await trio.sleep(2)
        assert own.overdue
        nursery.cancel_scope.cancel()


async def test_as_much_as_may_be_kept_is(autojump_clock):
    own = sending(MOST_OWED)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reap, {own}, patience(65))
        await trio.sleep(50)
        nursery.cancel_scope.cancel()
    assert not own.overdue

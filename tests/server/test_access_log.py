"""Calls that ended have their lines a moment later, of the moment when they ended, also at the end."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from server.access import Answered
from server.access_log import AccessLog


def call(path: str = "/v2", status: int = 200, when: float = 1_700_000_000.25) -> Answered:
    return Answered("id-1", "GET", path, status, 0.0123, 45, when=when)


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "pipeline_serve.access")
    return caplog


async def test_nothing_is_written_where_a_call_ends_but_a_moment_later(lines, nursery, mock_clock: MockClock):
    log = AccessLog(None, 100)
    nursery.start_soon(log.write)
    await wait_all_tasks_blocked()
    log(call("/first"))
    log(call("/second"))
    await wait_all_tasks_blocked()
    assert lines.messages == []
    mock_clock.jump(0.05)
    await wait_all_tasks_blocked()
    assert lines.messages == ["GET /first 200 12.3 ms 45 B", "GET /second 200 12.3 ms 45 B"]
    assert {record.created for record in lines.records} == {1_700_000_000.25}
    assert {record.msecs for record in lines.records} == {250.0}
    log(call("/third"))
    await wait_all_tasks_blocked()
    mock_clock.jump(0.05)
    await wait_all_tasks_blocked()
    assert lines.messages[2:] == ["GET /third 200 12.3 ms 45 B"]


async def test_at_the_end_what_is_left_is_written(lines):
    log = AccessLog("%(U)s", 100)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.write)
        await wait_all_tasks_blocked()
        log(call("/last"))
        nursery.cancel_scope.cancel()
    assert lines.messages == ["/last"]


async def test_above_its_rate_a_line_says_how_many_it_stands_for(lines):
    log = AccessLog(None, 2)
    for number in range(103):
        log(call(f"/{number}"))
    log(call("/broken", 500))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.write)
        nursery.cancel_scope.cancel()
    assert lines.messages == [
        "GET /0 200 12.3 ms 45 B", "GET /1 200 12.3 ms 45 B", "GET /101 200 12.3 ms 45 B (1 of 100)",
        "GET /broken 500 12.3 ms 45 B",
    ]  # fmt: skip
    assert [record.fields.get("stands_for", 1) for record in lines.records] == [1, 1, 100, 1]

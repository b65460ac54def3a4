"""A task beside an open step: when it ends, and what its owner hears."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from pipeline.steps.meanwhile import meanwhile


class Task:
    def __init__(self):
        self.state = "new"

    async def __call__(self):
        self.state = "runs"
        try:
            await trio.sleep_forever()
        finally:
            self.state = "ended"


async def test_the_task_ends_with_the_context():
    task = Task()
    async with meanwhile(task):
        await wait_all_tasks_blocked()
        assert task.state == "runs"
    assert task.state == "ended"


async def test_what_is_raised_inside_comes_out_as_it_is():
    task = Task()

    async def failing():
        async with meanwhile(task):
            await wait_all_tasks_blocked()
            raise KeyError("own")

    with pytest.raises(KeyError):
        await failing()
    assert task.state == "ended"


async def test_cancelled_from_outside_the_task_has_ended():
    task = Task()
    with trio.CancelScope() as scope:
        async with meanwhile(task):
            await wait_all_tasks_blocked()
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert task.state == "ended"

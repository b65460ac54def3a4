"""Until nothing happens any more, and time that passes only then."""

import trio
import trio.lowlevel
from trio.testing import MockClock, wait_all_tasks_blocked

from pipeline.engine.thread_pool import ThreadPool

STEP = 0.25


async def quiet():
    """Until every task waits for another, or for time: none for a thread, in which a class is made."""
    await wait_all_tasks_blocked()
    while _is_a_thread_awaited():
        await trio.lowlevel.checkpoint()
        await wait_all_tasks_blocked()


async def idle(pool: ThreadPool) -> None:
    """Until every thread of it has ended its work; one that was left tells nobody of that."""
    while pool.busy:
        await trio.lowlevel.checkpoint()


def _is_a_thread_awaited():
    """Each has a limiter of its own, so none can tell of all."""
    tasks = [trio.lowlevel.current_root_task()]
    for task in tasks:
        if any(frame.f_code.co_name == "to_thread_run_sync" for frame, _ in task.iter_await_frames()):
            return True
        tasks += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return False


async def passes(clock: MockClock) -> None:
    """Time passes while nothing else can happen. Not by autojump: to that a thread at work is nothing."""
    while True:
        await quiet()
        clock.jump(STEP)

"""Who is asked, when, and what is told of it; in virtual time."""

import math

import pytest
import trio

from pipeline.steps.readiness import Health, watched


class Other:
    """What is asked: ``reason`` is its answer, "hangs" none, an error raises. ``asked``: when, in virtual seconds."""

    def __init__(self, reason=None):
        self.reason = reason
        self.asked = []

    async def __call__(self):
        self.asked.append(trio.current_time())
        await trio.sleep(math.inf if self.reason == "hangs" else 0)
        if isinstance(self.reason, BaseException):
            raise self.reason
        return self.reason


async def test_it_is_asked_before_anything_goes_on_and_every_second_after(autojump_clock):
    other = Other()
    start = trio.current_time()
    async with watched(other) as known:
        assert (known.ready, known.reason) == (True, None)
        await trio.sleep(3.5)
    assert [moment - start for moment in other.asked] == pytest.approx([0, 1, 2, 3])


async def test_one_that_is_not_ready_is_asked_soon_and_then_seldom(autojump_clock):
    other = Other("loading")
    start = trio.current_time()
    async with watched(other) as known:
        await trio.sleep(20)
        assert (known.ready, known.reason) == (False, "loading")
    assert [moment - start for moment in other.asked] == pytest.approx([0, 0.25, 0.75, 1.75, 3.75, 7.75, 12.75, 17.75])


async def test_a_change_is_told_once_and_who_was_ready_is_asked_soon_again(autojump_clock):
    other = Other()
    told = []
    start = trio.current_time()
    async with watched(other) as known:
        known.on_change = lambda: told.append((round(trio.current_time() - start, 3), known.reason))
        other.reason = "draining"
        await trio.sleep(1.1)
        other.reason = "gone"
        await trio.sleep(0.2)
        other.reason = None
        await trio.sleep(5)
    assert told == [(1, "draining"), (1.75, None)]


async def test_who_does_not_answer_is_not_ready(autojump_clock):
    async with watched(Other("hangs")) as known:
        assert known.reason == "no answer within 2 s"


FAILURES = [RecursionError("too deep"), ExceptionGroup("several", [OSError("gone")])]


@pytest.mark.parametrize("error", FAILURES, ids=["one", "group"])
@pytest.mark.parametrize("when", ["at first", "later"])
async def test_a_question_that_fails_is_a_no_that_tells_why_and_is_asked_again(autojump_clock, error, when):
    other = Other(error if when == "at first" else None)
    async with watched(other) as known:
        other.reason = error
        await trio.sleep(1.5)
        assert (known.ready, known.reason) == (False, f"asking failed with {type(error).__name__}: {error}")
        other.reason = None
        await trio.sleep(5)
        assert known.ready


async def test_what_ends_the_process_is_no_answer(autojump_clock):
    other = Other()

    async def watch():
        async with watched(other):
            other.reason = KeyboardInterrupt()
            await trio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as caught:
        await watch()
    assert caught.group_contains(KeyboardInterrupt)


async def test_what_is_raised_inside_is_raised_as_it_is(autojump_clock):
    with pytest.raises(KeyError, match="own"):
        async with watched(Other()):
            raise KeyError("own")


@pytest.mark.parametrize("reason", [None, "hangs"])
async def test_cancelled_it_ends_without_a_group(autojump_clock, reason):
    other = Other()
    with trio.CancelScope() as scope:
        async with watched(other):
            other.reason = reason
            await trio.sleep(1.5)
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    count = len(other.asked)
    await trio.sleep(10)
    assert len(other.asked) == count


# ---- a model's own word


async def test_who_asks_while_it_is_asked_has_that_answer(autojump_clock, nursery):
    answers, asked = {1: None, 3: "no"}, []

    async def ask():
        asked.append(trio.current_time())
        await trio.sleep(1)
        return answers[len(asked)]

    async def look(after, keep=math.inf):
        await trio.sleep(after)
        with trio.move_on_after(keep):
            await health.look()
            seen.append((round(trio.current_time() - start, 3), health.ready))

    health, start, seen = Health(lambda: True, ask), trio.current_time(), []
    for after in (0, 0.2, 0.9):
        nursery.start_soon(look, after)
    await trio.sleep(2)
    assert seen == [(1, True)] * 3
    # Who asks leaves, and the others want to know still.
    nursery.start_soon(look, 0, 0.5)
    nursery.start_soon(look, 0.1)
    nursery.start_soon(look, 0.4)
    await trio.sleep(2)
    assert seen[3:] == [(3.5, False)] * 2
    assert [moment - start for moment in asked] == pytest.approx([0, 2, 2.5])


async def test_no_answer_in_time_is_one_for_all_who_wait(autojump_clock):
    health = Health(lambda: True, Other("hangs"))
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(health.look)
    assert (trio.current_time() - start, health.ready) == (2.0, False)

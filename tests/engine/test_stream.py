"""An answer that comes in parts: whole in process, watched, and closed however it ends."""

from __future__ import annotations

import pytest
import trio

from pipeline.engine.stream import Stream, parts_of, stream_of, watched, whole
from pipeline.errors import Code, DeadlineExceeded, InvalidInput, WrongAnswer
from pipeline.observe import RequestDone
from pipeline.tensors.message import InferResponse
from pipeline.tensors.tensor import Json, Raw
from pipeline_serve import Step
from tests.engine.graphs import ONE, pipeline


class Source:
    """Parts, each after a second; what it raises at the end, and whether its code was told to end."""

    def __init__(self, *parts, error=None):
        self.parts, self.error, self.closed = parts, error, False

    async def all(self):
        try:
            for part in self.parts:
                await trio.sleep(1)
                yield part
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


def stream(source):
    codes = []
    (raw,) = watched("s", source.all(), codes.append).values()
    return raw.data, codes


async def taken(own, most=99):
    found = []
    try:
        async for part in own:
            found.append(part)
            if len(found) == most:
                break
    finally:
        await own.aclose()
    return found


async def test_text_and_bytes_are_bytes_and_the_end_is_told_once(autojump_clock):
    source = Source("ä", b"b", bytearray(b"c"), memoryview(b"d"))
    own, codes = stream(source)
    assert await taken(own) == ["ä".encode(), b"b", b"c", b"d"]
    await own.aclose()
    assert (codes, source.closed) == ([None], True)


async def test_who_takes_no_more_ends_the_code_of_the_step(autojump_clock):
    source = Source(b"a", b"b", b"c")
    own, codes = stream(source)
    assert await taken(own, 2) == [b"a", b"b"]
    assert (codes, source.closed) == ([Code.CANCELLED], True)


@pytest.mark.parametrize(
    ("source", "kind", "code"),
    [
        (Source(b"a", {"a": 1}), WrongAnswer, Code.INTERNAL),
        (Source(b"a", None), WrongAnswer, Code.INTERNAL),
        (Source(b"a", error=KeyError("x")), KeyError, Code.INTERNAL),
        (Source(b"a", error=InvalidInput("no")), InvalidInput, Code.INVALID_ARGUMENT),
        (Source(b"a", error=SystemExit(1)), WrongAnswer, Code.INTERNAL),
    ],
    ids=["a dict", "None", "a bug", "the callers fault", "an exit"],
)
async def test_what_breaks_it_is_raised_noted_and_told(autojump_clock, source, kind, code):
    own, codes = stream(source)
    with pytest.raises(kind):
        await taken(own)
    assert (codes, source.closed) == ([code], True)


async def test_a_part_of_another_type_is_named_with_its_step(autojump_clock):
    own, _ = stream(Source({"a": 1}))
    with pytest.raises(WrongAnswer, match='step "s" streams a dict; a part of an answer is bytes or text'):
        await taken(own)


async def test_cancelled_it_is_closed(autojump_clock):
    source = Source(b"a", b"b")
    own, codes = stream(source)
    with trio.move_on_after(1.5):
        await taken(own)
    assert (codes, source.closed) == ([Code.CANCELLED], True)


async def test_an_iterator_that_cannot_be_closed_need_not_be():
    class Bare:
        def __aiter__(self):
            return self

        async def __anext__(self):
            raise StopAsyncIteration

    (raw,) = watched("s", Bare(), lambda code: None).values()
    assert await taken(raw.data) == []


def test_it_stands_by_itself():
    parts = Source().all()
    assert parts_of({"s": Raw(parts)}) == ("s", parts)
    assert parts_of({"a": Json(1), "b": Raw(b"x")}) is None
    with pytest.raises(WrongAnswer, match='output "s" is a stream, which is an answer by itself, and there are 2'):
        parts_of({"a": Json(1), "s": Raw(Source().all())})


async def test_whole_joins_the_parts_and_leaves_other_responses_alone(autojump_clock):
    own, codes = stream(Source("a", b"b"))
    joined = await whole(InferResponse(model="m", outputs={"s": Raw(own)}, headers={"x-a": "b"}))
    assert (joined["s"], joined.headers, codes) == (b"ab", {"x-a": "b"}, [None])
    other = InferResponse(model="m", outputs={"s": Json(1)})
    assert await whole(other) is other
    assert stream_of(other) is None


# ---- in a pipeline


def streaming(*parts, error=None, **top):
    source = Source(*parts, error=error)

    async def run(x):
        return Raw(source.all())

    built = pipeline({"s": Step(run=run)}, **top)
    built.observers.append(lambda event: done.append(event) if isinstance(event, RequestDone) else None)
    done = []
    return built, source, done


async def test_in_process_the_answer_is_all_of_its_bytes_and_told_when_the_last_is_there(autojump_clock):
    built, source, done = streaming("a", b"b")
    async with built:
        assert (await built.infer(ONE))["s"] == b"ab"
    assert [own.code for own in done] == [None]
    assert source.closed


async def test_the_deadline_and_the_place_hold_until_the_last_part(autojump_clock):
    built, source, done = streaming(*[b"a"] * 9, deadline="5s", limit=1, queue=0)
    async with built, trio.open_nursery() as nursery:
        places = built.admission

        async def ask():
            with pytest.raises(DeadlineExceeded) as caught:
                await built.infer(ONE)
            assert caught.value.internals == "time was up while its answer was sent"

        nursery.start_soon(ask)
        await trio.sleep(3)
        assert places.try_acquire() is False
        await trio.sleep(3)
        assert places.try_acquire() is True
        places.release()
    assert ([own.code for own in done], source.closed) == ([Code.DEADLINE_EXCEEDED], True)


async def test_what_breaks_a_stream_is_raised_in_process_with_its_step(autojump_clock):
    built, source, done = streaming(b"a", error=KeyError("x"))
    async with built:
        with pytest.raises(KeyError) as caught:
            await built.infer(ONE)
    assert caught.value.__notes__ == ['in step "s"']
    assert ([own.code for own in done], source.closed) == ([Code.INTERNAL], True)


async def test_raw_of_anything_else_is_a_wrong_answer():
    async def run(x):
        return Raw("text")

    async with pipeline({"s": Step(run=run)}) as built:
        with pytest.raises(WrongAnswer, match='step "s" returned Raw of a str; it is of bytes, or'):
            await built.infer(ONE)


async def test_a_stream_that_another_step_reads_is_refused_and_never_begun(autojump_clock):
    source = Source(b"a")

    async def run(x):
        return Raw(source.all())

    async def reads(p):
        return p

    async with pipeline({"s": Step(run=run), "t": Step(run=reads, inputs="s")}) as built:
        with pytest.raises(WrongAnswer, match="got a stream, which can be nothing but the answer of a graph"):
            await built.infer(ONE)
    assert not source.closed


def test_a_stream_says_what_it_is():
    assert Raw(Stream("s", Source().all(), print)).describe() == "a stream"

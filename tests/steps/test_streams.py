"""Iterators that hooks give: streamed from where their code runs, and closed there."""

import asyncio
import threading

import pytest
import trio

from pipeline.errors import WrongAnswer
from pipeline_serve import Model
from tests.steps.model_graphs import Asyncio, asked, graph, streamed


async def test_an_async_generator_is_streamed_and_closed():
    seen = []

    class Streams(Model):
        async def predict(self, payload):
            try:
                for number in range(payload):
                    await trio.lowlevel.checkpoint()
                    yield f"{number}\n"
            finally:
                seen.append("closed")

    async with graph(Streams) as pipeline:
        assert await streamed((await asked(pipeline, 3)).outputs["s0"]) == [b"0\n", b"1\n", b"2\n"]
        stream = (await asked(pipeline, 3)).outputs["s0"].data
        assert await anext(stream) == b"0\n"
        await stream.aclose()
    assert seen == ["closed", "closed"]


async def test_a_generator_is_streamed_from_threads_and_closed_in_one():
    seen = []

    class Streams(Model):
        def predict(self, payload):
            try:
                for number in range(payload):
                    seen.append(threading.current_thread() is threading.main_thread())
                    yield bytearray([number])
            finally:
                seen.append("closed")

    async with graph(Streams) as pipeline:
        assert await streamed((await asked(pipeline, 2)).outputs["s0"]) == [b"\0", b"\1"]
        stream = (await asked(pipeline, 2)).outputs["s0"].data
        await anext(stream)
        await stream.aclose()
    assert seen == [False, False, "closed", False, "closed"]


async def test_a_generator_in_the_middle_of_an_item_is_closed_by_its_thread():
    begun, go_on, closed = trio.Event(), threading.Event(), trio.Event()
    token = trio.lowlevel.current_trio_token()

    class Streams(Model):
        def predict(self, payload):
            try:
                token.run_sync_soon(begun.set)
                go_on.wait(10)
                yield b"x"
            finally:
                token.run_sync_soon(closed.set)

    async with graph(Streams) as pipeline:
        stream = (await asked(pipeline)).outputs["s0"].data
        async with trio.open_nursery() as nursery:
            nursery.start_soon(anext, stream)
            await begun.wait()
            nursery.cancel_scope.cancel()
        await stream.aclose()
        go_on.set()
        await closed.wait()


@pytest.mark.parametrize("postprocess", [True, False])
async def test_postprocess_sees_the_generator(postprocess):
    class Streams(Model):
        async def predict(self, payload):
            yield "a"
            yield "b"

    class Wraps(Streams):
        async def postprocess(self, result):
            async for chunk in result:
                yield chunk.upper()

    async with graph(Wraps if postprocess else Streams) as pipeline:
        chunks = await streamed((await asked(pipeline)).outputs["s0"])
    assert b"".join(chunks) == (b"AB" if postprocess else b"ab")


async def test_a_chunk_that_is_none_is_told():
    class Streams(Model):
        async def predict(self, payload):
            yield {"a": 1}

    async with graph(Streams) as pipeline:
        with pytest.raises(WrongAnswer, match='step "s0" streams a dict; a part of an answer is bytes or text'):
            await streamed((await asked(pipeline)).outputs["s0"])


async def test_a_synchronous_generator_has_asyncios_loop_while_it_makes_an_item():
    class Streams(Asyncio):
        def predict(self, payload):
            for number in range(payload):
                yield asyncio.get_running_loop().run_until_complete(text(number))

    async def text(number):
        return str(number)

    async with graph(Streams) as pipeline:
        assert await streamed((await asked(pipeline, 2)).outputs["s0"]) == [b"0", b"1"]


async def test_a_generator_on_asyncio_is_streamed_from_there():
    class Streams(Asyncio):
        async def predict(self, payload):
            for number in range(payload):
                await asyncio.sleep(0)
                yield str(number)

    async with graph(Streams) as pipeline:
        assert await streamed((await asked(pipeline, 3)).outputs["s0"]) == [b"0", b"1", b"2"]

"""The pipeline's types as its users see them: the blocking face keeps signatures. Never run."""

from typing import assert_type

from pipeline_serve import BlockingPipeline, InferResponse, Pipeline


async def ask(pipeline: Pipeline) -> None:
    assert_type(await pipeline.infer({"x": 1}, timeout="1s"), InferResponse)
    assert_type(pipeline.blocking(), BlockingPipeline)
    async with pipeline as opened:
        assert_type(opened, Pipeline)


def block(pipeline: BlockingPipeline) -> None:
    assert_type(pipeline.infer({"x": 1}, outputs=["y"], timeout="1s", verb="explain", id=7), InferResponse)
    assert_type(pipeline.name, str)
    assert_type(pipeline.open(), BlockingPipeline)
    with pipeline as opened:
        assert_type(opened, BlockingPipeline)
    pipeline.infer()  # type: ignore[call-arg]
    pipeline.infer({}, time=1)  # type: ignore[call-arg]

"""The client's types as its users see them: the blocking face keeps signatures. Never run."""

from typing import assert_type

from pipeline_serve import BlockingClient, Client, InferResponse, ModelMetadata, ServerMetadata


async def ask(client: Client) -> None:
    assert_type(await client.infer("m", {"x": 1}, timeout="1s"), InferResponse)
    assert_type(await client.metadata(), ServerMetadata)
    assert_type(await client.metadata("m", 2), ModelMetadata)
    assert_type(client.blocking(), BlockingClient)


def block(client: BlockingClient) -> None:
    assert_type(client.infer("m", {"x": 1}, timeout="1s", version=2), InferResponse)
    assert_type(client.ready("m"), bool)
    assert_type(client.models(), tuple[str, ...])
    assert_type(client.metadata(), ServerMetadata)
    assert_type(client.metadata("m"), ModelMetadata)
    client.infer("m")  # type: ignore[call-arg]
    client.infer("m", {}, time=1)  # type: ignore[call-arg]

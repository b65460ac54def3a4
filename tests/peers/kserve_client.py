"""Calls of KServe's own ``InferenceRESTClient``, version 1 and 2, as its users write them.

Needs the packages of kserve.txt, and a server of the graphs in tests/conformance/test_kserve_client.py.
"""

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, InferResponse, RESTConfig
from kserve.errors import UnsupportedProtocol
from kserve.protocol.infer_type import RequestedOutput

ROWS = [[1.0, 2.5], [3.0, -4.0]]
DATATYPES = {
    "BOOL": np.array([[True, False]]),
    **{f"INT{bits}": np.array([[-(2 ** (bits - 1)), 2 ** (bits - 1) - 1]], f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": np.array([[0, 2**bits - 1]], f"uint{bits}") for bits in (8, 16, 32, 64)},
    "FP32": np.array([[0.1, 3e38]], np.float32),
    "FP64": np.array([[0.1, 1e308]], np.float64),
    "BYTES": np.array([[b"text", "ä".encode()]], np.object_),
}


def v1(**how):
    return InferenceRESTClient(RESTConfig(protocol="v1", **how))


def v2(**how):
    return InferenceRESTClient(RESTConfig(protocol="v2", **how))


def tensor(name, array, datatype, *, binary):
    sent = InferInput(name=name, shape=list(array.shape), datatype=datatype)
    sent.set_data_from_numpy(array, binary_data=binary)
    return sent


def request(array, datatype, *, binary=False, **how):
    inputs = [tensor("x", array, datatype, binary=binary)]
    return InferRequest(model_name="echo", infer_inputs=inputs, **how)


async def refused(status, says, call):
    try:
        await call
    except httpx.HTTPStatusError as error:
        assert error.response.status_code == status, error
        assert says in str(error), error
    else:
        raise AssertionError(f"expected {status} {says!r}, got a reply")


# ---- version 1


async def case_v1_infer(url):
    async with v1() as client:
        assert await client.infer(url, {"instances": ROWS}, model_name="echo") == {"predictions": ROWS}


async def case_v1_infer_of_records_and_of_columns(url):
    async with v1() as client:
        records = {"instances": [{"a": [1.0], "b": [2.0]}, {"a": [3.0], "b": [4.0]}]}
        assert await client.infer(url, records, model_name="adds") == {"predictions": [[3.0], [7.0]]}
        columns = {"inputs": {"a": [[1.0]], "b": [[2.0]]}}
        assert await client.infer(url, columns, model_name="adds") == {"outputs": [[3.0]]}


async def case_v1_infer_with_headers(url):
    came: dict[str, str] = {}
    async with v1() as client:
        headers = {"x-request-id": "mine-7", "content-type": "application/json; charset=utf-8"}
        reply = await client.infer(
            url, {"instances": ROWS}, model_name="echo", headers=headers, response_headers=came, timeout=30
        )
    assert reply == {"predictions": ROWS}
    assert came["x-request-id"] == "mine-7"


async def case_v1_server_live(url):
    async with v1() as client:
        assert await client.is_server_live(url) is True


async def case_v1_has_no_server_ready_as_the_client_says_itself(url):
    async with v1() as client:
        try:
            await client.is_server_ready(url)
        except UnsupportedProtocol:
            return
    raise AssertionError("the client asked")


async def case_v1_model_ready(url):
    async with v1() as client:
        assert await client.is_model_ready(url, "echo") is True
        assert await client.is_model_ready(url, "breaks") is False
        await refused(404, "Model with name nope does not exist.", client.is_model_ready(url, "nope"))


async def case_v1_errors(url):
    async with v1() as client:
        await refused(404, "Model with name nope does not exist.", client.infer(url, {"instances": []}, "nope"))
        await refused(503, "Model with name breaks is not ready.", client.infer(url, {"instances": []}, "breaks"))
        await refused(400, 'Expected "instances" to be a list', client.infer(url, {"instances": 1}, "echo"))
        await refused(400, 'Expected "instances" or "inputs"', client.infer(url, {"rows": []}, "echo"))
        await refused(400, "row", client.infer(url, {"instances": [[1], [1, 2]]}, "echo"))
        await refused(400, "the words of the author", client.infer(url, {"instances": [1]}, "refuses"))


async def case_v1_explain_of_a_model_that_cannot(url):
    async with v1() as client:
        await refused(501, "Could not find explainer_host.", client.explain(url, "echo", {"instances": ROWS}))
        await refused(404, "Model with name nope does not exist.", client.explain(url, "nope", {"instances": ROWS}))


async def case_v1_as_a_graph_endpoint(url):
    async with v1() as client:
        whole = f"{url}/v1/models/echo:predict"
        assert await client.infer(whole, {"instances": ROWS}, is_graph_endpoint=True) == {"predictions": ROWS}


# ---- version 2


async def case_v2_server_live_and_ready(url):
    async with v2() as client:
        assert await client.is_server_live(url) is True
        assert await client.is_server_ready(url) is True


async def case_v2_model_ready(url):
    async with v2() as client:
        assert await client.is_model_ready(url, "echo") is True
        assert await client.is_model_ready(url, "breaks") is False
        assert await client.is_model_ready(url, "nope") is False


async def case_v2_infer_of_a_dict(url):
    sent = {"id": "7", "inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP64", "data": ROWS}]}
    async with v2() as client:
        reply = await client.infer(url, sent, model_name="echo")
    assert isinstance(reply, InferResponse)
    assert (reply.id, reply.model_name) == ("7", "echo")
    np.testing.assert_array_equal(reply.outputs[0].as_numpy(), ROWS)


async def every_datatype(url, *, binary, parameters):
    async with v2() as client:
        for datatype, array in DATATYPES.items():
            sent = request(array, datatype, binary=binary, request_id=datatype, parameters=parameters)
            reply = await client.infer(url, sent, model_name="echo")
            (output,) = reply.outputs
            assert (reply.id, output.name, output.datatype) == (datatype, "x", datatype)
            came = output.as_numpy()
            if datatype == "BYTES":
                came = np.array([each if isinstance(each, bytes) else each.encode() for each in came.ravel()], object)
            np.testing.assert_array_equal(came.reshape(array.shape), array)


async def case_v2_every_datatype_in_json(url):
    await every_datatype(url, binary=False, parameters=None)


async def case_v2_every_datatype_in_binary(url):
    await every_datatype(url, binary=True, parameters={"binary_data_output": True})


async def case_v2_every_datatype_sent_in_binary_and_answered_in_json(url):
    await every_datatype(url, binary=True, parameters={"note": "json"})


async def case_v2_fp16_in_binary(url):
    array = np.array([0.5, 65504], np.float16)
    async with v2() as client:
        sent = request(array, "FP16", binary=True, parameters={"binary_data_output": True})
        reply = await client.infer(url, sent, model_name="echo")
    np.testing.assert_array_equal(reply.outputs[0].as_numpy(), array)


async def case_v2_bytes_that_are_no_text_reach_the_model(url):
    """The client itself cannot read such bytes in a reply."""
    sent = request(np.array([b"\xff\xfe", b"\x80"], object), "BYTES", binary=True)
    async with v2() as client:
        reply = await client.infer(url, sent, model_name="sizes")
    assert reply.outputs[0].data == [2, 1]


async def case_v2_outputs(url):
    array = np.ones((1, 2), np.float32)
    inputs = [tensor(name, array, "FP32", binary=name == "a") for name in "ab"]
    wanted = [RequestedOutput("product", {"binary_data": True}), RequestedOutput("sum", {"binary_data": False})]
    sent = InferRequest(model_name="both", infer_inputs=inputs, request_outputs=wanted)
    async with v2() as client:
        reply = await client.infer(url, sent, model_name="both")
    assert [output.name for output in reply.outputs] == ["product", "sum"]
    np.testing.assert_array_equal(reply.outputs[0].as_numpy(), array)
    np.testing.assert_array_equal(reply.outputs[1].as_numpy(), array * 2)


async def case_v2_without_elements(url):
    async with v2() as client:
        sent = request(np.zeros((0, 3), np.float32), "FP32", binary=True, parameters={"binary_data_output": True})
        reply = await client.infer(url, sent, model_name="echo")
    assert reply.outputs[0].shape == [0, 3]


async def case_v2_errors(url):
    async with v2() as client:
        good = request(np.ones(1, np.float32), "FP32")
        await refused(404, "Model with name nope does not exist.", client.infer(url, good, model_name="nope"))
        await refused(503, "Model with name breaks is not ready.", client.infer(url, good, model_name="breaks"))
        await refused(400, "the words of the author", client.infer(url, good, model_name="refuses"))
        await refused(400, "inputs", client.infer(url, {"inputs": 1}, model_name="echo"))
        wrong = {"inputs": [{"name": "x", "shape": [3], "datatype": "FP32", "data": [1]}]}
        await refused(400, 'input "x" (FP32[3])', client.infer(url, wrong, model_name="echo"))


async def case_v2_has_no_explain_as_the_client_says_itself(url):
    async with v2() as client:
        try:
            await client.explain(url, "echo", {})
        except UnsupportedProtocol:
            return
    raise AssertionError("the client asked")

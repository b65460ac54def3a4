"""Calls of NVIDIA's ``tritonclient.http`` as its users write them.

Needs the packages of tritonclient.txt, and a server of the graphs in tests/conformance/test_tritonclient.py.
"""

import asyncio
import json

import ml_dtypes
import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

ARRAYS = {
    "BOOL": np.array([[True, False], [False, True]]),
    **{f"INT{bits}": np.array([[-(2 ** (bits - 1)), -1], [0, 2 ** (bits - 1) - 1]], f"int{bits}")
       for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": np.array([[0, 1], [2, 2**bits - 1]], f"uint{bits}") for bits in (8, 16, 32, 64)},
    "FP16": np.array([[0.5, -2], [65504, 6e-8]], np.float16),
    "BF16": np.array([[0.5, -2], [3e38, 1e-38]], ml_dtypes.bfloat16),
    "FP32": np.array([[0.1, -2], [3e38, 1e-45]], np.float32),
    "FP64": np.array([[0.1, -2], [1e308, 5e-324]], np.float64),
    "BYTES": np.array([["text", "ä€😀"], ["", "a\0b"]], np.object_),
}  # fmt: skip
NOT_TEXT = np.array([b"\xff\xfe\x00", b"", b"\x80" * 300], np.object_)


def client_of(url, **how):
    return triton.InferenceServerClient(url.removeprefix("http://"), **how)


def tensor(name, array, *, binary=True):
    sent = triton.InferInput(name, list(array.shape), triton.np_to_triton_dtype(array.dtype))
    return sent.set_data_from_numpy(array, binary_data=binary)


def wanted(name, *, binary):
    return triton.InferRequestedOutput(name, binary_data=binary)


def ask(url, array, *, binary=True, back=None, model="echo", **how):
    """The output of a model that gives back what it got; ``back``: in binary or not, None for the client's way."""
    outputs = None if back is None else [wanted("x", binary=back)]
    with client_of(url) as client:
        return client.infer(model, [tensor("x", array, binary=binary)], outputs=outputs, **how)


def same(came, sent):
    if sent.dtype == np.object_:
        as_bytes = [each if isinstance(each, bytes) else each.encode() for each in came.ravel()]
        assert as_bytes == [each if isinstance(each, bytes) else each.encode() for each in sent.ravel()]
    else:
        assert came.dtype == sent.dtype, (came.dtype, sent.dtype)
        np.testing.assert_array_equal(came, sent)
    assert came.shape == sent.shape


def entry(result, name="x"):
    return result.get_output(name)


def refused(status, says, call, *arguments, **how):
    try:
        call(*arguments, **how)
    except InferenceServerException as error:
        assert error.status() == status, error
        assert says in error.message(), error
    else:
        raise AssertionError(f"expected {status} {says!r}, got a reply")


# ---- health and metadata


def case_server_live(url):
    with client_of(url) as client:
        assert client.is_server_live() is True


def case_server_ready(url):
    with client_of(url) as client:
        assert client.is_server_ready() is True


def case_model_ready(url):
    with client_of(url) as client:
        assert client.is_model_ready("echo") is True
        assert client.is_model_ready("versions", "1") is True


def case_a_model_that_did_not_load_or_is_not_there_is_not_ready(url):
    with client_of(url) as client:
        assert client.is_model_ready("breaks") is False
        assert client.is_model_ready("nope") is False
        assert client.is_model_ready("versions", "7") is False


def case_server_metadata(url):
    with client_of(url) as client:
        metadata = client.get_server_metadata()
    assert list(metadata) == ["name", "version", "extensions"]
    assert "binary_tensor_data" in metadata["extensions"]


def case_model_metadata(url):
    with client_of(url) as client:
        metadata = client.get_model_metadata("declared")
        assert client.get_model_metadata("versions", "1")["versions"] == ["1", "2"]
    assert metadata["name"] == "declared"
    assert metadata["inputs"] == [
        {"name": "a", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "b", "datatype": "FP32", "shape": [-1, 2]},
    ]
    assert [output["name"] for output in metadata["outputs"]] == ["sum", "product"]


def case_metadata_of_no_model(url):
    with client_of(url) as client:
        refused("404", "Model with name nope does not exist.", client.get_model_metadata, "nope")
        refused("404", "version 7", client.get_model_metadata, "versions", "7")


# ---- tensors, both ways


def case_every_datatype_in_binary_both_ways(url):
    for datatype, array in ARRAYS.items():
        result = ask(url, array)
        assert "data" not in entry(result), datatype
        same(result.as_numpy("x"), array)


def case_every_datatype_in_json_both_ways(url):
    for datatype, array in ARRAYS.items():
        if datatype == "BF16":  # the client sends it in binary only
            continue
        result = ask(url, array, binary=False, back=False)
        assert "data" in entry(result), datatype
        same(result.as_numpy("x"), array)


def case_every_datatype_sent_in_binary_and_answered_in_json(url):
    for datatype, array in ARRAYS.items():
        result = ask(url, array, back=False)
        assert "data" in entry(result), datatype
        same(result.as_numpy("x"), array)


def case_every_datatype_sent_in_json_and_answered_in_binary(url):
    for datatype, array in ARRAYS.items():
        if datatype != "BF16":
            result = ask(url, array, binary=False, back=True)
            assert "data" not in entry(result), datatype
            same(result.as_numpy("x"), array)


def case_bytes_that_are_no_text(url):
    same(ask(url, NOT_TEXT).as_numpy("x"), NOT_TEXT)


def case_bytes_that_are_no_text_asked_for_in_json(url):
    refused("400", "not UTF-8", ask, url, NOT_TEXT, back=False)


def case_bytes_of_numpys_own_type(url):
    same(ask(url, np.array([b"ab", b"cde"])).as_numpy("x"), np.array([b"ab", b"cde"], np.object_))


def case_an_image_sized_bytes_element(url):
    pixels = np.array([bytes(range(256)) * 8192], np.object_)
    same(ask(url, pixels).as_numpy("x"), pixels)


def case_no_elements(url):
    for array in ARRAYS.values():
        empty = array[:0]
        same(ask(url, empty).as_numpy("x"), empty)


def case_no_elements_in_json(url):
    empty = np.zeros((2, 0, 3), np.float32)
    same(ask(url, empty, binary=False, back=False).as_numpy("x"), empty)


def case_no_dimensions(url):
    for binary in (True, False):
        same(ask(url, np.array(7, np.int32), binary=binary, back=binary).as_numpy("x"), np.array(7, np.int32))


def case_eight_dimensions(url):
    array = np.arange(2**8, dtype=np.int16).reshape((2,) * 8)
    for binary in (True, False):
        same(ask(url, array, binary=binary, back=binary).as_numpy("x"), array)


def case_a_large_tensor(url):
    array = np.arange(3 * 1024 * 1024, dtype=np.float32).reshape(3, 1024, 1024)
    same(ask(url, array).as_numpy("x"), array)


def case_nan_and_infinity_in_binary(url):
    same(ask(url, np.array([np.nan, np.inf, -np.inf], np.float32)).as_numpy("x"),
         np.array([np.nan, np.inf, -np.inf], np.float32))  # fmt: skip


def case_json_and_binary_in_one_request_and_one_reply(url):
    a, b = np.array([[1, 2]], np.float32), np.array([[3, 4]], np.float32)
    for first, second in ((True, False), (False, True)):
        inputs = [tensor("a", a, binary=first), tensor("b", b, binary=second)]
        outputs = [wanted("sum", binary=second), wanted("product", binary=first)]
        with client_of(url) as client:
            result = client.infer("declared", inputs, outputs=outputs)
        assert ("data" in entry(result, "sum"), "data" in entry(result, "product")) == (not second, not first)
        same(result.as_numpy("sum"), a + b)
        same(result.as_numpy("product"), a * b)


# ---- outputs


def both(url, **how):
    ones = np.ones((1, 2), np.float32)
    with client_of(url) as client:
        return client.infer("declared", [tensor("a", ones), tensor("b", ones)], **how)


def names_of(result):
    return [output["name"] for output in result.get_response()["outputs"]]


def case_all_outputs_where_none_is_named(url):
    assert names_of(both(url)) == ["sum", "product"]


def case_the_outputs_that_are_named_in_their_order(url):
    assert names_of(both(url, outputs=[wanted("product", binary=True)])) == ["product"]
    assert names_of(both(url, outputs=[wanted(name, binary=True) for name in ("product", "sum")])) == ["product", "sum"]


def case_an_output_that_is_not_there(url):
    refused("400", "Unexpected inference output 'nope' for model 'declared'",
            both, url, outputs=[wanted("nope", binary=True)])  # fmt: skip
    assert both(url).as_numpy("nope") is None


# ---- what comes with a request


def case_request_id(url):
    assert ask(url, np.ones(1), request_id="mine-7").get_response()["id"] == "mine-7"
    assert ask(url, np.ones(1)).get_response()["id"]


def case_model_and_version_of_the_reply(url):
    for version, answers in (("", ("2", 2)), ("1", ("1", 1)), ("2", ("2", 2))):
        result = ask(url, np.ones(1), model="versions", model_version=version)
        reply = result.get_response()
        assert (reply["model_name"], reply["model_version"]) == ("versions", answers[0])
        assert result.as_numpy("answer").item() == answers[1]


def seen(result):
    return json.loads(result.as_numpy("seen").item())


def case_parameters_reach_the_step(url):
    given = {"temperature": 0.5, "count": 3, "flag": True, "text": "ä"}
    came = seen(ask(url, np.ones(1), model="seen", parameters=given))["parameters"]
    assert came == {**given, "binary_data_output": True}


def case_sequence_and_priority_are_parameters(url):
    how = {"sequence_id": 9, "sequence_start": True, "priority": 2}
    came = seen(ask(url, np.ones(1), model="seen", **how))["parameters"]
    assert {name: came[name] for name in how} == how
    assert came["sequence_end"] is False
    assert seen(ask(url, np.ones(1), model="seen", sequence_id="text"))["parameters"]["sequence_id"] == "text"


def case_headers_reach_the_step(url):
    assert seen(ask(url, np.ones(1), model="seen", headers={"X-Tenant": "blue"}))["tenant"] == "blue"


def case_query_parameters_do_no_harm(url):
    same(ask(url, np.ones(2), query_params={"a": "ä&b", "list": [1, 2]}).as_numpy("x"), np.ones(2))
    with client_of(url) as client:
        assert client.is_server_live(query_params={"a": "b"})


def case_a_timeout_in_microseconds(url):
    refused("504", "", ask, url, np.ones(1), model="waits", timeout=50_000)
    same(ask(url, np.ones(1), timeout=30_000_000).as_numpy("x"), np.ones(1))
    same(ask(url, np.ones(1), timeout=0).as_numpy("x"), np.ones(1))


# ---- compression


def compressible(*, binary):
    return np.zeros((100, 100), np.float32) if binary else np.ones(2000, np.int32)


def case_a_request_in_gzip(url):
    for binary in (True, False):
        array = compressible(binary=binary)
        same(ask(url, array, binary=binary, request_compression_algorithm="gzip").as_numpy("x"), array)


def case_a_request_in_deflate(url):
    for binary in (True, False):
        array = compressible(binary=binary)
        same(ask(url, array, binary=binary, request_compression_algorithm="deflate").as_numpy("x"), array)


class Watched(triton.InferenceServerClient):
    """The client, and the codings of what it got: its results do not tell."""

    def _post(self, *arguments, **how):
        reply = super()._post(*arguments, **how)
        self.coding = reply.get("Content-Encoding")
        return reply


def compressed(url, coding):
    for binary in (True, False):
        array = compressible(binary=binary)
        with Watched(url.removeprefix("http://")) as client:
            result = client.infer(
                "echo", [tensor("x", array, binary=binary)], outputs=[wanted("x", binary=binary)],
                request_compression_algorithm=coding, response_compression_algorithm=coding,
            )  # fmt: skip
            assert client.coding == coding
        same(result.as_numpy("x"), array)


def case_a_reply_in_gzip(url):
    compressed(url, "gzip")


def case_a_reply_in_deflate(url):
    compressed(url, "deflate")


def case_an_error_asked_for_in_gzip(url):
    refused("404", "does not exist", ask, url, np.ones(1), model="nope", response_compression_algorithm="gzip")


# ---- many at once


def case_async_infer(url):
    arrays = [np.full((2, 2), number, np.int64) for number in range(20)]
    with client_of(url, concurrency=4) as client:
        asked = [client.async_infer("echo", [tensor("x", array)], request_id=str(array[0, 0])) for array in arrays]
        results = [request.get_result() for request in asked]
    for array, result in zip(arrays, results, strict=True):
        assert result.get_response()["id"] == str(array[0, 0])
        same(result.as_numpy("x"), array)


def case_async_infer_that_is_refused(url):
    with client_of(url, concurrency=2) as client:
        asked = client.async_infer("nope", [tensor("x", np.ones(1))])
        refused("404", "Model with name nope does not exist.", asked.get_result)
        assert client.is_server_live()


async def case_asyncio(url):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    async with triton_aio.InferenceServerClient(url.removeprefix("http://")) as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("echo")
        assert not await client.is_model_ready("nope")
        assert (await client.get_model_metadata("echo"))["name"] == "echo"
        results = await asyncio.gather(*(client.infer("echo", [tensor("x", array + n)]) for n in range(10)))
    for number, result in enumerate(results):
        same(result.as_numpy("x"), array + number)


async def case_asyncio_json_bytes_and_gzip(url):
    async with triton_aio.InferenceServerClient(url.removeprefix("http://")) as client:
        result = await client.infer("echo", [tensor("x", NOT_TEXT)])
        same(result.as_numpy("x"), NOT_TEXT)
        for coding in ("gzip", "deflate"):
            array = compressible(binary=False)
            result = await client.infer(
                "echo", [tensor("x", array, binary=False)], outputs=[wanted("x", binary=False)],
                request_compression_algorithm=coding, response_compression_algorithm=coding,
            )  # fmt: skip
            same(result.as_numpy("x"), array)


async def case_asyncio_errors(url):
    async with triton_aio.InferenceServerClient(url.removeprefix("http://")) as client:
        try:
            await client.infer("nope", [tensor("x", np.ones(1))])
        except InferenceServerException as error:
            assert (error.status(), error.message()) == ("404", "Model with name nope does not exist.")
        else:
            raise AssertionError("no error")


def case_a_request_body_made_and_a_reply_read_by_the_clients_own_functions(url):
    """How users send through another HTTP library."""
    array = np.array([[1, 2]], np.int32)
    body, length = triton.InferenceServerClient.generate_request_body([tensor("x", array)])
    with client_of(url) as client:
        reply = client._post("v2/models/echo/infer", body, {"Inference-Header-Content-Length": length}, None)
        assert reply.status_code == 200
        assert reply.get("Content-Type") == "application/octet-stream"
        header = int(reply.get("Inference-Header-Content-Length"))
        result = triton.InferenceServerClient.parse_response_body(reply.read(), header_length=header)
    same(result.as_numpy("x"), array)


# ---- errors


def case_a_model_that_is_not_there(url):
    refused("404", "Model with name nope does not exist.", ask, url, np.ones(1), model="nope")
    refused("404", "version 7", ask, url, np.ones(1), model="versions", model_version="7")


def case_a_model_that_did_not_load(url):
    refused("503", "Model with name breaks is not ready.", ask, url, np.ones(1), model="breaks")


def declared(url, *inputs):
    with client_of(url) as client:
        return client.infer("declared", list(inputs))


def case_a_wrong_shape(url):
    good, wide = np.ones((1, 2), np.float32), np.ones((1, 3), np.float32)
    for binary in (True, False):
        refused("400", 'input "b"', declared, url, tensor("a", good), tensor("b", wide, binary=binary))


def case_a_wrong_datatype(url):
    good = np.ones((1, 2), np.float32)
    for binary in (True, False):
        refused("400", 'input "b"', declared, url, tensor("a", good),
                tensor("b", good.astype(np.int64), binary=binary))  # fmt: skip


def case_a_missing_input(url):
    refused("400", '"b"', declared, url, tensor("a", np.ones((1, 2), np.float32)))


def case_an_input_that_nobody_reads(url):
    good = np.ones((1, 2), np.float32)
    refused("400", '"c"', declared, url, *(tensor(name, good) for name in "abc"))


def case_a_shape_that_is_not_that_of_the_data(url):
    sent = tensor("x", np.ones((2, 2), np.float32)).set_shape([2, 3])
    with client_of(url) as client:
        refused("400", 'input "x" (FP32[2,3])', client.infer, "echo", [sent])


def case_what_a_step_raises(url):
    refused("400", "the words of the author", ask, url, np.ones(1), model="refuses")
    with client_of(url) as client:
        try:
            client.infer("bug", [tensor("x", np.ones(1))])
        except InferenceServerException as error:
            assert error.status() == "500"
            assert "the secret" not in error.message()
        assert client.is_server_live()  # on the same connection


# ---- the model repository


def states_in(index):
    return {entry["name"]: entry["state"] for entry in index}


def case_the_index_of_the_repository(url):
    with client_of(url) as client:
        index = client.get_model_repository_index()
    assert all(set(entry) == {"name", "version", "state", "reason"} for entry in index)
    assert (states_in(index)["echo"], states_in(index)["breaks"]) == ("READY", "UNAVAILABLE")
    assert "the weights are missing" in {entry["name"]: entry["reason"] for entry in index}["breaks"]
    assert sorted(entry["version"] for entry in index if entry["name"] == "versions") == ["1", "2"]


def case_loading_and_unloading(url):
    with client_of(url) as client:
        client.load_model("changes")
        assert client.is_model_ready("changes")
        client.unload_model("changes")
        assert not client.is_model_ready("changes")
        assert states_in(client.get_model_repository_index())["changes"] == "UNAVAILABLE"
        refused("404", "Model with name changes does not exist.", client.unload_model, "changes")
        client.load_model("changes")
        same(ask(url, np.ones(2), model="changes").as_numpy("x"), np.ones(2))
        client.unload_model("changes", unload_dependents=True)
        client.load_model("changes")


def case_a_load_that_is_refused(url):
    with client_of(url) as client:
        refused("404", "Model with name nope does not exist.", client.load_model, "nope")
        refused("503", "the weights are missing", client.load_model, "breaks")
        refused("400", 'parameter "config"', client.load_model, "changes", config="{}")
        refused("400", "leave the parameter out", client.load_model, "changes", config="{}", files={"file:1/x": b"x"})


async def case_asyncio_loading_and_unloading(url):
    async with triton_aio.InferenceServerClient(url.removeprefix("http://")) as client:
        await client.load_model("changes_too")
        assert states_in(await client.get_model_repository_index())["changes_too"] == "READY"
        await client.unload_model("changes_too")
        assert not await client.is_model_ready("changes_too")


# ---- what Triton has beyond the protocol's base


def case_shared_memory_is_a_400(url):
    sent = triton.InferInput("x", [1], "FP32")
    sent.set_shared_memory("region", 4)
    with client_of(url) as client:
        refused("400", 'input "x" is in shared memory', client.infer, "echo", [sent])


def case_extensions_that_are_not_named_in_the_metadata_are_a_404_that_the_client_can_read(url):
    with client_of(url) as client:
        named = client.get_server_metadata()["extensions"]
        calls = {
            "model_configuration": lambda: client.get_model_config("echo"),
            "model_repository": client.get_model_repository_index,
            "statistics": client.get_inference_statistics,
            "trace": client.get_trace_settings,
            "logging": client.get_log_settings,
            "system_shared_memory": client.get_system_shared_memory_status,
            "cuda_shared_memory": client.get_cuda_shared_memory_status,
        }
        for extension, call in calls.items():
            if extension in named:
                call()
            else:
                refused("404", "", call)

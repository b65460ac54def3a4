"""Models in KServe's API, as its users write them: ``models.py --http_port N --model_dir FOLDER --behind HOST:PORT``.

The text is run under KServe as it stands, and under us with its import lines changed.
"""

# ruff: noqa: C901, I001, PTH110, PTH118, PTH123, RUF012  # as people write it

import argparse
import asyncio
import json
import os
import time

import numpy as np
from kserve import InferInput, InferOutput, InferRequest, InferResponse, Model, ModelRepository, ModelServer
from kserve import logging, model_server
from kserve.errors import (
    InferenceError,
    InvalidInput,
    ModelNotFound,
    ModelNotReady,
    ServerNotLive,
    ServerNotReady,
    UnsupportedProtocol,
)
from kserve.logging import logger
from kserve.model import InferenceVerb, PredictorConfig, PredictorProtocol
from kserve.protocol.grpc.grpc_predict_v2_pb2 import InferTensorContents, ModelInferRequest
from kserve.utils.numpy_codec import from_np_dtype
from kserve.utils.utils import generate_uuid, get_predict_input, get_predict_response

HEARD = ("x-request-id", "x-own", "content-type", "authorization")


class Loaded(Model):
    def __init__(self, name, return_response_headers=False):
        super().__init__(name, return_response_headers)
        self.load()


class Doubles(Loaded):
    """Synchronous; both versions by KServe's own helpers."""

    def preprocess(self, payload, headers=None):
        return payload

    def predict(self, payload, headers=None):
        return get_predict_response(payload, get_predict_input(payload) * 2, self.name)


class Gathers(Loaded):
    """Every hook async, each with something only asyncio has."""

    async def preprocess(self, payload, headers=None):
        await asyncio.sleep(0)
        return payload

    async def predict(self, payload, headers=None):
        return await asyncio.get_running_loop().run_in_executor(None, get_predict_input, payload)

    async def postprocess(self, result, headers=None):
        halves = await asyncio.gather(*(self.half(row) for row in result))
        return {"predictions": halves}

    async def half(self, row):
        async with asyncio.timeout(60):
            await asyncio.sleep(0.001)
        return (row / 2).tolist()


class Pair(Loaded):
    """Two tensors in by name, two out, as the caller wants them."""

    async def predict(self, payload, headers=None):
        a, b = (payload.get_input_by_name(name).as_numpy() for name in "ab")
        outputs = []
        for name, array in (("sum", a + b), ("product", a * b)):
            output = InferOutput(name, list(array.shape), from_np_dtype(array.dtype), parameters={"of": "a, b"})
            output.set_data_from_numpy(array, binary_data=payload.use_binary_outputs)
            outputs.append(output)
        return InferResponse(
            payload.id or generate_uuid(), self.name, outputs, parameters={"how": "eagerly"},
            use_binary_outputs=payload.use_binary_outputs, requested_outputs=payload.request_outputs,
        )  # fmt: skip


class InPlace(Loaded):
    """Writes into the array that it got, and answers with a list."""

    def predict(self, payload, headers=None):
        array = payload.inputs[0].as_numpy()
        array += 1
        return InferResponse(payload.id, self.name, [
            InferOutput("y", [array.size], payload.inputs[0].datatype, array.ravel().tolist())
        ])  # fmt: skip


class Sniffs(Loaded):
    """What a request looks like from inside, as text."""

    def predict(self, payload, headers=None):
        seen = {
            "id": bool(payload.id), "model": payload.model_name, "parameters": payload.parameters,
            "binary": payload.use_binary_outputs, "grpc": payload.from_grpc,
            "wanted": payload.request_outputs and [each.name for each in payload.request_outputs],
            "inputs": [
                [each.name, each.shape, each.datatype, each.data, each.parameters or None, str(each.as_numpy().dtype)]
                for each in payload.inputs
            ],
            "message": isinstance(payload, (ModelInferRequest, InferTensorContents)),
        }  # fmt: skip
        return InferResponse(payload.id, self.name, [InferOutput("seen", [1], "BYTES", [json.dumps(seen)])])


class Frames(Loaded):
    """Rows with names, from objects or from ``content_type: pd``."""

    def predict(self, payload, headers=None):
        frame = get_predict_input(payload, columns=["price", "count"] if isinstance(payload, dict) else None)
        frame["total"] = frame["price"] * frame["count"]
        return get_predict_response(payload, frame, self.name)


class Texts(Loaded):
    """BYTES are text over REST."""

    def predict(self, payload, headers=None):
        words = get_predict_input(payload)
        return get_predict_response(payload, [word.upper() for word in words], self.name)


class Explained(Doubles):
    async def explain(self, payload, headers=None):
        predicted = self.predict(payload, headers)
        rows = np.array(payload["instances"])
        return {"explanations": (np.array(predicted["predictions"]) - rows).tolist()}


class Heads(Loaded):
    """Headers in and out."""

    def __init__(self, name):
        super().__init__(name, return_response_headers=True)

    def predict(self, payload, headers=None, response_headers=None):
        response_headers.update({"x-model": self.name, "X-Upper": "kept"})
        headers["x-own"] = headers.get("x-own", "") + "!"
        if isinstance(payload, InferRequest):
            return get_predict_response(payload, get_predict_input(payload), self.name)
        return {"heard": {name: headers.get(name) for name in HEARD}}

    async def postprocess(self, result, headers=None, response_headers=None):
        response_headers["x-after"] = headers["x-own"]
        return result


class Fails(Loaded):
    """Errors of each kind, in the hook that is named."""

    MADE = {
        "invalid": lambda: InvalidInput("the words of the author"),
        "inference": lambda: InferenceError("the words of the author"),
        "inference with a status": lambda: InferenceError("the words of the author", status="UNAVAILABLE"),
        "inference with details": lambda: InferenceError("the words of the author", debug_details="the secret"),
        "not found": lambda: ModelNotFound("other"),
        "not ready": lambda: ModelNotReady("other"),
        "not ready because": lambda: ModelNotReady("other", "the detail"),
        "server not ready": ServerNotReady,
        "server not ready because": lambda: ServerNotReady("the detail"),
        "server not live": ServerNotLive,
        "protocol": lambda: UnsupportedProtocol("v9"),
        "not implemented": lambda: NotImplementedError("the words of the author"),
        "bug": lambda: KeyError("the secret"),
    }

    def fail(self, hook, payload):
        kind = payload["instances"][0] if isinstance(payload, dict) else payload.inputs[0].data[0]
        where, _, what = kind.partition(": ")
        if where == hook:
            error = self.MADE[what]()
            raise error

    def preprocess(self, payload, headers=None):
        self.fail("preprocess", payload)
        return payload

    async def predict(self, payload, headers=None):
        self.fail("predict", payload)
        return payload

    async def explain(self, payload, headers=None):
        self.fail("explain", payload)
        return payload

    def postprocess(self, result, headers=None):
        self.fail("postprocess", result)
        return result


class Kinds(Loaded):
    """Answers of every kind."""

    async def stream(self):
        for word in ("one ", "two ", "three"):
            await asyncio.sleep(0)
            yield word

    def predict(self, payload, headers=None):
        match payload["instances"][0]:
            case "bytes":
                return b"\x00\xff raw"
            case "text":
                return "just text"
            case "stream":
                return self.stream()
            case "list":
                return [1, "two", None]
            case "number":
                return 4.5
            case "nothing":
                return None
            case "numpy":
                return {"array": np.arange(3), "number": np.float32(0.5), 7: "key"}
            case "nan":
                return {"predictions": [float("nan"), 1.0]}
            case "response":
                return InferResponse("1", self.name, [InferOutput("y", [2], "INT32", [1, 2])], parameters={"a": 1})
            case "unicode":
                return {"predictions": ["ö", "\u2028"]}


class Picture(Loaded):
    """Bytes in, bytes out, with a type of their own."""

    def __init__(self, name):
        super().__init__(name, return_response_headers=True)

    def predict(self, payload, headers=None, response_headers=None):
        response_headers["content-type"] = "image/x-own"
        return payload[::-1] if isinstance(payload, bytes) else json.dumps(payload)


class Counts(Loaded):
    """State on self, which nothing guards: under KServe one hook runs at a time."""

    total = 0

    def predict(self, payload, headers=None):
        before = self.total
        time.sleep(0.001)
        self.total = before + payload["instances"][0]
        return {"predictions": [self.total]}


class Typed(Doubles):
    async def get_input_types(self):
        return [{"name": "rows", "datatype": "FP32", "shape": [-1, 2]}]

    def get_output_types(self):
        return [{"name": "output-0", "datatype": "FP32", "shape": [-1, 2]}]


class Whole(Loaded):
    """One whose own ``__call__`` is all there is."""

    async def __call__(self, body, headers=None, verb=InferenceVerb.PREDICT):
        return {"verb": verb.name, "body": body}, {}


class Sick(Loaded):
    async def healthy(self):
        return False


class Through(Loaded):
    """A transformer: the predictor has a model of the same name."""

    protocol = PredictorProtocol.REST_V1
    host = ""

    @property
    def predictor_config(self):
        return PredictorConfig(self.host, self.protocol.value, predictor_request_timeout_seconds=30)

    async def preprocess(self, payload, headers=None):
        if isinstance(payload, dict):
            return {"instances": [[number + 1 for number in row] for row in payload["instances"]]}
        array = payload.inputs[0].as_numpy() + 1
        tensor = InferInput("x", list(array.shape), payload.inputs[0].datatype)
        tensor.set_data_from_numpy(array, binary_data=payload.parameters is not None)
        return InferRequest(self.name, [tensor], request_id=payload.id)

    def postprocess(self, result, headers=None):
        if isinstance(result, dict):
            return {"predictions": [[number / 2 for number in row] for row in result["predictions"]]}
        array = result.outputs[0].as_numpy()
        array /= 2
        output = InferOutput("halved", list(array.shape), result.outputs[0].datatype, array)
        return InferResponse(result.id, self.name, [output])


class ThroughTensors(Through):
    protocol = PredictorProtocol.REST_V2


class Crosses(ThroughTensors):
    """Asked in either version, asks in version 2."""

    def preprocess(self, payload, headers=None):
        if not isinstance(payload, dict):
            return payload
        rows = np.array(payload["instances"], dtype=np.float32)
        return InferRequest(self.name, [InferInput("x", list(rows.shape), "FP32", rows)])

    def postprocess(self, result, headers=None):
        return {"predictions": result.get_output_by_name("y").as_numpy().tolist()}


class CrossesBack(Through):
    """Asked in either version, asks in version 1."""

    def preprocess(self, payload, headers=None):
        return {
            "instances": payload["instances"] if isinstance(payload, dict) else payload.inputs[0].as_numpy().tolist()
        }

    def postprocess(self, result, headers=None):
        rows = np.array(result["predictions"])
        return InferResponse("1", self.name, [InferOutput("y", list(rows.shape), from_np_dtype(rows.dtype), rows)])


class Heard(Through):
    """What the predictor hears of the headers, and what it says in its own."""

    def __init__(self, name):
        super().__init__(name)
        self.required_response_headers = True

    async def preprocess(self, payload, headers=None):
        return payload

    def postprocess(self, result, headers=None, response_headers=None):
        return {"predictions": result["predictions"], "said": response_headers.get("x-predictor")}


class FromFolder(Loaded):
    def __init__(self, name, factor):
        super().__init__(name)
        self.factor = factor

    def predict(self, payload, headers=None):
        return {"predictions": [row * self.factor for row in payload["instances"]]}


class Folders(ModelRepository):
    """Every sub-folder is a model."""

    def __init__(self, models_dir):
        super().__init__(models_dir)
        self.load_models()

    async def load(self, name):
        await asyncio.sleep(0)
        if name == "broken":
            raise RuntimeError("the weights are missing")
        return self.load_model(name)

    def load_model(self, name):
        file = os.path.join(self.models_dir, name, "factor.txt")
        if not os.path.exists(file):
            return False
        with open(file) as opened:
            self.update(FromFolder(name, float(opened.read())))
        return True


MODELS = {
    "doubles": Doubles, "gathers": Gathers, "pair": Pair, "in-place": InPlace, "sniffs": Sniffs, "frames": Frames,
    "texts": Texts, "explained": Explained, "heads": Heads, "fails": Fails, "kinds": Kinds, "picture": Picture,
    "counts": Counts, "typed": Typed, "whole": Whole, "sick": Sick, "through": Through, "heard": Heard,
    "through-tensors": ThroughTensors, "refused": Through, "absent": Through,
    "crosses": Crosses, "crosses-back": CrossesBack,
}  # fmt: skip

parser = argparse.ArgumentParser(parents=[model_server.parser])
parser.add_argument("--model_dir", default="/mnt/models")
parser.add_argument("--behind", default="")
args, _ = parser.parse_known_args()

if __name__ == "__main__":
    if args.configure_logging:
        logging.configure_logging(args.log_config_file)
    logger.info("models of %s", args.model_dir)
    Through.host = args.behind
    server = ModelServer(
        http_port=args.http_port, enable_grpc=False, workers=args.workers, registered_models=Folders(args.model_dir)
    )
    server.start([made(name) for name, made in MODELS.items()])

"""KServe's own model server, with models as its documentation writes them: ``kserve_server.py --http_port N``.

Needs the packages of kserve.txt. What they do is what the steps in tests/conformance/beside_kserve.py do.
"""

from fastapi import HTTPException
from kserve import InferOutput, InferResponse, Model, ModelServer, model_server
from kserve.errors import InferenceError, InvalidInput, ModelNotReady
from kserve.utils.utils import generate_uuid, get_predict_input, get_predict_response


class Ready(Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True


class Echo(Ready):
    """One tensor, by KServe's own helpers, which call it output-0."""

    def predict(self, payload, headers=None):
        return get_predict_response(payload, get_predict_input(payload), self.name)


class Typed(Echo):
    async def get_input_types(self):
        return [{"name": "rows", "datatype": "FP32", "shape": [-1, 2]}]

    async def get_output_types(self):
        return [{"name": "output-0", "datatype": "FP32", "shape": [-1, 2]}]


class Pair(Ready):
    """Two tensors in, two out."""

    def predict(self, payload, headers=None):
        if isinstance(payload, dict):
            rows = [{"sum": row["a"] + row["b"], "product": row["a"] * row["b"]} for row in payload["instances"]]
            return {"predictions": rows}
        a, b = (each.as_numpy() for each in payload.inputs)
        outputs = []
        for name, result in (("sum", a + b), ("product", a * b)):
            output = InferOutput(name, list(result.shape), payload.inputs[0].datatype)
            output.set_data_from_numpy(result, binary_data=payload.use_binary_outputs)
            outputs.append(output)
        return InferResponse(
            payload.id or generate_uuid(), self.name, outputs,
            use_binary_outputs=payload.use_binary_outputs, requested_outputs=payload.request_outputs,
        )  # fmt: skip


class Raw(Ready):
    """JSON as it came."""

    def predict(self, payload, headers=None):
        return {"got": payload}


class Fails(Ready):
    def predict(self, payload, headers=None):
        raise {
            "invalid": InvalidInput("the words of the author"),
            "inference": InferenceError("the words of the author"),
            "inference-status": InferenceError("the words of the author", status="422"),
            "not-ready": ModelNotReady("fails", "the detail"),
            "todo": NotImplementedError("not this one"),
            "status": HTTPException(429, "slow down"),
            "bug": KeyError("the secret"),
        }[payload["instances"][0]]


class Explains(Echo):
    def explain(self, payload, headers=None):
        return {"explanations": payload["instances"]}


class Unready(Ready):
    async def healthy(self):
        return False


if __name__ == "__main__":
    arguments, _ = model_server.parser.parse_known_args()
    ModelServer(http_port=arguments.http_port, enable_grpc=False).start(
        [
            Echo("echo"),
            Typed("typed"),
            Pair("pair"),
            Raw("raw"),
            Fails("fails"),
            Explains("explains"),
            Unready("unready"),
            Echo("gone"),
        ]
    )

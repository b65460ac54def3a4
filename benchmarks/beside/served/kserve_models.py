"""KServe's model server: ``kserve_models.py usual|tuned [PREDICTOR-HOST:PORT] KSERVE-FLAGS``.

Needs the packages of tests/peers/kserve.txt. Tuned: nothing is logged, and uvloop, which KServe never takes by itself.
With a predictor, ``chain`` is a transformer in front of that one: three steps in two servers.
"""

import logging
import sys

manner = sys.argv.pop(1)
predictor = sys.argv.pop(1) if not sys.argv[1].startswith("-") else ""

from kserve import InferInput, InferOutput, InferRequest, InferResponse, Model, ModelServer  # noqa: E402
from kserve.predictor_config import PredictorConfig  # noqa: E402
from kserve.utils.utils import generate_uuid  # noqa: E402


class Echo(Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    async def predict(self, payload, headers=None):
        if isinstance(payload, dict):
            return {"predictions": payload["instances"]}
        array = payload.inputs[0].as_numpy()
        output = InferOutput("y", list(array.shape), "FP32")
        output.set_data_from_numpy(array, binary_data=payload.use_binary_outputs)
        return InferResponse(
            payload.id or generate_uuid(), self.name, [output],
            use_binary_outputs=payload.use_binary_outputs, requested_outputs=payload.request_outputs,
        )  # fmt: skip


class Transformer(Model):
    def __init__(self):
        super().__init__("chain")
        self.ready = True

    async def preprocess(self, payload, headers=None):
        array = payload.inputs[0].as_numpy()
        given = InferInput("x", list(array.shape), "FP32")
        given.set_data_from_numpy(array, binary_data=False)
        return InferRequest("chain", [given], payload.id or generate_uuid())

    async def postprocess(self, result, headers=None):
        return result


if __name__ == "__main__":
    if manner == "tuned":
        import asyncio

        import uvloop

        uvloop.install()
        asyncio.set_event_loop(uvloop.new_event_loop())
        logging.disable(logging.INFO)
    models = [Echo("echo"), Transformer() if predictor else Echo("chain")]
    how = {"enable_latency_logging": False} if manner == "tuned" else {}
    if predictor:
        how["predictor_config"] = PredictorConfig(predictor, "v2")
    ModelServer(enable_grpc=False, **how).start(models)

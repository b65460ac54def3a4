"""KServe's predictor, and its transformers in front of it and of another: ``kserve_chain.py HOST:PORT``.

Needs the packages of kserve.txt. HOST:PORT is the other predictor. Each server is a process of its own, made by fork,
for the import of KServe is most of the time that one takes to start; a line of JSON says which has which port.
"""

import json
import os
import signal
import socket
import sys

import arithmetic
import numpy as np
from fastapi import HTTPException
from kserve import InferInput, InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.errors import InferenceError, InvalidInput, ModelNotReady
from kserve.predictor_config import PredictorConfig
from kserve.utils.numpy_codec import from_np_dtype
from kserve.utils.utils import generate_uuid

COMPUTED = ("numbers", "texts", "flags", "pair", "scaled")
THROUGH = ("heard", "fails", "unready", "absent")
"""What only the predictor knows, and ``absent`` not even that one."""


# ---- payloads as arrays, and back


def arrays(payload):
    """Name → array of a request or an answer of either version; texts as bytes."""
    if not isinstance(payload, dict):
        tensors = payload.inputs if isinstance(payload, InferRequest) else payload.outputs
        return {tensor.name: encoded(tensor.as_numpy()) for tensor in tensors}
    name, rows = ("x", payload["instances"]) if "instances" in payload else ("y", payload["predictions"])
    if rows and isinstance(rows[0], dict):
        return {key: encoded(np.array([row[key] for row in rows])) for key in rows[0]}
    return {name: encoded(np.array(rows))}


def encoded(array):
    if array.dtype.kind not in "UO":
        return array
    made = np.empty(array.shape, np.object_)
    made.flat = [text.encode() if isinstance(text, str) else text for text in array.flat]
    return made


def rows(tensors):
    """Rows of version 1: objects where there are several tensors."""
    lists = [decoded(array).tolist() for array in tensors.values()]
    return lists[0] if len(lists) == 1 else [dict(zip(tensors, row, strict=True)) for row in zip(*lists, strict=True)]


def decoded(array):
    if array.dtype != np.object_:
        return array
    made = np.empty(array.shape, np.object_)
    made.flat = [text.decode() for text in array.flat]
    return made


def tensor(kind, name, array, binary):
    made = kind(name, list(array.shape), from_np_dtype(array.dtype))
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def answer(payload, model, tensors):
    if isinstance(payload, dict):
        return {"predictions": rows(tensors)}
    binary = payload.use_binary_outputs
    return InferResponse(
        payload.id or generate_uuid(), model, [tensor(InferOutput, *each, binary) for each in tensors.items()],
        use_binary_outputs=binary, requested_outputs=payload.request_outputs,
    )  # fmt: skip


# ---- predictors


class Ready(Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True


class Predictor(Ready):
    def __init__(self, name, compute):
        super().__init__(name)
        self.compute = compute

    def predict(self, payload, headers=None):
        return answer(payload, self.name, self.compute(**arrays(payload)))


class Scaled(Ready):
    def predict(self, payload, headers=None):
        parameters = payload if isinstance(payload, dict) else payload.parameters or {}
        return answer(payload, self.name, arithmetic.scaled(**arrays(payload), factor=parameters.get("factor", 1)))


class Heard(Ready):
    """The headers of the request, by the names that are asked for."""

    def predict(self, payload, headers=None):
        names = arrays(payload)["x"]
        heard = np.array([headers.get(name.decode(), "").encode() for name in names], np.object_)
        return answer(payload, self.name, {"y": heard})


class Objects(Ready):
    def predict(self, payload, headers=None):
        return {"predictions": arithmetic.objects(payload["instances"])}


class Fails(Ready):
    def predict(self, payload, headers=None):
        raise {
            b"invalid": InvalidInput("the words of the author"),
            b"inference": InferenceError("the words of the author"),
            b"not-ready": ModelNotReady("fails", "the detail"),
            b"todo": NotImplementedError("not this one"),
            b"status": HTTPException(429, "slow down", headers={"retry-after": "7"}),
            b"bug": KeyError("the secret"),
        }[arrays(payload)["x"][0]]


class Unready(Ready):
    async def healthy(self):
        return False


# ---- transformers


class Transformer(Ready):
    def __init__(self, name, before, after, binary=False):
        super().__init__(name)
        self.before, self.after, self.binary = before, after, binary

    def preprocess(self, payload, headers=None):
        tensors = self.before(**arrays(payload))
        if isinstance(payload, dict):
            return {**payload, "instances": rows(tensors)}
        inputs = [tensor(InferInput, *each, self.binary) for each in tensors.items()]
        return InferRequest(self.name, inputs, request_id=payload.id, parameters=payload.parameters)

    def postprocess(self, result, headers=None):
        tensors = self.after(**arrays(result))
        if isinstance(result, dict):
            return {"predictions": rows(tensors)}
        outputs = [tensor(InferOutput, *each, False) for each in tensors.items()]
        return InferResponse(result.id, self.name, outputs)


class ObjectsTransformer(Ready):
    def preprocess(self, payload, headers=None):
        return {"instances": arithmetic.objects_before(payload["instances"])}

    def postprocess(self, result, headers=None):
        return {"predictions": arithmetic.objects_after(result["predictions"])}


class Explainer(Ready):
    """Asks its predictor for the rows as they are and shifted by one."""

    async def explain(self, payload, headers=None):
        predicted = await self.predict(payload, headers)
        moved = {"instances": rows({"x": arrays(payload)["x"] + 1})}
        shifted = await self.predict(moved, headers)
        return {"explanations": arithmetic.influence(predicted["predictions"], shifted["predictions"])}


# ---- processes


def predictors():
    computed = {name: getattr(arithmetic, name) for name in COMPUTED if name != "scaled"}
    computed |= {"raw": arithmetic.numbers, "explained": arithmetic.squares}
    special = Scaled("scaled"), Heard("heard"), Objects("objects"), Fails("fails"), Unready("unready")
    return [*(Predictor(*each) for each in computed.items()), *special]


def transformers():
    around = {name: (getattr(arithmetic, f"{name}_before"), getattr(arithmetic, f"{name}_after")) for name in COMPUTED}
    around |= dict.fromkeys(THROUGH, (arithmetic.same, arithmetic.same_after))
    return [
        *(Transformer(name, *functions) for name, functions in around.items()),
        Transformer("raw", *around["numbers"], binary=True), ObjectsTransformer("objects"), Explainer("explained"),
    ]  # fmt: skip


def reserved():
    """A port that nobody else is given: it is bound here and listens nowhere, and the child may bind it beside us."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("0.0.0.0", 0))
    return held


def start(port, models, predictor=None, protocol="v1"):
    """The id of a process that serves ``models``, which ask ``predictor`` over ``protocol``."""
    if child := os.fork():
        return child
    config = PredictorConfig(predictor, protocol, predictor_health_check=predictor is not None)
    try:
        ModelServer(http_port=port, enable_grpc=False, predictor_config=config).start(models)
    finally:
        os._exit(0)


def main(other):
    sockets = {name: reserved() for name in ("predictor", "v1", "v2", "other v1", "other v2")}
    ports = {name: held.getsockname()[1] for name, held in sockets.items()}
    children = [start(ports["predictor"], predictors())]
    for before, predictor in (("", f"127.0.0.1:{ports['predictor']}"), ("other ", other)):
        children += [
            start(ports[before + version], transformers(), predictor, version) for version in ("v1", "v2")
        ]  # fmt: skip
    print(json.dumps(ports), flush=True)
    signal.sigwait({signal.SIGTERM})
    for child in children:
        os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    main(sys.argv[1])

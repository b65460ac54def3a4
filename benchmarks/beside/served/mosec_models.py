"""mosec with one Python worker: ``mosec_models.py --port N``. It speaks no protocol of tensors: the handler does it."""

import numpy as np
import orjson
from mosec import Server, Worker


class Echo(Worker):
    def deserialize(self, data):
        return orjson.loads(data)

    def forward(self, data):
        given = data["inputs"][0]
        array = np.array(given["data"], np.float32).reshape(given["shape"])
        output = {"name": "y", "shape": array.shape, "datatype": "FP32", "data": array.ravel()}
        return {"model_name": "echo", "outputs": [output]}

    def serialize(self, data):
        return orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY)


if __name__ == "__main__":
    server = Server()
    server.append_worker(Echo, num=1)
    server.run()

"""LitServe: ``litserve_models.py PORT``. It speaks no protocol of tensors: the API does it."""

import sys

import litserve
import numpy as np


class Echo(litserve.LitAPI):
    def setup(self, device):
        self.device = device

    def decode_request(self, request):
        given = request["inputs"][0]
        return np.array(given["data"], np.float32).reshape(given["shape"])

    def predict(self, array):
        return array

    def encode_response(self, array):
        output = {"name": "y", "shape": array.shape, "datatype": "FP32", "data": array.ravel().tolist()}
        return {"model_name": "echo", "outputs": [output]}


if __name__ == "__main__":
    server = litserve.LitServer(Echo(), accelerator="cpu", workers_per_device=1)
    server.run(port=int(sys.argv[1]), log_level="warning", generate_client_file=False)

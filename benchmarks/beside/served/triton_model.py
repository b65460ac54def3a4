"""A step of Triton's Python backend.

By DLPack: without a driver for GPUs a tensor that is made of a numpy array comes back with no bytes. The array is made
all the same, for a step that computes needs it.
"""

import triton_python_backend_utils as triton


class TritonPythonModel:
    def execute(self, requests):
        replies = []
        for request in requests:
            given = triton.get_input_tensor_by_name(request, "x")
            given.as_numpy()
            replies.append(triton.InferenceResponse([triton.Tensor.from_dlpack("y", given.to_dlpack())]))
        return replies

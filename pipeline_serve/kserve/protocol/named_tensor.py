"""One tensor of a request or of an answer as KServe's models see it: a name and a datatype, and data in two forms.

It is an array or it is a list, and each is made of the other when it is asked for. What came over the wire stays the
array it was decoded to until somebody asks for the list; a list that was handed out may be changed by whoever has it,
so from then on it is the data. An array that an author sets is copied, as by KServe: a model may fill the same buffer
for its next request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from pipeline.tensors.bfloat16 import from_float32
from pipeline.tensors.buffers import tensor_to_buffer
from pipeline.tensors.datatype import Datatype, datatype_named
from pipeline.tensors.forms import to_json
from pipeline.tensors.tensor import Tensor, byte_strings, frozen, locked, tensor
from pipeline_serve.kserve.errors import InferenceError, InvalidInput
from pipeline_serve.kserve.protocol.byte_tensors import deserialize_bytes_tensor
from pipeline_serve.kserve.utils.numpy_codec import from_np_dtype, to_np_dtype

Array = np.ndarray[Any, Any]
BINARY_SIZE = "binary_data_size"


class NamedTensor:
    """What InferInput and InferOutput have in common. ``shape``, ``data`` and ``parameters`` may be set."""

    UNKNOWN_DATATYPE = "invalid datatype in the input"

    def __init__(
        self,
        name: str,
        shape: Sequence[int],
        datatype: str,
        data: Sequence[Any] | Array | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        """``data``: a list, flat or nested, or an array; None where ``set_data_from_numpy`` is to follow."""
        self._name = name
        self._datatype = datatype.upper()
        self.shape: Any = shape
        self.parameters: Any = parameters
        self._data: Any = data
        self._array: Array | None = None
        self._listed: Callable[[], list[Any]] | None = None
        self._is_raw = False

    @classmethod
    def of(
        cls,
        name: str,
        tensor: Tensor,
        *,
        sent: Sequence[Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Self:
        """A tensor that came over the wire. ``sent`` is the list that it came in, None where it came in binary."""
        made = cls(name, list(tensor.shape), tensor.datatype.name, None, parameters)
        made._array = tensor.array
        made._is_raw = sent is None
        made._listed = (lambda: _flat(tensor)) if sent is None else (lambda: sent)  # type: ignore[assignment]
        return made

    @property
    def name(self) -> str:
        return self._name

    @property
    def datatype(self) -> str:
        """In upper case."""
        return self._datatype

    @property
    def data(self) -> Any:
        """A list (as it was sent, else flat), or the array that the constructor was given.

        None for an array that was set to be sent in binary. BYTES are text where all of them are UTF-8.
        """
        if self._listed is not None:
            self._data, self._listed, self._array = self._listed(), None, None
        return self._data

    @data.setter
    def data(self, data: Any) -> None:
        self._data, self._listed, self._array = data, None, None

    @property
    def is_empty(self) -> bool:
        """Whether nobody set data yet."""
        return self._data is None and self._array is None

    @property
    def is_binary(self) -> bool:
        """Whether an author set it to be sent as raw bytes."""
        return self._array is not None and self._listed is None

    @property
    def is_no_json(self) -> bool:
        """Whether it came in binary and KServe's servers take no list of it: 16 bit floats, BYTES that are no text."""
        if not self._is_raw or self._array is None:
            return False
        match self._datatype:
            case "FP16" | "BF16":
                return True
            case "BYTES":
                return _texts(self._array) is None
            case _:
                return False

    def flat(self) -> list[Any]:
        """All elements as JSON has them, in row-major order. Raises InferenceError for BYTES that are no text."""
        held = self.as_tensor()
        return _decoded(held.array) if held.datatype is Datatype.BYTES else _flat(held)

    @property
    def raw(self) -> bytes | None:
        """The bytes of one that is to be sent so."""
        return bytes(tensor_to_buffer(self.as_tensor())) if self.is_binary else None

    @raw.setter
    def raw(self, raw: bytes | None) -> None:
        self.data = None
        if raw is None:
            return
        if self._datatype == Datatype.BYTES.name:
            self._array = frozen(deserialize_bytes_tensor(raw))
        else:
            self._array = np.frombuffer(raw, dtype=self._numpy_type())

    _raw_data = raw  # KServe's own name for it

    def as_numpy(self) -> Array:
        """The array, in ``shape``: the model's own where it came over the wire, read-only where it was set.

        Raises InvalidInput for a datatype that is none, ValueError for a list that is no array of it.
        """
        if self._array is None:
            return self._from_data().reshape(self.shape)
        array = self._array
        if self._listed is not None and self._datatype == Datatype.BYTES.name:
            array = _readable(array)
        elif self._listed is not None:
            # Others may read the body too, and under KServe it is the model's own to write into.
            array = array.copy()
        return array.reshape(self.shape)

    def set_data_from_numpy(self, input_tensor: Array, binary_data: bool = True) -> None:
        """Sets the data to the array's, to be sent as raw bytes or, without ``binary_data``, as a list.

        Raises InferenceError for what is no array, or one of another datatype or shape.
        """
        array, datatype = self._accepted(input_tensor), Datatype[self._datatype]
        if datatype is Datatype.BYTES:
            array = _encoded(array)
        elif array.flags.writeable or array.dtype != datatype.dtype:
            array = locked(np.array(array, dtype=datatype.dtype, order="C"))
        self._data, self._array, self._is_raw, self._listed = None, array, False, None
        if binary_data:
            size = len(tensor_to_buffer(Tensor(datatype, frozen(array))))
            if self.parameters is None:
                self.parameters = {}
            self.parameters[BINARY_SIZE] = size
            return
        if self.parameters:
            self.parameters.pop(BINARY_SIZE, None)
        if datatype is Datatype.BYTES:
            self.data = _decoded(array)
        else:
            held = Tensor(datatype, array)
            self._listed = lambda: _flat(held)

    def as_tensor(self) -> Tensor:
        """The same as the project's own value. Raises as ``as_numpy``."""
        datatype = datatype_named(self._datatype)
        if datatype is None:
            raise InvalidInput(self.UNKNOWN_DATATYPE)
        if self._array is not None:
            return Tensor(datatype, frozen(self._array.reshape(self.shape)))
        array = self._from_data().reshape(self.shape)
        if datatype is Datatype.BYTES:
            array = _encoded(array)
        elif datatype is Datatype.BF16 or array.dtype != datatype.dtype:
            return Tensor(datatype, frozen(array))
        return tensor(array)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "shape": self.shape,
            "datatype": self.datatype,
            "data": self.data,
            "parameters": self.parameters,
        }

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return False
        own, others = self.to_dict(), other.to_dict()
        data, others_data = own.pop("data"), others.pop("data")
        return own == others and _same(data, others_data) and self.raw == other.raw

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return (
            f'"name": "{self.name}","shape": {self.shape},"datatype": "{self.datatype}",'
            f'"data": {self.data},"parameters": {self.parameters}'
        )

    def _numpy_type(self) -> Any:
        found = to_np_dtype(self._datatype)
        if found is None and self._datatype != Datatype.BF16.name:
            raise InvalidInput(self.UNKNOWN_DATATYPE)
        return found or Datatype.BF16.dtype

    def _from_data(self) -> Array:
        dtype = self._numpy_type()
        if self._datatype == Datatype.BF16.name and not isinstance(self._data, np.ndarray):
            return from_float32(np.array(self._data, dtype=np.float32))
        return np.array(self._data, dtype=dtype)

    def _accepted(self, array: Any) -> Array:
        if not isinstance(array, np.ndarray):
            raise InferenceError("input_tensor must be a numpy array")
        datatype = from_np_dtype(array.dtype)
        if datatype != self._datatype:
            raise InferenceError(f"got unexpected datatype {datatype} from numpy array, expected {self._datatype}")
        if tuple(array.shape) != tuple(self.shape):
            came, expected = str(array.shape)[1:-1], str(self.shape)[1:-1]
            raise InferenceError(f"got unexpected numpy array shape [{came}], expected [{expected}]")
        return array


def _flat(held: Tensor) -> list[Any]:
    """All elements in row-major order, as Python's own."""
    if held.datatype is Datatype.BYTES:
        texts: list[Any] = _readable(held.array).ravel().tolist()
        return texts
    found: list[Any] = to_json(Tensor(held.datatype, held.array.reshape(-1)))
    return found


def _readable(array: Array) -> Array:
    """BYTES as text, which is what KServe's models get over REST; as they are where one of them is no UTF-8."""
    texts = _texts(array)
    return byte_strings(array.ravel().tolist() if texts is None else texts, array.shape)


def _texts(array: Array) -> list[str] | None:
    try:
        return [element.decode() for element in array.ravel().tolist()]
    except UnicodeDecodeError:
        return None


def _encoded(array: Array) -> Array:
    """Elements of any kind as ``bytes``: text as UTF-8, anything else as Python writes it."""
    if array.dtype.kind == "M":
        array = array.astype(np.object_)
    elements = [element if isinstance(element, bytes) else str(element).encode() for element in array.ravel().tolist()]
    return locked(byte_strings(elements, array.shape))


def _decoded(array: Array) -> list[str]:
    texts = []
    for element in array.ravel().tolist():
        try:
            texts.append(element.decode())
        except UnicodeDecodeError:
            way_out = "Please use binary_data=True, if you want to pass a byte array."
            text = f'Failed to encode "{element}" using UTF-8. {way_out}'
            raise InferenceError(text, 400) from None  # the caller's, who asked for no binary
    return texts


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    return bool(one == other)

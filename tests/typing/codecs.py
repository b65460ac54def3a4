"""Every protocol file satisfies Codec: a module is checked against the protocol as an instance is. Never run."""

from pipeline.wire import v1, v2
from pipeline.wire.codec import Codec

V1: Codec = v1
V2: Codec = v2

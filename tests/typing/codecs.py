"""Every protocol file satisfies Codec, and what describes it Description. Never run.

A module is checked against a protocol as an instance is.
"""

from pipeline.wire import repository, repository_openapi, v1, v1_openapi, v2, v2_openapi
from pipeline.wire.codec import Codec
from pipeline.wire.openapi import Description

V1: Codec = v1
REPOSITORY: Codec = repository
V2: Codec = v2
REPOSITORY_OPENAPI: Description = repository_openapi
V1_OPENAPI: Description = v1_openapi
V2_OPENAPI: Description = v2_openapi

"""Content encodings of request bodies; pure."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.errors import Code, InferError
from pipeline.graph.words import later
from pipeline.tensors.shown import quoted

_KNOWN = frozenset({"gzip", "x-gzip", "deflate"})


def require_plain(headers: Mapping[str, str]) -> None:
    """Raises InferError (UNSUPPORTED_MEDIA) for a body that is encoded: it would be read as broken JSON."""
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return
    reason = later(f"content-encoding {encoding}") if encoding in _KNOWN else f"no content-encoding {quoted(encoding)}"
    raise InferError(Code.UNSUPPORTED_MEDIA, f"{reason}; send the body as it is")

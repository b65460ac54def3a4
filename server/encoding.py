"""Content encodings of request bodies, within the limit that holds for bodies; pure."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from pipeline.errors import Code, InferError, InvalidInput
from pipeline.tensors.shown import quoted

# zlib's window size and format: 15 is its largest window, 16 more asks for gzip's header, a minus for none at all.
_GZIP, _ZLIB, _BARE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_FORMATS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}
# Each coding multiplies what a small body can become; nobody honest nests them deeper.
_MOST_CODINGS = 2


def codings(headers: Mapping[str, str]) -> list[str]:
    """The codings of a body, the one to undo first at the front; none for a plain body.

    Raises InferError (UNSUPPORTED_MEDIA) for one that is not known: the body would be read as broken JSON.
    """
    named = [word.strip().lower() for word in headers.get("content-encoding", "").split(",")]
    found = [word for word in reversed(named) if word not in ("", "identity")]
    for word in found:
        if word not in _FORMATS:
            raise InferError(Code.UNSUPPORTED_MEDIA, f"no content-encoding {quoted(word)}; there are gzip and deflate")
    if len(found) > _MOST_CODINGS:
        raise InferError(Code.UNSUPPORTED_MEDIA, f"a body has at most {_MOST_CODINGS} codings, got {len(found)}")
    return found


def decoded(body: bytes, undo: list[str], limit: int) -> bytes:
    """The body without its codings, of at most ``limit`` bytes.

    Raises InvalidInput for a broken one, InferError (TOO_LARGE) past the limit.
    """
    for coding in undo:
        body = _inflated(body, coding, limit)
    return body


def _inflated(body: bytes, coding: str, limit: int) -> bytes:
    """Several gzip members in a row are one body (RFC 1952, 2.2); deflate is zlib's format, or bare as some send it."""
    window = _FORMATS[coding]
    if window == _ZLIB and body[:1] and (body[0] & 0x0F != zlib.DEFLATED or int.from_bytes(body[:2]) % 31):
        window = _BARE
    parts: list[bytes] = []
    size = 0
    while body:
        inflater = zlib.decompressobj(window)
        try:
            part = inflater.decompress(body, limit - size + 1)
        except zlib.error as error:
            raise InvalidInput(f"the body is no {coding}: {error}") from None
        size += len(part)
        if size > limit:
            raise InferError(Code.TOO_LARGE, f"the body is larger than {limit} bytes (--max-body) once decoded")
        if not inflater.eof:
            raise InvalidInput(f"the body is no {coding}: it ends too early")
        parts.append(part)
        body = inflater.unused_data
        if body and window != _GZIP:
            raise InvalidInput(f"the body is no {coding}: {len(body)} bytes follow its end")
    return b"".join(parts)

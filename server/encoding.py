"""Content codings: of request bodies, within the limit that holds for bodies, and of replies; pure.

Source: RFC 9110, 8.4 and 12.5.3.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence

from pipeline.errors import Code, InferError, InvalidInput
from pipeline.tensors.shown import quoted

# zlib's window size and format: 15 is its largest window, 16 more asks for gzip's header, a minus for none at all.
_GZIP, _ZLIB, _BARE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_FORMATS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}
# Each coding multiplies what a small body can become; nobody honest nests them deeper.
_MOST_CODINGS = 2
_QUALITY = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)
# On JSON, level 1 makes half of it at 90 MB/s, level 6 takes seven times as long for a tenth less.
_LEVEL = 1
_BINARY = "application/octet-stream"
# A smaller reply travels in one packet either way.
_WORTH_CODING = 1024
# What shrinks by less, at the start of its largest part, costs more than it saves: raw floats shrink by 4 to 8 %.
_SAMPLE, _LEAST_GAIN = 2**16, 1.25


def codings(headers: Mapping[str, str]) -> list[str]:
    """The codings of a body, the one to undo first at the front; none for a plain body.

    Raises InferError (UNSUPPORTED_MEDIA) for one that is not known: the body would be read as broken JSON.
    """
    named = [word.strip().lower() for word in headers.get("content-encoding", "").split(",")]
    found = [word for word in reversed(named) if word not in ("", "identity")]
    for word in found:
        if word not in _FORMATS:
            raise _refused(f"no content-encoding {quoted(word)}; there are gzip and deflate")
    if len(found) > _MOST_CODINGS:
        raise _refused(f"a body has at most {_MOST_CODINGS} codings, got {len(found)}")
    return found


def _refused(reason: str) -> InferError:
    """With what is accepted, in the header that RFC 9110, 15.5.16, names for it."""
    return InferError(Code.UNSUPPORTED_MEDIA, reason, headers={"accept-encoding": "gzip, deflate"})


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


def accepted(headers: Mapping[str, str], media: str, size: int) -> str | None:
    """The coding that a caller would like its reply of that type and that many bytes in; None: as it is.

    Of codings liked equally gzip comes first. What cannot be read of the header names no coding. A list of codings is
    what most libraries send by themselves, and tensors in binary are asked for to be fast: those are coded only for
    one that names a single coding, as Triton's client does.
    """
    text = headers.get("accept-encoding")
    if text is None or size < _WORTH_CODING:
        return None
    liked: dict[str, float] = {}
    for word in text.lower().split(","):
        name, _, rest = (part.strip() for part in word.partition(";"))
        quality = _QUALITY.fullmatch(rest)
        if not rest or quality:
            liked[name] = float(quality[1]) if quality else 1.0
    others = liked.get("*", 0.0)
    gzip = max(liked.get("gzip", others), liked.get("x-gzip", 0.0))
    found = {"gzip": gzip, "deflate": liked.get("deflate", others), "identity": liked.get("identity", 0.0)}
    best = max(found, key=found.__getitem__)
    if best == "identity" or found[best] == 0 or (media == _BINARY and len(liked) > 1):
        return None
    return best


def encoded(parts: Sequence[bytes | memoryview], coding: str) -> list[bytes] | None:
    """The body in that coding; None where it would hardly be smaller. Takes some 10 ms a megabyte, off the lock."""
    sample = max(parts, key=len)[:_SAMPLE]
    if len(zlib.compress(sample, _LEVEL)) * _LEAST_GAIN > len(sample):
        return None
    deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, _FORMATS[coding])
    return [*map(deflater.compress, parts), deflater.flush()]

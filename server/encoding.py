"""How bodies are written: what makes a request's plain UTF-8, within the limit for bodies, and a reply's coding; pure.

Source: RFC 9110, 8.4 and 12.5.3.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping, Sequence

from pipeline.errors import Code, InferError, InvalidInput
from pipeline.tensors.shown import quoted
from pipeline.wire.binary import MEDIA

Plain = Callable[[bytes | memoryview], bytes | memoryview]
"""Makes a body plain UTF-8."""

# zlib's window size and format: 15 is its largest window, 16 more asks for gzip's header, a minus for none at all.
_GZIP, _ZLIB, _BARE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
ACCEPTS = "accept-encoding"
_FORMATS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}
# Each coding multiplies what a small body can become; nobody honest nests them deeper.
_MOST_CODINGS = 2
# Block gzip has a member for each 64 KiB, and 64 MiB are what --max-body allows at first.
_MOST_MEMBERS = 4096
# The rest of a piece is copied at the end of each member in it.
_PIECE = 2**14
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\s\";]+)", re.IGNORECASE)
_CHARSETS: Mapping[str, str | None] = {
    **dict.fromkeys(("utf-8", "utf8", "us-ascii", "ascii")),
    **{name: name for name in ("iso-8859-1", "windows-1252", "utf-16", "utf-16le", "utf-16be", "utf-32")},
}
_QUALITY = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)
# On JSON, level 1 makes half of it at 90 MB/s, level 6 takes seven times as long for a tenth less.
_LEVEL = 1
# A smaller reply travels in one packet either way.
_WORTH_CODING = 1024
# What shrinks by less, at the start of its largest part, costs more than it saves: raw floats shrink by 4 to 8 %.
_SAMPLE, _LEAST_GAIN = 2**16, 1.25


def to_plain(headers: Mapping[str, str], limit: int) -> Plain | None:
    """What makes a body with these headers plain UTF-8 of at most ``limit`` bytes; None where it is that already.

    Raises InferError (UNSUPPORTED_MEDIA) for what is not known, what is returned InvalidInput for a broken body.
    """
    if "content-encoding" not in headers and ";" not in headers.get("content-type", ""):
        return None
    undo, name = codings(headers), charset(headers)
    if not undo and name is None:
        return None

    def plain(body: bytes | memoryview) -> bytes | memoryview:
        text = decoded(body, undo, limit)
        return text if name is None else recoded(text, name)

    return plain


def codings(headers: Mapping[str, str]) -> list[str]:
    """The codings of a body, the one to undo first at the front; none for a plain body.

    Raises InferError (UNSUPPORTED_MEDIA) for one that is not known: the body would be read as broken JSON.
    """
    text = headers.get("content-encoding")
    if text is None:
        return []
    named = [word.strip().lower() for word in text.split(",")]
    found = [word for word in reversed(named) if word not in ("", "identity")]
    for word in found:
        if word not in _FORMATS:
            raise _refused(f"no content-encoding {quoted(word)}; there are gzip and deflate")
    if len(found) > _MOST_CODINGS:
        raise _refused(f"a body has at most {_MOST_CODINGS} codings, got {len(found)}")
    return found


def _refused(reason: str) -> InferError:
    """With what is accepted, in the header that RFC 9110, 15.5.16, names for it."""
    return InferError(Code.UNSUPPORTED_MEDIA, reason, headers={ACCEPTS: "gzip, deflate"})


def decoded(body: bytes | memoryview, undo: list[str], limit: int) -> bytes | memoryview:
    """The body without its codings, of at most ``limit`` bytes.

    Raises InvalidInput for a broken one, InferError (TOO_LARGE) past the limit.
    """
    for coding in undo:
        body = _inflated(body, coding, limit)
    return body


def _inflated(body: bytes | memoryview, coding: str, limit: int) -> bytes:
    """Several gzip members in a row are one body (RFC 1952, 2.2); deflate is zlib's format, or bare as some send it."""
    window = _FORMATS[coding]
    if window == _ZLIB and body[:1] and (body[0] & 0x0F != zlib.DEFLATED or int.from_bytes(body[:2]) % 31):
        window = _BARE
    parts: list[bytes] = []
    whole = memoryview(body)
    position = size = members = 0
    while position < len(whole):
        inflater = zlib.decompressobj(window)
        members += 1
        if members > _MOST_MEMBERS:
            raise InvalidInput(f"the body is no {coding}: it has more than {_MOST_MEMBERS} members")
        while not inflater.eof:
            piece = whole[position : position + _PIECE]
            if not piece:
                raise InvalidInput(f"the body is no {coding}: it ends too early")
            try:
                part = inflater.decompress(piece, limit - size + 1)
            except zlib.error as error:
                raise InvalidInput(f"the body is no {coding}: {error}") from None
            size += len(part)
            if size > limit:
                raise InferError(Code.TOO_LARGE, f"the body is larger than {limit} bytes (--max-body) once decoded")
            parts.append(part)
            position += len(piece) - len(inflater.unused_data)
        if position < len(whole) and window != _GZIP:
            raise InvalidInput(f"the body is no {coding}: {len(whole) - position} bytes follow its end")
    return b"".join(parts)


def charset(headers: Mapping[str, str]) -> str | None:
    """The character encoding in which a body of text comes, None for UTF-8, which JSON is in (RFC 8259, 8.1).

    Raises InferError (UNSUPPORTED_MEDIA) for one that is not read.
    """
    media = headers.get("content-type", "")
    found = _CHARSET.search(media) if ";" in media else None
    name = found[1].lower() if found else "utf-8"
    if name not in _CHARSETS:
        raise InferError(Code.UNSUPPORTED_MEDIA, f"no charset {quoted(name)}; JSON is UTF-8")
    return _CHARSETS[name]


def recoded(body: bytes | memoryview, name: str) -> bytes:
    """The text as UTF-8. Raises InvalidInput where it is not in that encoding."""
    try:
        return str(body, name).encode()
    except UnicodeError as error:
        raise InvalidInput(f"the body is no {name}: {error}"[:200]) from None


def accepted(headers: Mapping[str, str], media: str, size: int) -> str | None:
    """The coding that a caller would like its reply of that type and that many bytes in; None: as it is.

    Of codings liked equally gzip comes first. What cannot be read of the header names no coding. A list of codings is
    what most libraries send by themselves, and tensors in binary are asked for to be fast: those are coded only for
    one that names a single coding, as Triton's client does.
    """
    text = headers.get(ACCEPTS)
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
    if best == "identity" or found[best] == 0 or (media == MEDIA and len(liked) > 1):
        return None
    return best


def encoded(parts: Sequence[bytes | memoryview], coding: str) -> list[bytes] | None:
    """The body in that coding; None where it would hardly be smaller. Takes some 10 ms a megabyte, off the lock."""
    sample = max(parts, key=len)[:_SAMPLE]
    if len(zlib.compress(sample, _LEVEL)) * _LEAST_GAIN > len(sample):
        return None
    deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, _FORMATS[coding])
    return [*map(deflater.compress, parts), deflater.flush()]

"""The headers that a model adds to its reply: which of them a transport can send beside its own."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipeline.errors import WrongAnswer
from pipeline.tensors.shown import quoted

# They are about the connection (RFC 9110, 7.6.1) or say what only the transport or the codec knows of the body.
_NOT_THEIRS = frozenset(
    {"connection", "content-length", "date", "inference-header-content-length", "keep-alive", "proxy-connection"}
    | {"server", "te", "trailer", "transfer-encoding", "upgrade"}
)
TYPE = frozenset({"content-type"})
BODY = TYPE | {"content-encoding"}
"""What a model may say of a body that is its own."""
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105
"""What the name of a header is, and of a method (RFC 9110, 5.6.2)."""
# A value is a line of text (RFC 9110, 5.5).
_NAME = re.compile(TOKEN)
_TEXT = re.compile(r"[\x20-\x7e]*")
# What proxies and clients read at most (nginx 4 or 8 KiB, Node 16); coding a megabyte for HTTP/2 holds a server up.
_MOST = 16_384


def with_added(
    own: Mapping[str, str], added: Mapping[str, str], allowed: frozenset[str] = frozenset()
) -> Mapping[str, str]:
    """``own`` and those that the model adds; ``allowed``: what it may say of the body.

    Raises WrongAnswer naming one that would end its line, or is none, and where they are larger than others read.
    """
    if not added:
        return own
    headers, size = dict(own), 0
    for name, text in added.items():
        key = str(name).lower()
        if not _is_header(key, text):
            raise WrongAnswer(f"header {quoted(key)} of the answer is none: a name is a word, its text an ASCII line")
        size += _size(key, text)
        if size > _MOST:
            raise WrongAnswer(f"the headers of the answer are larger than {_MOST} bytes, at {quoted(key)}")
        if key not in _NOT_THEIRS and (key not in BODY or key in allowed):
            headers[key] = str(text)
    return headers


def sendable(headers: Mapping[str, str]) -> dict[str, str]:
    """Those that a reply can carry, none where they are larger than others read."""
    found = {name: text for name, text in headers.items() if _is_header(name, text)}
    return found if sum(map(_size, found, found.values())) <= _MOST else {}


def _is_header(name: str, text: object) -> bool:
    """Whether a reply can carry it, and it ends neither the line nor the header."""
    return _NAME.fullmatch(str(name)) is not None and _TEXT.fullmatch(str(text)) is not None


def _size(name: str, text: object) -> int:
    """Bytes on the wire."""
    return len(name) + len(str(text)) + len(": \r\n")

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
# A name and a value that end neither the line nor the header (RFC 9110, 5.1 and 5.5).
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\x20-\x7e]*")


def with_added(
    own: Mapping[str, str], added: Mapping[str, str], allowed: frozenset[str] = frozenset()
) -> Mapping[str, str]:
    """``own`` and those that the model adds; ``allowed``: what it may say of the body.

    Raises WrongAnswer naming one that would end its line, or is none.
    """
    if not added:
        return own
    headers = dict(own)
    for name, text in added.items():
        key = str(name).lower()
        if not is_header(key, text):
            raise WrongAnswer(f"header {quoted(key)} of the answer is none: a name is a word, its text an ASCII line")
        if key not in _NOT_THEIRS and (key not in BODY or key in allowed):
            headers[key] = str(text)
    return headers


def is_header(name: str, text: object) -> bool:
    """Whether they end neither the line nor the header."""
    return _HEADER.fullmatch(f"{name}: {text}") is not None

"""Which headers of a request travel on with a call, and which of them can; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pipeline.asking import headers_of
from pipeline.errors import InvalidInput
from pipeline.wire.codec import REQUEST_ID_HEADER, is_request_id

TRACE = ("traceparent", "tracestate")
"""https://www.w3.org/TR/trace-context"""
# Section 3.2.2: "00" has four fields, later versions may have more; no id is all zeros, and "ff" is no version.
_PARENT = re.compile(
    r"(?!ff)(?!00.{54})[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[\x21-\x7e]*)?"
)
# Section 3.3.1: members with a key and a value, 32 at most.
_MEMBER = r"[ \t]*(?:[a-z0-9][a-z0-9_*/@-]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{1,256})?[ \t]*"
_STATE = re.compile(rf"{_MEMBER}(?:,{_MEMBER}){{0,31}}")


def travelling(step: str, names: Sequence[str], given: Mapping[str, str], id: str) -> dict[str, str]:
    """Of the request's headers (names in lower case) those of ``names``, and its id.

    Not those that its ``connection`` names: they were for this server (RFC 9110, 7.6.1). A trace context that cannot be
    read is begun anew by who comes next, and goes no further. Raises InvalidInput that names step and header.
    """
    one_hop = {name.strip().lower() for name in given.get("connection", "").split(",")}
    found = {name: given[name] for name in names if name in given and name not in one_hop}
    if is_request_id(id):
        found.setdefault(REQUEST_ID_HEADER, id)
    if not _PARENT.fullmatch(found.get(TRACE[0], "")):
        found = {name: text for name, text in found.items() if name not in TRACE}
    elif not _STATE.fullmatch(found.get(TRACE[1], "")):
        del found[TRACE[1]]
    try:
        return headers_of(found)
    except InvalidInput as error:
        raise InvalidInput(f'step "{step}" cannot send it on: {error.message}') from None

"""What a body is, by its media type. Source: RFC 9110, 8.3; which types are JSON is KServe's list, and RFC 6839's."""

from __future__ import annotations

from collections.abc import Mapping

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
"""What curl says of every body, where nobody chose a type: it tells nothing of what came."""
# KServe reads what is untyped, and what is nothing but bytes, as JSON.
_READ_AS_JSON = frozenset({"", JSON, "text/json", "application/octet-stream"})


def media_of(headers: Mapping[str, str]) -> str:
    """The media type without its parameters, in lower case; empty where none is given."""
    media = headers.get("content-type", "")
    return media if media in _READ_AS_JSON else media.partition(";")[0].strip().lower()


def is_json(media: str) -> bool:
    """Whether a body of that type is read as JSON."""
    return media in _READ_AS_JSON or media.endswith("+json")

"""Reading URIs; pure."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+)://")


def scheme_of(uri: str) -> str:
    """``s3`` of ``s3://bucket/key``; the empty text for a plain path (a Windows drive letter is no scheme)."""
    found = _SCHEME.match(uri)
    return found[1].lower() if found else ""

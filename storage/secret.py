"""Texts without their secrets: what of a URI, an error or a set of options may be shown. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, urlsplit

# Shorter words are no secret, and stand in every other text.
_LEAST = 6
# Presigned URLs and SAS tokens carry theirs in the query.
_QUERY = re.compile(r"""(\b[A-Za-z][A-Za-z0-9+.\-]*://[^\s"'<>?]*)\?[^\s"'<>,)]*""")
_USER = re.compile(r"""(\b[A-Za-z][A-Za-z0-9+.\-]*://)[^/\s"'<>@]*@""")
_NAMES = re.compile(r"(?i)\b(authorization|x-amz-security-token|bearer|signature|sig)(\s*[:=]\s*|\s+)\S+")


def shown(uri: str) -> str:
    """The URI without user, password, query and fragment; a plain path as it is."""
    if "://" not in uri:
        return uri
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """A library's text without those secrets, in whichever coding, and without what URLs in it carry of their own."""
    for secret in secrets:
        if len(secret) >= _LEAST:
            for form in {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}:
                text = text.replace(form, "…")
    return _NAMES.sub(r"\1\2…", _USER.sub(r"\1", _QUERY.sub(r"\1", text)))

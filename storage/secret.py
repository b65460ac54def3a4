"""Texts without their secrets: what of a URI, an error or a set of options may be shown. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

# Shorter words are no secret, and stand in every other text.
_LEAST = 6
# Presigned URLs and SAS tokens carry theirs in the query.
_QUERY = re.compile(r"""(\b[A-Za-z][A-Za-z0-9+.\-]*://[^\s"'<>?]*)\?[^\s"'<>,)]*""")
_USER = re.compile(r"""(\b[A-Za-z][A-Za-z0-9+.\-]*://)[^/\s"'<>@]*@""")
# Not the words by themselves, which stand in every explanation.
_NAMES = re.compile(
    r"(?i)\b((?:authorization|x-amz-security-token|signature|sig)\s*[:=]\s*)(?:(?:bearer|basic)\s+)?\S+|\b(bearer\s+)\S+"
)
# The user ends at the last @ of the authority, or behind it where the password has a / or # that was not coded.
_PARTS = re.compile(
    r"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?#]*@|[^/?#:]*:(?!\d*(?:[/?#]|$))[^@]*@)?([^?#]*)(.*)", re.DOTALL
)
# Of these the part before the @ is what is asked for.
_CONTAINERS = frozenset({"abfs", "abfss"})
_WEB = frozenset({"http", "https"})


def shown(uri: str) -> str:
    """The URI without user, password, fragment and a query that says anything; a plain path as it is."""
    parts = _PARTS.match(uri)
    if parts is None:
        return uri
    scheme, user, place, more = parts[1], parts[2] or "", parts[3], parts[4]
    named = user if scheme.lower() in _CONTAINERS and ":" not in user else ""
    # A key of an object store may have a ? in it.
    kept = "" if scheme.lower() in _WEB or "=" in more else more
    return f"{scheme}://{named}{place}{kept}"


def legible(text: str) -> str:
    """One line without control characters: what others wrote neither steers a terminal nor looks like our own words."""
    return "".join(own if own.isprintable() else " " if own.isspace() else "\N{REPLACEMENT CHARACTER}" for own in text)


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """A library's text without those secrets, in whichever coding, and without what URLs in it carry of their own."""
    for secret in secrets:
        if len(secret) >= _LEAST:
            for form in {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}:
                text = text.replace(form, "…")
    return _NAMES.sub(lambda found: f"{found[1] or found[2]}…", _USER.sub(r"\1", _QUERY.sub(r"\1", text)))

"""Reading URIs; pure."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+)://")


def scheme_of(uri: str) -> str:
    """``s3`` of ``s3://bucket/key``; the empty text for a plain path (a Windows drive letter is no scheme)."""
    found = _SCHEME.match(uri)
    return found[1].lower() if found else ""


def host_of(uri: str) -> str:
    """The host, in lower case, without user and port; the empty text where there is none, or none can be read."""
    try:
        return urlsplit(uri).hostname or ""
    except ValueError:
        return ""


def bucket_and_key(uri: str) -> tuple[str, str]:
    """``("bucket", "a/b c")`` of ``s3://bucket/a/b c``: keys of object stores are taken as written, ``?`` and all.

    A ``/`` at the end stays: it says that a prefix is meant.
    """
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


def file_name(uri: str) -> str:
    """The name of the file that an http(s) URI leads to, its percent-coding undone; "" where it has none."""
    return unquote(urlsplit(uri).path.rpartition("/")[2])

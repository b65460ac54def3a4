"""Reading URIs; pure."""

from __future__ import annotations

import re
from collections.abc import Container
from urllib.parse import unquote, urlsplit

from storage.secret import shown

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+)://")
_SLIP = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):/?([^/].*)", re.DOTALL)


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


def malformed(uri: str) -> str | None:
    """Why this is no URI that a scheme could read further; None where it may be, or is a path."""
    if scheme_of(uri):
        try:
            _ = urlsplit(uri).port
        except ValueError:  # whose text repeats the user and the password
            return f'"{shown(uri)}" has a host or a port that cannot be read'
    return None


def slashed(uri: str, known: Container[str]) -> str | None:
    """``s3://b/k`` of ``s3:/b/k`` and ``s3:b/k``: what was meant, where that is one of the known schemes."""
    found = _SLIP.fullmatch(uri)
    return f"{found[1]}://{found[2]}" if found and found[1].lower() in known else None


def bucket_and_key(uri: str) -> tuple[str, str]:
    """``("bucket", "a/b c")`` of ``s3://bucket/a/b c``: keys of object stores are taken as written, ``?`` and all.

    A ``/`` at the end stays: it says that a prefix is meant.
    """
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


def file_name(uri: str) -> str:
    """The name of the file that an http(s) URI leads to, its percent-coding undone; "" where it has none."""
    return unquote(urlsplit(uri).path.rpartition("/")[2])

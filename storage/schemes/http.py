"""``http://`` and ``https://``: one file, with its query and the headers that KServe's variables hold."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from storage.connection import connection
from storage.failures import Who
from storage.options import Settings, headers_in
from storage.secret import shown
from storage.source import Remote
from storage.uri import file_name, host_of, scheme_of

KEYS = ("http", "https")
# What presigned URLs carry beside what they lead to: of AWS and GCS (V4, V2), and of a SAS token of Azure.
_SIGNED = re.compile(r"(?i)x-(amz|goog)-.*|signature|expires|awsaccesskeyid|googleaccessid")
_SAS = re.compile(r"sig|s[eiprstv]|spr|sip|srt|sdd|sks|skv|skt|ske|skoid|sktid|saoid|suoid|scid")
# KServe reads folders of them, by an API of their own.
_SHARE = re.compile(r"[a-z0-9-]+\.(file\.core\.windows\.net|z[0-9]{1,2}\.file\.storage\.azure\.net)")


def refusal(uri: str) -> str | None:
    if not host_of(uri):
        return f'"{shown(uri)}" has no host; write {scheme_of(uri)}://HOST/PATH/FILE'
    if urlsplit(uri).path.endswith(".git"):
        return f'"{shown(uri)}" is a git repository, which is not fetched; name a file, or an archive of it'
    if _SHARE.fullmatch(host_of(uri)) and "sig=" not in urlsplit(uri).query:
        return (
            f'"{shown(uri)}" is in an Azure file share, of which one file is read, by a SAS token in its URL; '
            "put the model into a container of blobs"
        )
    name = file_name(uri)
    if not name:
        return f'"{shown(uri)}" names no file; a web server cannot list a folder'
    if "/" in name or name in (".", ".."):
        return f'"{shown(uri)}" ends in a name that is no file name'
    return None


def open_source(uri: str, settings: Settings) -> Remote:
    from storage.web import WebFile  # noqa: PLC0415  # what it imports is slow, and `check` downloads nothing

    host = host_of(uri)
    user, more = sign_in(uri), headers_for(host, settings)
    headers = {**user, **more}
    known = ["the user in the URL"] if user else []
    known += [f"{host}-headers ({', '.join(sorted(more))})"] if more else []
    tried = " with ".join(known) or "nobody in particular"
    who = Who(
        "HTTP", shown(uri), tried, f'set {host}-headers to a JSON object, {{"Authorization": "Bearer …"}}',
        tuple(headers.values()),
    )  # fmt: skip
    parts = urlsplit(uri)
    url = urlunsplit((parts.scheme.lower(), parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
    how = connection(settings, plain=parts.scheme.lower() == "http", headers=headers)
    return WebFile(who, lasting(url), url, file_called(uri), how)


def file_called(uri: str) -> str:
    """The name that its file gets: the path's, but where that tells no kind and the query ends in an archive's, that.

    So does KServe: ``/download?file=m.tar.gz`` is unpacked.
    """
    from storage.archive import is_archive  # noqa: PLC0415

    name, last = file_name(uri), unquote(urlsplit(uri).query).rpartition("=")[2].rpartition("/")[2]
    return last if "." not in name and is_archive(last) else name


def sign_in(uri: str) -> Mapping[str, str]:
    """``user:password@`` of the URI as a header; obstore would drop it."""
    user, at, _ = urlsplit(uri).netloc.rpartition("@")
    if not at:
        return {}
    name, _, password = user.partition(":")
    coded = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
    return {"authorization": f"Basic {coded}"}


def headers_for(host: str, settings: Settings) -> Mapping[str, str]:
    """KServe's variable ``<host>-headers``: a JSON object. Raises StorageError, without its text, where it is none."""
    name = f"{host}-headers"
    return headers_in(name, settings.get(name))


def lasting(url: str) -> str:
    """The URL without a signature in its query, so that two of one file are one file in the cache."""
    parts = urlsplit(url)
    told = parse_qsl(parts.query, keep_blank_values=True)
    signed = _SAS if any(name == "sig" for name, _ in told) else _SIGNED
    kept = [(name, value) for name, value in told if not signed.fullmatch(name)]
    return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(kept), ""))

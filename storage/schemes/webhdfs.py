"""``webhdfs://NODE[:PORT]/PATH``, ``hdfs://``, and ``swebhdfs://`` over TLS: HDFS, with KServe's secrets."""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from storage.connection import Connection, connection
from storage.errors import StorageError
from storage.failures import Who
from storage.options import Settings, headers_in
from storage.secret import shown
from storage.source import Remote
from storage.uri import scheme_of

KEYS = ("webhdfs", "hdfs", "swebhdfs")
_SECRETS = "/var/secrets/kserve-hdfscreds"  # where KServe mounts them
_KERBEROS = ("KERBEROS_PRINCIPAL", "KERBEROS_KEYTAB")
_CERTIFICATES = ("TLS_CA", "TLS_CERT", "TLS_KEY")
_PORTS = {"http": 9870, "https": 9871}
_SET = "set HADOOP_USER_NAME to a user that may read it, or USER_PROXY to one that you may act for"


def refusal(uri: str) -> str | None:
    """Why the URI cannot be of HDFS; one without a host is of the name node in ``HDFS_NAMENODE``."""
    parts = urlsplit(uri)
    if not parts.path.strip("/"):
        return f'"{shown(uri)}" names no path; write webhdfs://NODE:PORT/PATH'
    if ".." in parts.path.split("/"):
        return f'"{shown(uri)}" has ".." in its path'
    return None


def open_source(uri: str, settings: Settings) -> Remote:
    """Raises StorageError for Kerberos, for a URI without a name node, and for secrets that cannot be read."""
    from storage.hdfs import Hdfs  # noqa: PLC0415  # slow, and `check` downloads nothing

    if any(settings.get(name) or _file(settings, name).is_file() for name in _KERBEROS):
        raise StorageError(
            f"{shown(uri)} cannot be read with Kerberos, which is not spoken here; put a gateway before it (Knox, "
            "HttpFS) and give its headers in HEADERS, or unset KERBEROS_PRINCIPAL"
        )
    node = name_node(uri, settings)
    address = uri.partition("://")[2]
    user = urlsplit(uri).username or settings.get("HADOOP_USER_NAME")
    other = secret(settings, "USER_PROXY")
    headers = headers_in("HEADERS", secret(settings, "HEADERS"))
    tried = f"the user {user}" if user else "nobody in particular: no user is set"
    tried = f"{tried}, for the user {other} (USER_PROXY)" if other else tried
    asks = {**({"user.name": user} if user else {}), **({"doas": other} if other else {})}
    who = Who("HDFS", shown(uri), tried, _SET, tuple(headers.values()))
    how = _secured(connection(settings, plain=node.startswith("http:"), headers=headers), settings)
    inside = address.partition("/")[2].strip("/")
    root = (secret(settings, "HDFS_ROOTPATH") or "").strip("/")
    path = f"/{root}/{inside}" if root else f"/{inside}"
    return Hdfs(who, f"{node}{path}", node, path, how, asks)


def name_node(uri: str, settings: Settings) -> str:
    """http(s)://HOST:PORT. Raises StorageError where neither the URI nor ``HDFS_NAMENODE`` has one."""
    host = urlsplit(uri).netloc.rpartition("@")[2]
    told = (secret(settings, "HDFS_NAMENODE") or "").rstrip("/")
    secure = scheme_of(uri) == "swebhdfs" or told.startswith("https:") or secret(settings, "TLS_CERT") is not None
    scheme = "https" if secure else "http"
    if host:
        return f"{scheme}://{host}" if urlsplit(f"//{host}").port else f"{scheme}://{host}:{_PORTS[scheme]}"
    if not told:
        raise StorageError(f"{shown(uri)} names no name node; write webhdfs://NODE:PORT/PATH, or set HDFS_NAMENODE")
    return told if "://" in told else f"{scheme}://{told}"


def secret(settings: Settings, name: str) -> str | None:
    """A variable, or the file of that name among KServe's secrets; certificates as PEM, also where they are in base64.

    Raises StorageError for a certificate that is neither.
    """
    told = settings.get(name)
    if told is None:
        try:
            told = _file(settings, name).read_text().strip()
        except OSError:
            return None
    if name not in _CERTIFICATES or not told or "-----BEGIN" in told:
        return told or None
    try:
        return base64.b64decode(told, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise StorageError(f"{name} is neither PEM nor PEM in base64") from None


def _file(settings: Settings, name: str) -> Path:
    return Path(settings.get("HDFS_SECRET_DIR") or _SECRETS, name)


def _secured(how: Connection, settings: Settings) -> Connection:
    authority, own, key = (secret(settings, name) for name in ("TLS_CA", "TLS_CERT", "TLS_KEY"))
    skip = (secret(settings, "TLS_SKIP_VERIFY") or "false").lower() in ("true", "1")
    return replace(
        how,
        certificates=authority.encode() if authority else how.certificates,
        identity=(own, key) if own and key else None,
        verify=how.verify and not skip,
    )

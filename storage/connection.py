"""How every source is connected to: timeouts, certificates, and no retries but ours. Pure, but for certificate files.

obstore's defaults would end a body after 30 s, and its own retries can neither be cancelled nor told how long to wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from storage.errors import StorageError
from storage.options import Settings

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

RETRIES: RetryConfig = {"max_retries": 0, "retry_timeout": timedelta(minutes=10)}
_CA_FOLDER = "/etc/ssl/custom-certs"


@dataclass(frozen=True, slots=True)
class Connection:
    """Seconds to connect and between two reads, what is trusted, and headers with every request."""

    connect: float = 15.0
    read: float = 30.0
    certificates: bytes | None = field(default=None, repr=False)
    verify: bool = True
    plain: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    identity: tuple[str, str] | None = field(default=None, repr=False)
    """Our own certificate and its key (PEM), for the sources that are read without obstore."""

    def options(self) -> ClientConfig:
        """As obstore takes it."""
        options: ClientConfig = {
            "connect_timeout": f"{int(self.connect * 1000)}ms",
            "read_timeout": f"{int(self.read * 1000)}ms",
            "timeout": "24h",
            "pool_max_idle_per_host": "64",
            "allow_http": self.plain,
            "user_agent": "pipeline-serve",
        }
        if self.certificates is not None:
            options["root_certificate"] = self.certificates
        if not self.verify:
            options["allow_invalid_certificates"] = True
        if self.headers:
            options["default_headers"] = dict(self.headers)
        return options


def connection(settings: Settings, *, plain: bool, headers: Mapping[str, str] | None = None) -> Connection:
    """By KServe's ``S3_CONNECT_TIMEOUT``, ``S3_READ_TIMEOUT``, ``AWS_CA_BUNDLE``, ``CA_BUNDLE_CONFIGMAP_NAME``.

    Raises StorageError for a certificate file that is not there.
    """
    file = settings.get("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
    if file is None and settings.get("CA_BUNDLE_CONFIGMAP_NAME"):
        file = f"{settings.get('CA_BUNDLE_VOLUME_MOUNT_POINT') or _CA_FOLDER}/cabundle.crt"
    return Connection(
        connect=settings.seconds("S3_CONNECT_TIMEOUT", 15),
        read=settings.seconds("S3_READ_TIMEOUT", 30),
        certificates=None if file is None else _certificates(Path(file)),
        plain=plain,
        headers=headers or {},
    )


def _certificates(file: Path) -> bytes:
    try:
        told = file.read_bytes()
    except OSError as error:
        raise StorageError(f"the CA bundle {file} cannot be read: {error.strerror}") from None
    if b"-----BEGIN CERTIFICATE-----" not in told:
        raise StorageError(f"the CA bundle {file} has no certificates in it (PEM: -----BEGIN CERTIFICATE-----)")
    return told

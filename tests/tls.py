"""TLS for tests: a certificate that vouches for itself, and raw behaviours behind it."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.raw import Behave


def self_signed(folder: Path) -> tuple[Path, Path]:
    """(certificate, key) of 127.0.0.1, in ``cert.pem`` and ``key.pem`` of the folder. Skips without openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem",
    ]  # fmt: skip
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


def signed(folder: Path) -> tuple[Path, tuple[Path, Path]]:
    """(an authority's certificate, (certificate, key) of 127.0.0.1 that it has signed). Skips without openssl.

    rustls takes no certificate of an authority for that of a server, as ``self_signed`` makes them.
    """
    authority, key = self_signed(folder)
    (folder / "leaf.ext").write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    ask = "openssl req -new -newkey rsa:2048 -nodes -subj /CN=leaf -keyout leaf.key -out leaf.csr"
    sign = f"openssl x509 -req -in leaf.csr -CA {authority} -CAkey {key} -CAcreateserial -days 2 -out leaf.pem"
    for command in (ask, f"{sign} -extfile leaf.ext"):
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return authority, (folder / "leaf.pem", folder / "leaf.key")


def secured(folder: Path) -> tuple[str, ...]:
    """The flags of a server that speaks TLS, with a certificate that is made for it. Skips without openssl."""
    certificate, key = self_signed(folder)
    return "--tls-cert", str(certificate), "--tls-key", str(key)


def trusting(*protocols: str) -> ssl.SSLContext:
    """Of a client that trusts whoever answers, and speaks these protocols (ALPN)."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


def over_tls(
    certificate: tuple[Path | str, Path | str],
    behave: Callable[[bool], Behave],
    verify_mode: ssl.VerifyMode = ssl.CERT_OPTIONAL,
) -> Behave:
    """``behave(shown)`` of each connection, inside TLS; ``shown``: whether its client showed this certificate too."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    context.load_verify_locations(certificate[0])
    context.verify_mode = verify_mode

    def secured(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as stream:
            behave(bool(stream.getpeercert()))(stream)

    return secured

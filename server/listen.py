"""Binding the port, with an error that names it; and saying where the server is."""

from __future__ import annotations

import errno
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path


class CannotListen(Exception):
    """The address cannot be bound; the text is one line with the way out."""


@dataclass(frozen=True, slots=True)
class Listening:
    """A bound and listening socket. ``url`` is what a client on this machine uses."""

    socket: socket.socket
    url: str
    unix_path: Path | None


# What others queue on a listener (nginx 511, gunicorn 2048); the kernel caps it at net.core.somaxconn anyway.
_BACKLOG = 2048


def listen(host: str, port: int, *, secure: bool) -> Listening:
    """Binds and listens. Raises CannotListen."""
    if host.startswith("unix:"):
        return _listen_unix(Path(host.removeprefix("unix:")))
    host = host.removeprefix("[").removesuffix("]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, OverflowError, UnicodeError) as error:
        raise CannotListen(f'there is no address "{host}" port {port}: {error}') from None
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        hint = (
            "another process has it; choose another with --http-port"
            if error.errno == errno.EADDRINUSE
            else error.strerror
        )
        raise CannotListen(f"port {port} on {host} cannot be bound: {hint}") from None
    bound.setblocking(False)
    shown = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    scheme = "https" if secure else "http"
    return Listening(bound, f"{scheme}://{shown}:{bound.getsockname()[1]}", None)


def _listen_unix(path: Path) -> Listening:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _answers(path):
            path.unlink()
        bound.bind(os.fspath(path))
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise CannotListen(f"the socket {path} cannot be bound: {error.strerror or error}") from None
    bound.setblocking(False)
    return Listening(bound, f"unix:{path}", path)


def _answers(path: Path) -> bool:
    """Whether somebody listens on that socket; one that a dead server left behind is refused."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            return False
    return True

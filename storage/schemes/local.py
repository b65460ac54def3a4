"""Plain paths and ``file://``: nothing is copied."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import trio

KEYS = ("", "file")


async def fetch(uri: str, folder: Path) -> Path:
    """The path itself, absolute; relative paths are relative to ``folder``.

    Raises FileNotFoundError that names the path as it was written and where it was looked for. Cancelled, nothing has
    changed.
    """
    path = await trio.Path(folder, _path(uri)).absolute()
    if not await path.exists():
        raise FileNotFoundError(f'there is no model at "{uri}"; looked at {path}')
    return Path(path)


def refusal(uri: str) -> str | None:
    """Why the URI cannot be a local file, told without looking; None where it can."""
    if uri.lower().startswith("file:") and urlsplit(uri).netloc not in ("", "localhost"):
        return f'"{uri}" names a host; write file:///PATH'
    return None


def _path(uri: str) -> str:
    return unquote(urlsplit(uri).path) if uri.lower().startswith("file:") else uri

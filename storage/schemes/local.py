"""Plain paths, ``file://`` and mounted volumes (``pvc://``): nothing is copied."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from storage.errors import NotThere, Unsafe
from storage.options import Settings
from storage.source import Local
from storage.uri import bucket_and_key, scheme_of

KEYS = ("", "file", "pvc")
HERE = True
# Where KServe's webhook mounts a claim.
_VOLUMES = "/mnt/pvc"


def refusal(uri: str) -> str | None:
    """Why the URI cannot be a local path, told without looking; None where it can."""
    match scheme_of(uri):
        # As a path it would be the folder that one happens to stand in; who means that writes a dot.
        case "" | "file" if not _path(uri):
            return f'"{uri}" names no model; write a path, file:///PATH or another URI'
        case "file" if urlsplit(uri).netloc not in ("", "localhost"):
            return f'"{uri}" names a host; write file:///PATH'
        case "pvc":
            claim, path = bucket_and_key(uri)
            if claim in ("", ".", ".."):
                return f'"{uri}" names no claim; write pvc://NAME/PATH'
            if ".." in path.split("/"):
                return f'"{uri}" leaves its volume'
    return None


def open_source(uri: str, settings: Settings) -> Local:
    """The path itself, absolute; relative paths are relative to the settings' folder.

    Raises NotThere that names the path as it was written and where it was looked for; Unsafe for a path or a link in it
    that leaves the volume of a ``pvc://``.
    """
    if scheme_of(uri) == "pvc":
        return Local(_in_volume(uri, Path(settings.get("PIPELINE_SERVE_PVC_ROOT") or _VOLUMES)))
    path = Path(settings.folder, _path(uri)).absolute()
    if not _exists(path):
        raise NotThere(f'there is no model at "{uri}"; looked at {path}')
    return Local(path)


def _in_volume(uri: str, root: Path) -> Path:
    """``root/NAME/PATH``, or ``root/PATH`` where the one volume is mounted at the root, as KServe does."""
    claim, inside = bucket_and_key(uri)
    volumes = [root / claim, root]
    for volume in volumes:
        path = volume / inside
        if _exists(path):
            within = volume.resolve()
            for own in (path, *_links(path)):
                if not own.resolve().is_relative_to(within):
                    raise Unsafe(f"{uri} leaves its volume: {own} leads to {own.resolve()}")
            return path.absolute()
    looked = " and ".join(str(volume / inside) for volume in volumes)
    raise NotThere(f'there is no model at "{uri}"; looked at {looked}')


def _links(path: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(path):
        yield from (own for name in (*folders, *files) if (own := Path(folder, name)).is_symlink())


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except ValueError:
        return False  # a NUL in it


def _path(uri: str) -> str:
    return unquote(urlsplit(uri).path) if uri.lower().startswith("file:") else uri

"""A URI to the scheme that serves it, and through it to a local path."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from storage.uri import scheme_of

# Schemes of the contract whose file is not there yet.
_LATER = frozenset({"http", "https", "s3", "gs", "az", "abfs", "abfss", "pvc", "hf", "webhdfs", "hdfs", "memory"})


class Scheme(Protocol):
    """A file of ``storage/schemes/``."""

    KEYS: Sequence[str]

    def refusal(self, uri: str, /) -> str | None: ...

    async def fetch(self, uri: str, folder: Path, /) -> Path: ...


def refusal(uri: str) -> str | None:
    """Why this URI cannot be fetched, told without looking for it; None where it can be tried."""
    scheme = scheme_of(uri)
    schemes = _schemes()
    if scheme in schemes:
        return schemes[scheme].refusal(uri)
    if scheme in _LATER:
        return f"{scheme}:// is known but not built yet; a path or file:// works"
    known = ", ".join(f"{name}://" for name in sorted(schemes) if name)
    return f'no scheme "{scheme}://" is known; there are paths and {known}'


async def fetch(uri: str, folder: Path) -> Path:
    """The local path of what the URI names; relative paths are relative to ``folder``.

    Raises OSError that names what was looked for, ValueError for a URI that ``refusal`` refuses. Cancelled, it leaves
    nothing half-made behind.
    """
    reason = refusal(uri)
    if reason is not None:
        raise ValueError(reason)
    return await _schemes()[scheme_of(uri)].fetch(uri, folder)


def _schemes() -> dict[str, Scheme]:
    import storage.schemes as folder  # noqa: PLC0415  # found by their files, when first asked for

    found: dict[str, Scheme] = {}
    for file in pkgutil.iter_modules(folder.__path__):
        module: Any = importlib.import_module(f"{folder.__name__}.{file.name}")
        found |= dict.fromkeys(module.KEYS, module)
    return found

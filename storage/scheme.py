"""A URI to the scheme that serves it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Any, Protocol

from storage.options import Settings
from storage.source import Local, Remote
from storage.uri import host_of, scheme_of


class Scheme(Protocol):
    """A file of ``storage/schemes/``. ``KEYS``: the schemes it serves.

    One that also has ``HOSTS`` (a compiled pattern) serves the ``https`` URIs of the hosts that match; ``OPTIONS`` is
    what a step may say under ``storage``: option → the variable that it stands for. ``HERE``: what it names is on this
    machine, and found without asking anybody.
    """

    KEYS: Sequence[str]

    def refusal(self, uri: str, /) -> str | None:
        """Why this URI cannot be fetched, told without looking for it; None where it can be tried."""
        ...

    def open_source(self, uri: str, settings: Settings, /) -> Local | Remote:
        """Where the model is, or a source to read it from. It may block.

        Raises StorageError for local files that are not there, and for settings that make no sense.
        """
        ...


def scheme_for(uri: str) -> Scheme | None:
    """The one that serves this URI, by the host's name where that tells more."""
    known = schemes()
    if scheme_of(uri) == "https":
        for module in known.values():
            hosts = getattr(module, "HOSTS", None)
            if hosts is not None and hosts.fullmatch(host_of(uri)):
                return module
    return known.get(scheme_of(uri))


def schemes() -> dict[str, Scheme]:
    """All that there are, by the words that URIs begin with."""
    import storage.schemes as folder  # noqa: PLC0415  # found by their files, when first asked for

    found: dict[str, Scheme] = {}
    for file in pkgutil.iter_modules(folder.__path__):
        module: Any = importlib.import_module(f"{folder.__name__}.{file.name}")
        found |= dict.fromkeys(module.KEYS, module)
    return found

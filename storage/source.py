"""What a scheme opens a URI to: files that are there already, or a source to be read in threads."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from storage.listing import Item, Listing

CHUNK = 2**18
"""Bytes per piece of a body: it is copied with the GIL held, and a trio loop beside it should not notice. Larger ones
cost 40 MiB more for 16 connections and save nothing."""


@dataclass(frozen=True, slots=True)
class Local:
    """Files that stay where they are."""

    path: Path


class Remote(Protocol):
    """Files somewhere else. Everything here blocks, is called from several threads at once, and tries once."""

    @property
    def shown(self) -> str:
        """The source, in messages; without secrets."""
        ...

    @property
    def name(self) -> str:
        """The source, in the cache: without credentials, but with all that leads to other contents."""
        ...

    def listing(self) -> Listing:
        """What there is. Raises a StorageError."""
        ...

    def read(self, item: Item, start: int, stop: int | None, /) -> Generator[bytes, None, None]:
        """The bytes from ``start`` to before ``stop`` (None: to the end), in pieces of some ``CHUNK``.

        Closing the iterator closes the connection. Raises Changed where the object is not the listed one, Unranged
        where only the whole can be had, Unreachable for what is worth another try, another StorageError for the rest.
        """
        ...

    def asked_to_wait(self, item: Item | None, /) -> float:
        """Seconds after which the source wants to be asked again, 0 where it does not say; asked after a Busy."""
        ...

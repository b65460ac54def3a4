"""Who asks a cloud's store, and with which credential."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from storage.errors import StorageError

Credential = Callable[[], Any]
"""What obstore calls for keys or a token, and again when those have expired. It blocks, and raises a StorageError."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who asks: as errors call it, what gives its credential, and what of it is secret; nobody where nothing does.

    A credential is always told to obstore as such a function: with its plain settings it mixes in those of the
    process's environment. ``config``: plain settings all the same, for the one kind that it alone can sign with.
    """

    tried: str
    credential: Credential | None = field(default=None, repr=False)
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def nobody(self) -> bool:
        """Whether nothing is signed."""
        return self.credential is None and not self.config


NOBODY = Account("nobody in particular")
"""Offline the cache is asked alone, and it needs no credential: one that cannot be had is none of its business."""


def plain(whose: str, *words: str | None) -> None:
    """Raises StorageError for words that no header can hold: line ends, as an editor leaves them, and the like."""
    if not all(word is None or (word.isascii() and word.isprintable()) for word in words):
        raise StorageError(f"{whose} has a line end in it, or another character that no credential has")

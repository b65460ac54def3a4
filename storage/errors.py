"""What can go wrong on the way to a model. Every text names the source without its secrets, and the way out."""

from __future__ import annotations


class StorageError(OSError):
    """A model could not be brought. The text is one line, meant for the person who named the URI."""


class Offline(StorageError):
    """Only the cache may be asked, and it does not have it."""


class Corrupt(StorageError):
    """The bytes are not those of their digest, or not of an archive."""


class NotThere(StorageError, FileNotFoundError):
    """The source answered, and has no such thing."""


class Denied(StorageError, PermissionError):
    """The source does not show it to this credential, or to nobody without one."""


class Unreachable(StorageError):
    """Nobody answered, or not to the end: worth another try."""


class Untrusted(Unreachable):
    """TLS cannot be spoken with it, or its certificate proves nothing. So it will stay, unless it had been spoken."""


class Busy(Unreachable):
    """The source asks to come again later (429, 503)."""


class Changed(StorageError):
    """The object is no longer the one that was listed."""


class Unranged(StorageError):
    """The source gives whole objects only, and was asked for a part."""


class Unsafe(StorageError):
    """A name, link or archive that would reach beyond its folder, or grow beyond its limits."""


class NoSpace(StorageError):
    """The disk has no room for it."""


class Cancelled(Exception):
    """A blocking call saw its cancel flag. What it left behind is what its docstring says."""

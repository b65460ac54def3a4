"""What a source holds, and what of it goes where: names that are safe, patterns, folders without their prefix. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from storage.errors import NotThere, StorageError, Unsafe

# NAME_MAX of every file system that people keep models on.
_LONGEST = 255
# PATH_MAX is 4096 bytes, and the model's folder has a name too. No honest model is deeper than some ten folders.
_LONGEST_NAME, _DEEPEST = 3000, 100
MOST = 1_000_000
"""Files of a model: as many as an archive may have members. A listing that goes on has no end."""


@dataclass(frozen=True, slots=True)
class Item:
    """One file to be: ``name`` is relative to the model's folder, ``key`` is what the source calls it.

    ``size`` in bytes, None where the source does not tell. ``version`` is what changes when the object does (an etag,
    a time), None where nothing tells. ``digest`` is ``sha256:…`` or ``git-sha1:…``. ``ranged``: parts can be asked for.
    """

    name: str
    key: str
    size: int | None
    version: str | None = None
    digest: str | None = None
    ranged: bool = True


@dataclass(frozen=True, slots=True)
class Listing:
    """All files of a model. ``single``: the URI names one object, not what lies under a prefix."""

    items: tuple[Item, ...]
    single: bool = False

    @property
    def size(self) -> int | None:
        """Bytes of all files, None where one is not known."""
        sizes = [item.size for item in self.items]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def versioned(self) -> bool:
        """Whether a later listing tells if anything has changed."""
        return all(item.version or item.digest for item in self.items)

    def unranged(self) -> Listing:
        """The same files, each to be taken whole."""
        return replace(self, items=tuple(replace(item, ranged=False) for item in self.items))

    def told(self) -> list[list[Any]]:
        """As JSON holds it, in the order of names."""
        return sorted([item.name, item.size, item.version, item.digest] for item in self.items)


def identity(uri: str, listing: Listing) -> str:
    """The name of these contents of this URI: 32 hexadecimal digits."""
    return _digest([uri, listing.told()])


def request_key(uri: str, allow: Sequence[str], ignore: Sequence[str], digest: str | None = None) -> str:
    """The name of this question, whatever the answer is at the time: 32 hexadecimal digits."""
    return _digest([uri, list(allow), list(ignore), digest])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def single(source: str, item: Item) -> Listing:
    """One object under its own name. Raises Unsafe where that cannot name a file."""
    _check(source, item.name, item.key)
    return Listing((item,), single=True)


def under(source: str, prefix: str, found: Iterable[Item]) -> Listing:
    """What lies under a prefix, without it; ``found`` has whole keys as names.

    Placeholders of folders (empty objects that other keys lie under) are dropped. Raises NotThere where nothing is
    left, Unsafe for keys that are no file name below the folder, and for a key that is both a file and a folder.
    """
    start = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    items: list[Item] = []
    names: set[str] = set()
    for item in found:
        if item.name in names or len(names) == MOST:
            raise Unsafe(f"{source} lists {_quoted(item.key)} a second time, or more than {MOST:,} files")
        names.add(item.name)
        if item.name.startswith(start):
            items.append(replace(item, name=item.name.removeprefix(start)))
    folders = {parent for item in items for parent in _parents(item.name)}
    kept = [item for item in items if item.name and not (item.size == 0 and item.name in folders)]
    for item in kept:
        _check(source, item.name, item.key)
        if item.name in folders:
            raise Unsafe(f'{source} has "{item.key}" both as a file and as a folder; ignore one of them by a pattern')
    if not kept:
        raise NotThere(f"there is no model at {source}: no object has that name, and none lies under it")
    return Listing(tuple(sorted(kept, key=lambda item: item.name)))


def chosen(source: str, listing: Listing, allow: Collection[str], ignore: Collection[str]) -> Listing:
    """The files that a pattern of ``allow`` fits (all where there is none) and none of ``ignore``; ``*`` crosses ``/``.

    A single object is what was asked for, whatever the patterns say. Raises NotThere where none is left.
    """
    if listing.single or not (allow or ignore):
        return listing
    kept = tuple(item for item in listing.items if fits(item.name, allow, ignore))
    if not kept:
        raise NotThere(f"{source} has {len(listing.items)} files, and the patterns leave none of them")
    return replace(listing, items=kept)


def expected(source: str, listing: Listing, digest: str | None) -> Listing:
    """The listing with the digest that its one file must have. Raises StorageError where there are more."""
    if digest is None:
        return listing
    if len(listing.items) != 1:
        raise StorageError(
            f"{source} has {len(listing.items)} files, and a sha256 goes with one; name one file or archive"
        )
    return replace(listing, items=(replace(listing.items[0], digest=digest),))


def fits(name: str, allow: Collection[str], ignore: Collection[str]) -> bool:
    """Whether the patterns leave that name; ``*`` crosses ``/``."""
    allowed = not allow or any(fnmatchcase(name, pattern) for pattern in allow)
    return allowed and not any(fnmatchcase(name, pattern) for pattern in ignore)


def _parents(name: str) -> Iterable[str]:
    segments = name.split("/")
    return ("/".join(segments[:count]) for count in range(1, len(segments)))


def _check(source: str, name: str, key: str) -> None:
    reason = unsafe(name)
    if reason is not None:
        raise Unsafe(f"{source} has {_quoted(key)}, which is no file below its folder: {reason}; nothing was written")


def unsafe(name: str) -> str | None:
    """Why this relative name, with ``/`` between folders, may not be written below a folder; None where it may."""
    if not name:
        return "it is empty"
    if name.startswith("/"):
        return "it is absolute"
    if any(letter < " " or letter in "\x7f\\" for letter in name):
        return "it has a backslash or a control character"
    try:
        if len(name.encode("utf-8", "surrogateescape")) > _LONGEST_NAME:
            return f"it is longer than {_LONGEST_NAME:,} bytes"
    except UnicodeEncodeError:
        return "it has half a character"
    segments = name.split("/")
    if len(segments) > _DEEPEST:
        return f"it is deeper than {_DEEPEST} folders"
    for segment in segments:
        if segment in ("", ".", ".."):
            return {"": "an empty segment (//)", ".": 'a segment "."', "..": 'a segment ".."'}[segment]
        if len(segment.encode("utf-8", "surrogateescape")) > _LONGEST:
            return f"a segment of more than {_LONGEST} bytes"
    return None


def _quoted(key: str) -> str:
    key = key if len(key) <= _LONGEST else f"{key[:_LONGEST]}…"
    return f'"{key}"' if key.isprintable() else repr(key)

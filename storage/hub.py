"""A model repository of the Hugging Face hub as a source: its API lists, its files are read at one commit."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from storage.connection import Connection
from storage.errors import StorageError
from storage.failures import Who
from storage.listing import Item, Listing, under
from storage.source import CHUNK
from storage.web import answer, client, json_of, part_of, wait_of

_HEX = re.compile(r"[0-9a-fA-F]{7,64}")


@dataclass(frozen=True, slots=True)
class Hub:
    """``repository`` (owner/model) at ``revision``, of the hub at ``endpoint``."""

    who: Who
    name: str
    endpoint: str
    repository: str
    revision: str
    connection: Connection

    @property
    def shown(self) -> str:
        return self.who.shown

    def listing(self) -> Listing:
        """The files of the commit that the revision names now, each with the digest that the hub tells of it."""
        with client(self.connection) as asking, answer(asking, self._api(), self.who) as reply:
            try:
                told = json_of(reply)
                commit = _hexadecimal(told["sha"])
                return under(self.shown, "", [_item(file, commit) for file in told["siblings"]])
            except (ValueError, LookupError, TypeError, AttributeError):
                raise StorageError(f"{self.endpoint} did not answer as a hub does about {self.shown}") from None

    def read(self, item: Item, start: int, stop: int | None) -> Generator[bytes, None, None]:
        if item.ranged and stop is not None:
            # Its version is its digest, which no header has and which is checked at the end.
            yield from part_of(self._file(item), self.connection, self.who, replace(item, version=None), start, stop)
            return
        with client(self.connection) as asking, answer(asking, self._file(item), self.who) as reply:
            yield from reply.iter_bytes(CHUNK)

    def asked_to_wait(self, item: Item | None) -> float:
        return wait_of(self._api() if item is None else self._file(item), self.connection)

    def _api(self) -> str:
        return f"{self.endpoint}/api/models/{self.repository}/revision/{quote(self.revision, safe='')}?blobs=true"

    def _file(self, item: Item) -> str:
        return f"{self.endpoint}/{self.repository}/resolve/{item.key}"


def _item(file: Any, commit: str) -> Item:
    """Raises ValueError, TypeError, LookupError or AttributeError where it is no file of a hub."""
    name, large = str(file["rfilename"]), file.get("lfs")
    size = (large or file)["size"]
    if not isinstance(size, int) or size < 0:
        raise ValueError(size)
    digest = f"sha256:{_hexadecimal(large['sha256'])}" if large else f"git-sha1:{_hexadecimal(file['blobId'])}"
    return Item(name, f"{commit}/{quote(name)}", size, digest, digest)


def _hexadecimal(told: Any) -> str:
    """A commit or a digest, which end up in URLs and in messages."""
    if not _HEX.fullmatch(told):
        raise ValueError(told)
    return str(told)

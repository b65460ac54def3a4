"""A model repository of the Hugging Face hub as a source: its API lists, its files are read at one commit."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from storage.connection import Connection
from storage.errors import StorageError
from storage.failures import Who
from storage.listing import Item, Listing, under
from storage.source import CHUNK
from storage.web import answer, client, part_of, wait_of


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
            reply.read()
            try:
                told = reply.json()
                commit, files = str(told["sha"]), list(told["siblings"])
                return under(self.shown, "", [_item(file, commit) for file in files])
            except (ValueError, KeyError, TypeError):
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
    name = str(file["rfilename"])
    large = file.get("lfs")
    digest = f"sha256:{large['sha256']}" if large else f"git-sha1:{file['blobId']}"
    size = int(large["size"] if large else file["size"])
    return Item(name, f"{commit}/{quote(name)}", size, digest, digest)

"""Files of HDFS as a source, over WebHDFS: a name node lists, data nodes give the bytes from an offset on.

https://hadoop.apache.org/docs/stable/hadoop-project-dist/hadoop-hdfs/WebHDFS.html
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from storage.connection import Connection
from storage.errors import Changed, StorageError
from storage.failures import Who
from storage.listing import Item, Listing, single, under
from storage.source import CHUNK
from storage.web import answer, client, wait_of

if TYPE_CHECKING:
    import httpx

_ROOT = "/webhdfs/v1"


@dataclass(frozen=True, slots=True)
class Hdfs:
    """``path`` (absolute) at the name node ``node`` (http://HOST:PORT). ``asks``: who asks, in each query."""

    who: Who
    name: str
    node: str
    path: str
    connection: Connection
    asks: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        return self.who.shown

    def listing(self) -> Listing:
        """The file of that path, or all files below it, however deep."""
        with client(self.connection) as asking:
            told = self._status(asking, self.path)
            if told.get("type") == "FILE":
                return single(self.shown, _item(told, self.path, self.path.rpartition("/")[2]))
            found: list[Item] = []
            folders = [""]
            while folders:
                folder = folders.pop()
                for own in self._list(asking, f"{self.path}/{folder}".rstrip("/")):
                    name = f"{folder}/{own.get('pathSuffix')}".lstrip("/")
                    match own.get("type"):
                        case "DIRECTORY":
                            folders.append(name)
                        case "FILE":
                            found.append(_item(own, f"{self.path}/{name}", name))
                        case kind:
                            raise StorageError(f"{self.shown} has {name}, which is a {kind} and no file")
            return under(self.shown, "", found)

    def read(self, item: Item, start: int, stop: int | None) -> Generator[bytes, None, None]:
        more = {} if stop is None else {"length": str(stop - start)}
        with client(self.connection) as asking:
            now = self._status(asking, item.key)
            if _version(now) != item.version:
                raise Changed(f"{self.shown} changed while it was downloaded; the next pull starts clean")
            url = self._url(item.key, "OPEN", offset=str(start), **more)
            with answer(asking, url, self.who) as reply:
                yield from reply.iter_bytes(CHUNK)

    def asked_to_wait(self, item: Item | None) -> float:
        return wait_of(self._url(self.path if item is None else item.key, "GETFILESTATUS"), self.connection)

    def _status(self, asking: httpx.Client, path: str) -> Mapping[str, Any]:
        told = self._json(asking, self._url(path, "GETFILESTATUS")).get("FileStatus")
        return self._well(told, isinstance(told, dict))  # type: ignore[no-any-return]

    def _list(self, asking: httpx.Client, path: str) -> list[Mapping[str, Any]]:
        told = (self._json(asking, self._url(path, "LISTSTATUS")).get("FileStatuses") or {}).get("FileStatus")
        return self._well(told, isinstance(told, list))  # type: ignore[no-any-return]

    def _json(self, asking: httpx.Client, url: str) -> dict[str, Any]:
        with answer(asking, url, self.who) as reply:
            reply.read()
            try:
                told = reply.json()
            except ValueError:
                told = None
        return self._well(told, isinstance(told, dict))  # type: ignore[no-any-return]

    def _well(self, told: Any, good: bool) -> Any:
        if not good:
            raise StorageError(f"{self.node} did not answer as a name node does about {self.shown}")
        return told

    def _url(self, path: str, operation: str, **more: str) -> str:
        asked = {"op": operation, **more, **self.asks}
        return f"{self.node}{_ROOT}{quote(path)}?{urlencode(asked)}"


def _item(told: Mapping[str, Any], path: str, name: str) -> Item:
    return Item(name, path, int(told["length"]), _version(told))


def _version(told: Mapping[str, Any]) -> str:
    return f"modified {told.get('modificationTime')}, {told.get('length')} bytes, file {told.get('fileId')}"

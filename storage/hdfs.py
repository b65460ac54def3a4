"""Files of HDFS as a source, over WebHDFS: a name node lists, data nodes give the bytes from an offset on.

https://hadoop.apache.org/docs/stable/hadoop-project-dist/hadoop-hdfs/WebHDFS.html
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from storage.connection import Connection
from storage.errors import StorageError, Unsafe
from storage.failures import Who, changed
from storage.listing import MOST, Item, Listing, single, under, unsafe
from storage.source import CHUNK
from storage.web import answer, client, json_of, wait_of

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
                return single(self.shown, self._item(told, self.path, self.path.rpartition("/")[2]))
            return under(self.shown, "", self._below(asking))

    def read(self, item: Item, start: int, stop: int | None) -> Generator[bytes, None, None]:
        more = {} if stop is None else {"length": str(stop - start)}
        with client(self.connection) as asking:
            now = self._status(asking, item.key)
            if _version(now) != item.version:
                raise changed(self.shown)
            url = self._url(item.key, "OPEN", offset=str(start), **more)
            with answer(asking, url, self.who) as reply:
                yield from reply.iter_bytes(CHUNK)

    def asked_to_wait(self, item: Item | None) -> float:
        return wait_of(self._url(self.path if item is None else item.key, "GETFILESTATUS"), self.connection)

    def _below(self, asking: httpx.Client) -> Iterator[Item]:
        folders, left = [""], MOST
        while folders:
            folder = folders.pop()
            for own in self._list(asking, f"{self.path}/{folder}".rstrip("/")):
                suffix = self._well(own.get("pathSuffix"), isinstance(own.get("pathSuffix"), str))
                name = f"{folder}/{suffix}".removeprefix("/")
                match own.get("type"):
                    case "DIRECTORY":
                        left -= 1
                        # Folders that are in themselves would be listed for ever.
                        if unsafe(name) is not None or not left:
                            raise Unsafe(f"{self.shown} has a folder that is none below it, or no end of them")
                        folders.append(name)
                    case "FILE":
                        yield self._item(own, f"{self.path}/{name}", name)
                    case kind:
                        raise StorageError(f"{self.shown} has {name!r}, which is no file but {kind!r}")

    def _item(self, told: Mapping[str, Any], path: str, name: str) -> Item:
        size = told.get("length")
        return Item(name, path, self._well(size, isinstance(size, int) and size >= 0), _version(told))

    def _status(self, asking: httpx.Client, path: str) -> Mapping[str, Any]:
        told = self._json(asking, self._url(path, "GETFILESTATUS")).get("FileStatus")
        return self._well(told, isinstance(told, dict))  # type: ignore[no-any-return]

    def _list(self, asking: httpx.Client, path: str) -> list[Mapping[str, Any]]:
        told = self._json(asking, self._url(path, "LISTSTATUS")).get("FileStatuses")
        listed = told.get("FileStatus") if isinstance(told, dict) else None
        good = isinstance(listed, list) and all(isinstance(own, dict) for own in listed)
        return self._well(listed, good)  # type: ignore[no-any-return]

    def _json(self, asking: httpx.Client, url: str) -> dict[str, Any]:
        with answer(asking, url, self.who) as reply:
            told = json_of(reply)
        return self._well(told, isinstance(told, dict))  # type: ignore[no-any-return]

    def _well(self, told: Any, good: bool) -> Any:
        if not good:
            raise StorageError(f"{self.node} did not answer as a name node does about {self.shown}")
        return told

    def _url(self, path: str, operation: str, **more: str) -> str:
        asked = {"op": operation, **more, **self.asks}
        return f"{self.node}{_ROOT}{quote(path)}?{urlencode(asked)}"


def _version(told: Mapping[str, Any]) -> str:
    return f"modified {told.get('modificationTime')}, {told.get('length')} bytes, file {told.get('fileId')}"

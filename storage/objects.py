"""An object store of obstore's as a source: head, list, and parts by range under If-Match."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import obstore

from storage.errors import Denied, NotThere, StorageError, Unranged
from storage.failures import Who, changed, translated, unmade
from storage.listing import Item, Listing, single, under
from storage.source import CHUNK

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from storage.connection import Connection

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE = 1000
_SIGNED = timedelta(minutes=5)
_TIME = "modified "


def made(who: Who, make: Callable[[], ObjectStore]) -> ObjectStore:
    """The store that ``make`` makes. Raises StorageError where obstore can make none of what it is told."""
    try:
        return make()
    except (obstore.exceptions.BaseError, ValueError) as error:
        raise unmade(error, who) from None


@dataclass(frozen=True, slots=True)
class Objects:
    """What lies at ``key`` in a store: the object of that name, or those below it."""

    who: Who
    name: str
    store: ObjectStore = field(repr=False)
    key: str
    connection: Connection
    address: Callable[[str], str] | None = field(default=None, repr=False)
    """Key → a URL that works without being signed, where the store signs nothing."""

    @property
    def shown(self) -> str:
        return self.who.shown

    def listing(self) -> Listing:
        """An object of exactly that key is the model; else what lies under it, bounded by ``/``."""
        alone = self._alone()
        if isinstance(alone, Item) and alone.size:
            return single(self.shown, alone)
        try:
            return under(self.shown, self.key, self._below())
        except (NotThere, Denied) as error:
            match alone:
                case Item():
                    return single(self.shown, alone)
                case Denied() if isinstance(error, NotThere):
                    raise alone from None
            raise

    def read(self, item: Item, start: int, stop: int | None) -> Generator[bytes, None, None]:
        options: dict[str, Any] = {}
        if item.ranged and stop is not None and (start, stop) != (0, item.size):
            options["range"] = (start, stop)
        if item.version is not None and item.version.startswith('"'):
            options["if_match"] = item.version
        with self._failing():
            got = obstore.get(self.store, item.key, options=options)  # type: ignore[arg-type]  # a TypedDict, built
            # Not every server looks at If-Match.
            version = _version(got.meta)
            if version is None and item.version is not None and item.ranged:
                raise Unranged(f"{self.shown} does not tell of which version its parts are")
            if item.version is not None and version not in (None, item.version):
                raise changed(self.shown)
            if got.meta["size"] != item.size:
                raise changed(self.shown, "its size")
            if stop is not None and got.range != (start, stop):
                raise Unranged(f"{self.shown} is given as a whole only")
            if item.size <= CHUNK:
                yield got.bytes().to_bytes()  # one call into obstore instead of two
            else:
                yield from got.stream(min_chunk_size=CHUNK)

    def asked_to_wait(self, item: Item | None) -> float:
        from storage.web import wait_of  # noqa: PLC0415  # httpx, which few pulls need

        key = self.key if item is None else item.key
        if self.address is not None:
            return wait_of(self.address(key), self.connection)
        try:
            url = obstore.sign(self.store, "GET", key, _SIGNED)  # type: ignore[call-overload]
        except (obstore.exceptions.BaseError, TypeError, ValueError):
            return 0.0  # a store that cannot sign cannot be asked
        return wait_of(url, self.connection)

    def _alone(self) -> Item | StorageError | None:
        """The object of that very key, or why it is not shown: a credential that may only list is denied it."""
        if not self.key or self.key.endswith("/"):
            return None
        try:
            with self._failing():
                meta = obstore.head(self.store, self.key)
        except (NotThere, Denied) as error:
            return error
        return _item(meta, self.key.rpartition("/")[2])

    def _below(self) -> Iterator[Item]:
        with self._failing():
            for page in obstore.list(self.store, self.key.strip("/") or None, chunk_size=_PAGE):
                for meta in page:
                    yield _item(meta, meta["path"])

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (StorageError, GeneratorExit):
            raise
        except (obstore.exceptions.BaseError, ValueError, FileNotFoundError) as error:
            raise translated(error, self.who) from None


def _item(meta: Any, name: str) -> Item:
    version = _version(meta)
    # In parts it would be a mix of two objects where nothing tells them apart.
    return Item(name, meta["path"], meta["size"], version, ranged=version is not None)


def _version(meta: Any) -> str | None:
    """The etag; where there is none the time, which If-Match does not know."""
    if meta["e_tag"]:
        # Azure quotes it in a header and not in a list.
        etag = str(meta["e_tag"])
        return etag if etag.endswith('"') else f'"{etag}"'
    return None if meta["last_modified"] == _NEVER else _TIME + meta["last_modified"].isoformat()

"""One file of a web server as a source; and what a server says in its headers.

The first request asks for one byte by GET, for a URL that was signed for GET allows no HEAD. A server that gives ranges
is read through obstore, in parts; any other in one stream.
"""

from __future__ import annotations

import email.utils
import ssl
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import obstore
from obstore.store import HTTPStore

from storage.connection import RETRIES, Connection
from storage.errors import Changed, StorageError, Unranged, Unreachable
from storage.failures import Who, by_status, translated
from storage.listing import Item, Listing, single
from storage.secret import scrub
from storage.source import CHUNK


@dataclass(frozen=True, slots=True)
class WebFile:
    """What one URL leads to. ``url`` has its query and no user; ``file`` is the name it gets."""

    who: Who
    name: str
    url: str = field(repr=False)
    file: str
    connection: Connection

    @property
    def shown(self) -> str:
        return self.who.shown

    def listing(self) -> Listing:
        with self._client() as client, self._answer(client, {"range": "bytes=0-0"}) as reply:
            return single(self.shown, self._item(reply))

    def read(self, item: Item, start: int, stop: int | None) -> Generator[bytes, None, None]:
        if item.ranged and stop is not None:
            yield from self._part(item, start, stop)
            return
        with self._client() as client, self._answer(client, {}) as reply:
            now = self._item(reply)
            if (item.version, item.size) != (now.version, now.size):
                raise Changed(f"{self.shown} changed while it was downloaded")
            try:
                # Undoes a content coding that came unasked.
                yield from reply.iter_bytes(CHUNK)
            except httpx.HTTPError as error:
                raise Unreachable(f"{self.shown}: the connection ended early: {self._told(error)}") from None

    def asked_to_wait(self, item: Item | None) -> float:  # there is but one
        return wait_of(self.url, self.connection)

    def _part(self, item: Item, start: int, stop: int) -> Generator[bytes, None, None]:
        options: dict[str, object] = {"range": (start, stop)}
        if item.version is not None and item.version.startswith('"'):
            options["if_match"] = item.version
        try:
            got = obstore.get(self._store(), "", options=options)  # type: ignore[arg-type]  # a TypedDict, built
            etag = got.meta["e_tag"]
            if (etag or item.version) != item.version and not _by_time(item.version):
                raise Changed(f"{self.shown} changed while it was downloaded; the next pull starts clean")
            if got.meta["size"] != item.size:
                raise Changed(f"{self.shown} changed its size while it was downloaded; the next pull starts clean")
            if got.range != (start, stop):
                raise Unranged(f"{self.shown} is given as a whole only")
            yield from got.stream(min_chunk_size=CHUNK)
        except (obstore.exceptions.BaseError, ValueError, FileNotFoundError) as error:
            if isinstance(error, StorageError):
                raise
            raise translated(error, self.who) from None

    def _store(self) -> HTTPStore:
        return HTTPStore.from_url(self.url, client_options=self.connection.options(), retry_config=RETRIES)

    def _item(self, reply: httpx.Response) -> Item:
        headers = reply.headers
        coded = headers.get("content-encoding", "identity").lower() not in ("identity", "")
        version = headers.get("etag") or (
            f"modified {headers['last-modified']}" if "last-modified" in headers else None
        )
        ranged = reply.status_code == httpx.codes.PARTIAL_CONTENT and not coded
        size = None if coded else _whole(reply)
        return Item(self.file, self.shown, size, version, ranged=ranged and size is not None)

    @contextmanager
    def _answer(self, client: httpx.Client, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        try:
            with client.stream("GET", self.url, headers=headers) as reply:
                if reply.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and headers:
                    pass  # of an empty file there is no first byte
                elif not reply.is_success:
                    raise self._refused(reply)
                yield reply
        except httpx.HTTPError as error:
            raise Unreachable(f"{self.shown} cannot be reached: {self._told(error)}") from None

    def _refused(self, reply: httpx.Response) -> StorageError:
        said = f"{reply.status_code} {reply.reason_phrase}".strip()
        return by_status(reply.status_code, f"{self.who.provider} resource {self.shown}", said, self.who)

    def _told(self, error: Exception) -> str:
        return scrub(f"{type(error).__name__}: {error}", self.who.secrets)

    def _client(self) -> httpx.Client:
        return client(self.connection)


def client(connection: Connection) -> httpx.Client:
    """A client with that connection's settings. The caller closes it."""
    context = ssl.create_default_context()
    if connection.certificates is not None:
        context.load_verify_locations(cadata=connection.certificates.decode("ascii", "ignore"))
    if not connection.verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return httpx.Client(
        verify=context,
        headers={"accept-encoding": "identity", "user-agent": "pipeline-serve", **connection.headers},
        timeout=httpx.Timeout(connection.read, connect=connection.connect),
        follow_redirects=True,
    )


def wait_of(url: str, connection: Connection) -> float:
    """Seconds that the server asks to be left alone, 0 where it answers or says nothing."""
    try:
        with client(connection) as asking, asking.stream("GET", url, headers={"range": "bytes=0-0"}) as reply:
            return 0.0 if reply.is_success else retry_after(reply.headers.get("retry-after", ""), time.time())
    except httpx.HTTPError:
        return 0.0


def retry_after(text: str, now: float) -> float:
    """Seconds from ``now`` of a Retry-After header (RFC 9110, 10.2.3): a number of them, or a date."""
    text = text.strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now)
    except ValueError:
        return 0.0


def _whole(reply: httpx.Response) -> int | None:
    """The size of the whole file, of a reply to a question for its first byte or for all of it."""
    if reply.status_code in (httpx.codes.PARTIAL_CONTENT, httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE):
        total = reply.headers.get("content-range", "").rpartition("/")[2]
    else:
        total = reply.headers.get("content-length", "")
    return int(total) if total.isdecimal() else None


def _by_time(version: str | None) -> bool:
    return version is not None and version.startswith("modified ")

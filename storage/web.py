"""One file of a web server as a source; and what a server says in its headers.

The first request asks for one byte by GET, for a URL that was signed for GET allows no HEAD. A server that gives ranges
is read through obstore, in parts; any other in one stream.
"""

from __future__ import annotations

import email.utils
import ssl
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

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
        first = {"range": "bytes=0-0"}
        with client(self.connection) as asking, answer(asking, self.url, self.who, first) as reply:
            return single(self.shown, self._item(reply))

    def read(self, item: Item, start: int, stop: int | None) -> Generator[bytes, None, None]:
        if item.ranged and stop is not None:
            yield from part_of(self.url, self.connection, self.who, item, start, stop)
            return
        with client(self.connection) as asking, answer(asking, self.url, self.who) as reply:
            now = self._item(reply)
            if (item.version, item.size) != (now.version, now.size):
                raise Changed(f"{self.shown} changed while it was downloaded")
            yield from reply.iter_bytes(CHUNK)  # which undoes a content coding that came unasked

    def asked_to_wait(self, item: Item | None) -> float:  # there is but one
        return wait_of(self.url, self.connection)

    def _item(self, reply: httpx.Response) -> Item:
        headers = reply.headers
        coded = headers.get("content-encoding", "identity").lower() not in ("identity", "")
        version = headers.get("etag") or (
            f"modified {headers['last-modified']}" if "last-modified" in headers else None
        )
        ranged = reply.status_code == httpx.codes.PARTIAL_CONTENT and not coded
        size = None if coded else _whole(reply)
        return Item(self.file, self.shown, size, version, ranged=ranged and size is not None)


def part_of(
    url: str, connection: Connection, who: Who, item: Item, start: int, stop: int
) -> Generator[bytes, None, None]:
    """Bytes ``start`` to before ``stop`` of what a URL leads to, through obstore. Raises as ``Remote.read``."""
    options: dict[str, object] = {} if (start, stop) == (0, item.size) else {"range": (start, stop)}
    tagged = item.version if item.version is not None and item.version.endswith('"') else None
    if tagged is not None and tagged.startswith('"'):  # a weak one matches nothing (RFC 9110, 13.1.1)
        options["if_match"] = tagged
    try:
        store = HTTPStore.from_url(url, client_options=connection.options(), retry_config=RETRIES)
        got = obstore.get(store, "", options=options)  # type: ignore[arg-type]  # a TypedDict, built
        if tagged is not None and got.meta["e_tag"] not in (tagged, None):
            raise Changed(f"{who.shown} changed while it was downloaded; the next pull starts clean")
        if got.meta["size"] != item.size:
            raise Changed(f"{who.shown} changed its size while it was downloaded; the next pull starts clean")
        if got.range != (start, stop):
            raise Unranged(f"{who.shown} is given as a whole only")
        yield from got.stream(min_chunk_size=CHUNK)
    except StorageError:
        raise
    except (obstore.exceptions.BaseError, ValueError, FileNotFoundError) as error:
        raise translated(error, who) from None


@contextmanager
def answer(
    asking: httpx.Client, url: str, who: Who, headers: Mapping[str, str] | None = None
) -> Iterator[httpx.Response]:
    """The reply to a GET, its body still to come; also that a file has no such byte. Raises as ``Remote.read``."""
    try:
        with asking.stream("GET", url, headers=headers) as reply:
            beyond = reply.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and headers
            if not (reply.is_success or beyond):
                said = f"{reply.status_code} {reply.reason_phrase}".strip()
                raise by_status(reply.status_code, f"{who.provider} resource {who.shown}", said, who)
            yield reply
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        told = scrub(f"{type(error).__name__}: {error}", who.secrets)
        raise Unreachable(f"{who.shown} cannot be reached, or not to the end: {told}") from None


def client(connection: Connection, *, proxies: bool = True) -> httpx.Client:
    """A client with that connection's settings, and the proxies of the process. The caller closes it."""
    context = ssl.create_default_context()
    if connection.certificates is not None:
        context.load_verify_locations(cadata=connection.certificates.decode("ascii", "ignore"))
    if not connection.verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if connection.identity is not None:
        _sign_in(context, *connection.identity)
    return httpx.Client(
        verify=context,
        headers={"accept-encoding": "identity", "user-agent": "pipeline-serve", **connection.headers},
        timeout=httpx.Timeout(connection.read, connect=connection.connect),
        follow_redirects=True,
        trust_env=proxies,
    )


def _sign_in(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """The library reads a certificate of our own from files alone: they are there for that long, for us only."""
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "certificate"), Path(folder, "key")
        for file, text in zip(files, (certificate, key), strict=True):
            file.write_text(text)
        try:
            context.load_cert_chain(*files)
        except ssl.SSLError as error:
            raise StorageError(f"the certificate and the key for TLS do not go together: {error.reason}") from None


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

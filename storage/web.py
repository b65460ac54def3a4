"""One file of a web server as a source; and what a server says in its headers.

The first request asks for one byte by GET, for a URL that was signed for GET allows no HEAD. A server that gives ranges
is read through obstore, in parts; any other in one stream.
"""

from __future__ import annotations

import email.utils
import json
import ssl
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import obstore
from obstore.store import HTTPStore

from storage.connection import RETRIES, Connection
from storage.errors import StorageError, Unranged
from storage.failures import Who, by_status, changed, translated, unreachable
from storage.listing import Item, Listing, single
from storage.secret import legible, scrub
from storage.source import CHUNK

# The content codings that httpx undoes with what Python has.
_UNDONE = ("gzip", "deflate")
# Of 2**64, which no file reaches.
_DIGITS = 19
_REDIRECTS = 20
# Bytes of a listing: of a million files.
_LISTING = 2**28
# Headers that tell nobody anything of us.
_ANYWHERE = frozenset({"accept", "accept-encoding", "connection", "user-agent"})


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
        stop = stop if item.ranged else None
        # obstore would hand them all on to whatever host a redirect leads to, but for the two.
        others = {name.lower() for name in self.connection.headers} - {"authorization", "cookie"}
        if stop is not None and not others:
            yield from part_of(self.url, self.connection, self.who, item, start, stop)
            return
        part = None if stop is None else f"{start}-{stop - 1}"
        asked = None if part is None else {"range": f"bytes={part}", **if_match(item)}
        with client(self.connection) as asking, answer(asking, self.url, self.who, asked) as reply:
            now = self._item(reply)
            if item.version != now.version or item.size not in (None, now.size):
                raise changed(self.shown)
            if part is not None and reply.headers.get("content-range", "").partition("/")[0] != f"bytes {part}":
                raise Unranged(f"{self.shown} is given as a whole only")
            yield from reply.iter_bytes(CHUNK)  # which undoes a content coding that came unasked

    def asked_to_wait(self, item: Item | None) -> float:  # there is but one
        return wait_of(self.url, self.connection)

    def _item(self, reply: httpx.Response) -> Item:
        coding = reply.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("", "identity", *_UNDONE):
            # One inside another makes a gibibyte of a packet; what is not undone is another file.
            raise StorageError(f"{self.shown} comes in the content coding {coding[:40]!r}, which was not asked for")
        coded = coding in _UNDONE
        version = _version(reply.headers.get("etag"), date(reply.headers.get("last-modified", "")))
        size = None if coded else _whole(reply)
        # In parts it would be a mix of two files where nothing tells them apart.
        ranged = reply.status_code == httpx.codes.PARTIAL_CONTENT and size is not None and version is not None
        return Item(self.file, self.shown, size, version, ranged=ranged)


def part_of(
    url: str, connection: Connection, who: Who, item: Item, start: int, stop: int
) -> Generator[bytes, None, None]:
    """Bytes ``start`` to before ``stop`` of what a URL leads to, through obstore. Raises as ``Remote.read``."""
    options: dict[str, object] = {} if (start, stop) == (0, item.size) else {"range": (start, stop)}
    match = if_match(item)
    if match:
        options["if_match"] = match["if-match"]
    try:
        store = HTTPStore.from_url(url, client_options=connection.options(), retry_config=RETRIES)
        got = obstore.get(store, "", options=options)  # type: ignore[arg-type]  # a TypedDict, built
        modified = got.meta["last_modified"]
        if item.version not in (None, _version(got.meta["e_tag"], modified if modified.timestamp() else None)):
            raise changed(who.shown)
        if got.meta["size"] != item.size:
            raise changed(who.shown, "its size")
        if got.range != (start, stop):
            raise Unranged(f"{who.shown} is given as a whole only")
        yield from got.stream(min_chunk_size=CHUNK)
    except StorageError:
        raise
    except (obstore.exceptions.BaseError, ValueError, FileNotFoundError) as error:
        raise translated(error, who) from None


def json_of(reply: httpx.Response) -> Any:
    """What a reply says; None where it is no JSON, or more of it than any listing has."""
    body = bytearray()
    for piece in reply.iter_bytes(CHUNK):
        body += piece
        if len(body) > _LISTING:
            return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


@contextmanager
def answer(
    asking: httpx.Client, url: str, who: Who, headers: Mapping[str, str] | None = None
) -> Iterator[httpx.Response]:
    """The reply to a GET, its body still to come; also that a file has no such byte. Raises as ``Remote.read``."""
    try:
        with closing(_redirected(asking, asking.build_request("GET", url, headers=headers))) as reply:
            beyond = reply.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and headers
            if not (reply.is_success or beyond):
                said = f"{reply.status_code} {reply.reason_phrase}".strip()
                raise by_status(reply.status_code, f"{who.provider} resource {who.shown}", said, who)
            yield reply
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
        told = legible(scrub(str(error), who.secrets))
        raise StorageError(
            f"{who.provider} resource {who.shown} leads to where it cannot be followed: {told}"
        ) from None  # nor the next time
    except httpx.HTTPError as error:
        told = f"{type(error).__name__}: {error}"
        raise unreachable(who, url, told, legible(scrub(told, who.secrets))) from None


def _redirected(asking: httpx.Client, request: httpx.Request) -> httpx.Response:
    """The reply, its body still to come, to which redirects lead. Our headers stay with the host they are for."""
    origin, own = request.url, {name: told for name, told in asking.headers.items() if name not in _ANYWHERE}
    for _ in range(_REDIRECTS):
        reply = asking.send(request, stream=True)
        if reply.next_request is None:
            return reply
        reply.close()
        request = reply.next_request
        for name in own:
            request.headers.pop(name, None)
        if _same_host(origin, request.url):
            request.headers.update(own)
    raise httpx.TooManyRedirects(f"more than {_REDIRECTS} redirects", request=request)


def _same_host(one: httpx.URL, other: httpx.URL) -> bool:
    """Also the same one by TLS."""
    ports = {"http": 80, "https": 443}
    places = [(url.scheme, url.port or ports.get(url.scheme)) for url in (one, other)]
    return one.host == other.host and (places[0] == places[1] or places == [("http", 80), ("https", 443)])


def client(connection: Connection, *, proxies: bool = True) -> httpx.Client:
    """A client with that connection's settings, and the proxies of the process. The caller closes it.

    Raises StorageError, without its value, for a header that cannot be one.
    """
    for name, value in connection.headers.items():
        if not (name.isascii() and name.isprintable() and value.isascii() and value.replace("\t", " ").isprintable()):
            raise StorageError(f"the header {name!r} has a line end or another character that no header may have")
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
        with client(connection) as asking:
            first = asking.build_request("GET", url, headers={"range": "bytes=0-0"})
            with closing(_redirected(asking, first)) as reply:
                again = reply.headers.get("retry-after", "")
                return 0.0 if reply.is_success else retry_after(again, time.time())
    except (httpx.HTTPError, httpx.InvalidURL):
        return 0.0


def retry_after(text: str, now: float) -> float:
    """Seconds from ``now`` of a Retry-After header (RFC 9110, 10.2.3): a number of them, or a date."""
    text = text.strip()
    if text.isdecimal():
        return float(text)
    when = date(text)
    return 0.0 if when is None else max(0.0, when.timestamp() - now)


def date(text: str) -> datetime | None:
    """Of a header (RFC 9110, 5.6.7), in UTC; None where it is none."""
    try:
        read = email.utils.parsedate_to_datetime(text)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def if_match(item: Item) -> dict[str, str]:
    """The header by which a server refuses another version; a weak etag matches nothing (RFC 9110, 13.1.1)."""
    tagged = item.version is not None and item.version.startswith('"') and item.version.endswith('"')
    return {"if-match": item.version} if tagged and item.version else {}


def _version(etag: str | None, modified: datetime | None) -> str | None:
    return etag or (f"modified {modified:%Y-%m-%dT%H:%M:%SZ}" if modified else None)


def _whole(reply: httpx.Response) -> int | None:
    """The size of the whole file, of a reply to a question for its first byte or for all of it."""
    if reply.status_code in (httpx.codes.PARTIAL_CONTENT, httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE):
        total = reply.headers.get("content-range", "").rpartition("/")[2]
    else:
        total = reply.headers.get("content-length", "")
    return int(total) if total.isdecimal() and len(total) <= _DIGITS else None

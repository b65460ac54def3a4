"""One call and its reply over HTTP, by httpx over ``transport.py``. Knows no protocol.

Runs on trio and on asyncio. Whatever goes wrong on the way is an InferError that names the URL.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Self, TypeVar
from urllib.parse import quote

import anyio
import httpx

from pipeline.errors import Code, InferError, InvalidInput
from pipeline.transport import Transport, environments_proxy
from pipeline.wire.codec import TIMEOUT_HEADER, Call, Reply

Verify = bool | str | ssl.SSLContext
Cert = str | tuple[str, str] | tuple[str, str, str]
T = TypeVar("T")

_LOOK_SECONDS = 1.0
_CODING = re.compile(r"[A-Za-z0-9, -]{1,30}")
_CREDENTIALS = re.compile(r"(?<=//)[^/?#]*@|[?#].*", re.DOTALL)
# More than any server reads in the header; it is no bound.
_LONGEST = 1e9
_SHORTEST = 1e-6
# Seconds before a connection is tried for the third time: the second comes at once, and each pause is twice the last.
_FIRST_PAUSE = 0.5


class NotConnected(InferError):
    """No connection came about: nothing of the call has reached anybody."""


async def connecting(attempt: Callable[[], Awaitable[T]], retries: int, *failures: type[Exception]) -> T:
    """What the attempt gives. One that raises one of ``failures``, with which nothing was sent yet, is tried again.

    The pauses are httpx's own. Raises what the last one raises. Cancelled, so is the attempt.
    """
    pause = 0.0
    for _ in range(retries):
        with suppress(*failures):
            return await attempt()
        await anyio.sleep(pause)
        pause = pause * 2 or _FIRST_PAUSE
    return await attempt()


class Peer:
    """A server's address, and the connections to it that are kept open from call to call while it is entered."""

    def __init__(  # noqa: PLR0913  # what httpx is told, in the words of our users
        self,
        url: str,
        *,
        verify: Verify = True,
        ca: str | None = None,
        cert: Cert | None = None,
        connections: int | None = 100,
        max_reply: int | None = None,
        trust_env: bool = True,
    ) -> None:
        """``connections``: at most so many at once, calls past them wait; None for no bound. ``max_reply``: bytes of a
        reply's body.

        ``ca``: a file, or folder, of the authorities that are trusted, which ``verify`` may name as well.
        ``trust_env``: proxies and certificate authorities as the environment names them. Raises ValueError for a URL
        that is none of a server and for numbers below 1, TypeError for a URL that is no text.
        """
        if connections is not None:
            _require_positive("connections", connections)
        if max_reply is not None:
            _require_positive("max_reply", max_reply)
        base, self._socket = _address(url)
        # httpx logs the URL of every call as it has it, so it has it without the password.
        self._auth = httpx.BasicAuth(base.username, base.password) if base.userinfo else None
        self._base = base.copy_with(userinfo=b"")
        self.url = f"unix:{self._socket}" if self._socket else str(self._base).rstrip("/")
        self._tls = (verify, ca, cert, trust_env)
        self._connections = connections
        self._max_reply = max_reply
        self._http: httpx.AsyncClient | None = None
        self._transport: Transport | None = None
        self._under_way: set[anyio.CancelScope] = set()

    async def __aenter__(self) -> Self:
        """Connects to nobody yet. Raises RuntimeError where it is open, ValueError for unusable certificates."""
        if self._http is not None:
            raise RuntimeError(f"the client of {self.url} is open already; open one for each block")
        # Making a TLS context reads every certificate authority, 20 ms that plain HTTP does not need.
        tls = _tls(*self._tls) if self._base.scheme == "https" else None
        proxy = environments_proxy(self._base) if self._tls[-1] and not self._socket else None
        self._transport = Transport(self._connections, tls, self._socket, proxy)
        self._http = httpx.AsyncClient(
            base_url=self._base,
            auth=self._auth,
            # Compressed tensors cannot be read in place.
            headers={"accept-encoding": "identity", "user-agent": "pipeline-serve"},
            # A cookie is set for the caller of one call, and the next call is another caller's.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            transport=self._transport,
            timeout=None,  # noqa: S113  # the caller's scope bounds the whole
            follow_redirects=False,
            trust_env=False,
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Closes every connection, cancelled or not; a call that is still under way fails."""
        http, self._http = self._http, None
        # httpx closes the connections that it has, not those that it is making.
        for scope in self._under_way:
            scope.cancel()
        if http is not None:
            await http.aclose()

    async def close_idle(self) -> None:
        """Closes connections that were idle for long or that the server closed, until it is cancelled.

        Without it they are closed by the next call, or when this is.
        """
        while True:
            await anyio.sleep(_LOOK_SECONDS)
            if self._transport is not None:
                await self._transport.close_idle()

    async def exchange(self, call: Call) -> Reply:
        """The reply to the call, whatever its status; its body is one read-only buffer.

        The time that is left to the innermost deadline around it goes along in a header. Raises InferError
        (BAD_UPSTREAM) where there is no whole reply, CANCELLED where it is closed meanwhile. Cancelled, its connection
        is closed at once, by which a server knows that nobody waits any more.
        """
        http = self._http
        if http is None:
            raise RuntimeError(f"the client of {self.url} is not open; use it in a with block")
        with anyio.CancelScope() as scope:
            self._under_way.add(scope)
            try:
                return await self._exchange(http, call)
            finally:
                self._under_way.discard(scope)
        raise self._closed()

    async def _exchange(self, http: httpx.AsyncClient, call: Call) -> Reply:
        try:
            # Codecs write paths as they are matched, decoded.
            path = quote(call.path, safe="/:")
            headers = {**call.headers, **_length(call), **_time_left()}
            request = http.build_request(call.method, path, headers=headers)
            request.stream = _Body(call.body)
            response = await http.send(request, stream=True)
            # httpx closes it, at its end and where reading it raises or is cancelled.
            body = await self._body(call, response)
        except (httpx.HTTPError, OSError, UnicodeError) as error:  # anyio lets an alert of TLS through as it is
            raise self._failed(call, error) from None
        except httpx.InvalidURL as error:
            raise InvalidInput(f"no URL can be made for this call: {error}") from None
        self._require_plain(call, response)
        return Reply(response.status_code, dict(response.headers.items()), (body,))

    async def _body(self, call: Call, response: httpx.Response) -> memoryview:
        body = bytearray()
        most = self._max_reply
        # Left by a cancellation, not by a raise: httpx reads through generators, which only an error from inside ends.
        with anyio.CancelScope() as reading:
            async for chunk in response.aiter_raw():
                body += chunk
                if most is not None and len(body) > most:
                    reading.cancel()
        if most is not None and len(body) > most:
            told = f"the reply to {call.method} {self.url}{call.path} is larger than {most} bytes"
            raise InferError(Code.BAD_UPSTREAM, f"{told}; max_reply=… allows more")
        return memoryview(body).toreadonly()

    def _failed(self, call: Call, error: Exception) -> InferError:
        reason, kind = _reason(error), InferError
        match error:
            case _ if self._http is None:
                return self._closed()
            case httpx.ProxyError():
                told = f"the proxy on the way to {self.url} did not connect: {reason}"
                told += "; trust_env=False, or NO_PROXY in the environment, goes past it"
            case httpx.ConnectError() | UnicodeError():
                told = f"cannot connect to {self.url}: {reason}; is a server running there?"
                kind = NotConnected
            case _:
                told = f"{call.method} {self.url}{call.path} got no whole reply: {reason}; the server's log may say why"
        return kind(Code.BAD_UPSTREAM, told)

    def _closed(self) -> InferError:
        return InferError(Code.CANCELLED, f"the client of {self.url} was closed while the call ran")

    def _require_plain(self, call: Call, response: httpx.Response) -> None:
        status, where = response.status_code, response.headers.get("location", "")
        coding = response.headers.get("content-encoding", "identity")
        if 200 <= status < 300 or 400 <= status < 600:
            if coding == "identity":
                return
            named = coding if _CODING.fullmatch(coding) else "that has no name"
            fault = f"in content-encoding {named}, which was not asked for"
        else:
            # Without user, password and query: a server may send a caller on with credentials.
            place = _CREDENTIALS.sub("", where)[:200]
            way_out = f"redirects are not followed, use {place}" if place else "is it an inference server?"
            fault = f"with HTTP status {status}; {way_out}"
        raise InferError(Code.BAD_UPSTREAM, f"{call.method} {self.url}{call.path} was answered {fault}")


class _Body(httpx.AsyncByteStream):
    """A request's body in one piece. httpx's own is a generator, which a call that ends early leaves unfinished."""

    def __init__(self, body: bytes | memoryview) -> None:
        self._parts = iter([bytes(body)] if body else [])

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        for part in self._parts:
            return part
        raise StopAsyncIteration


def _length(call: Call) -> dict[str, str]:
    return {"content-length": str(len(call.body))} if call.body or call.method == "POST" else {}


def _require_positive(what: str, number: Any) -> None:
    if not isinstance(number, int) or number < 1:
        raise ValueError(f"{what} is a whole number from 1, not {number!r}")


def _address(url: Any) -> tuple[httpx.URL, str | None]:
    """(base URL, path of the socket where it is a Unix one)"""
    if not isinstance(url, str):
        kinds = "a text like http://localhost:8080 or unix:/run/model.sock"
        raise TypeError(f"the URL of a server is {kinds}, not a {type(url).__name__}")
    path = url.removeprefix("unix:") if url.startswith("unix:") else None
    try:
        base = httpx.URL(url if path is None else "http://localhost")
    except httpx.InvalidURL as error:
        raise ValueError(f"{url!r} is no URL: {error}") from None
    if path == "" or base.scheme not in ("http", "https") or not base.host or base.query or base.fragment:
        raise ValueError(f"{url!r} is no URL of a server, like http://localhost:8080 or unix:/run/model.sock")
    return base, path


def _tls(verify: Verify, ca: str | None, cert: Cert | None, trust_env: bool) -> ssl.SSLContext:
    match authorities := ca or verify:
        case ssl.SSLContext():
            context = authorities
        case bool():
            context = httpx.create_ssl_context(verify=authorities, trust_env=trust_env)
        case _:
            context = ssl.create_default_context()
            _read("ca" if ca else "verify", authorities, lambda: context.load_verify_locations(authorities))
    if cert is not None:
        files = (cert,) if isinstance(cert, str) else cert
        _read("cert", " and ".join(dict.fromkeys(files[:2])), lambda: context.load_cert_chain(*files))
    return context


def _read(what: str, file: str, read: Callable[[], None]) -> None:
    try:
        read()
    except OSError as error:
        raise ValueError(f"{what}: {file} cannot be used: {error.strerror or error}") from None


def _time_left() -> dict[str, str]:
    seconds = anyio.current_effective_deadline() - anyio.current_time()
    return {TIMEOUT_HEADER: f"{max(seconds, _SHORTEST):.6f}"} if seconds < _LONGEST else {}


def _reason(error: BaseException) -> str:
    """The operating system's word, or TLS's, where one is at the bottom of it: httpx says "all attempts failed"."""
    match error:
        case BaseExceptionGroup():
            return _reason(error.exceptions[-1])
        case BaseException(args=(BaseException() as inner, *_)):
            return _reason(inner)  # where httpcore keeps it
        case BaseException(__cause__=BaseException() as cause):
            return _reason(cause)
        case ssl.SSLCertVerificationError():
            return f"{error.verify_message}; verify=… (ca in a graph file) names the authority"
        # The libraries put words of their own in the place of the system's.
        case OSError(errno=int(number)) if not isinstance(error, ssl.SSLError | socket.gaierror):
            return os.strerror(number)
    return str(getattr(error, "strerror", "") or error) or type(error).__name__

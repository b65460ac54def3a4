"""httpx's transport over a pool of our own, whose connections are used again only where that is safe.

Why, and how much of httpx and httpcore this leans on: docs/adr/018-a-reply-and-nothing-more.md.
"""

from __future__ import annotations

import ssl
import urllib.request

import anyio
import httpcore
import httpx

from pipeline.network import Network, Stream

# A connection that its server closes while a call is on its way down it loses the call. uvicorn, Hypercorn and Node
# keep an idle connection for 5 s.
_IDLE_SECONDS = 4.0


class Transport(httpx.AsyncHTTPTransport):
    """``connections``: at most so many at once, None for no bound. ``tls``: None for what the system trusts.

    ``socket``: the path of a Unix one. Closed, every connection is.
    """

    def __init__(
        self, connections: int | None, tls: ssl.SSLContext | None, socket: str | None, proxy: httpx.Proxy | None
    ) -> None:
        # The one private name that is used: httpx takes no pool, and this is where it keeps its own, for which its
        # constructor would only read certificates.
        self._pool = _Pool(
            ssl_context=tls,
            proxy=None if proxy is None else _as_httpcore_has_it(proxy),
            max_connections=connections,
            uds=socket,
            network_backend=Network(),
        )

    async def close_idle(self) -> None:
        """Closes the connections that no call would use any more: idle for 4 s, or closed by their server.

        Cancelled, those that it came to are closed.
        """
        for connection in self._pool.connections:
            if connection.has_expired():
                await connection.aclose()


def environments_proxy(url: httpx.URL) -> httpx.Proxy | None:
    """The one on the way to that server, by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY. Raises ValueError."""
    proxies = urllib.request.getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass(f"{url.host}:{url.port}" if url.port else url.host):
        return None
    return httpx.Proxy(proxy if "://" in proxy else f"http://{proxy}")


def _as_httpcore_has_it(proxy: httpx.Proxy) -> httpcore.Proxy:
    url = proxy.url
    address = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    return httpcore.Proxy(address, auth=proxy.raw_auth, headers=proxy.headers.raw, ssl_context=proxy.ssl_context)


class _Pool(httpcore.AsyncConnectionPool):
    def create_connection(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface:
        return _Connection(super().create_connection(origin))


class _Connection(httpcore.AsyncConnectionInterface):
    """One of httpcore's, which the pool asks whether it has expired before it uses it again."""

    def __init__(self, inner: httpcore.AsyncConnectionInterface) -> None:
        self._inner = inner
        self._stream: Stream | None = None
        self._spent = False
        self._idle_since: float | None = None

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        self._idle_since = None
        response = await self._inner.handle_async_request(request)
        # uvicorn, and so KServe, closes one on which a failure was not handled, without saying so before: a call that
        # is on its way by then is lost.
        self._spent = response.status == httpx.codes.INTERNAL_SERVER_ERROR
        match response.extensions["network_stream"]:
            case Stream() as stream:
                self._stream = stream
                stream.begin_body(_length(response))
            case _:  # it has left HTTP
                self._spent = True
        return response

    def has_expired(self) -> bool:
        return self._inner.has_expired() or (self.is_idle() and self._is_over())

    def _is_over(self) -> bool:
        now = anyio.current_time()
        # The pool looks whenever a reply has ended.
        self._idle_since = now if self._idle_since is None else self._idle_since
        is_clean = self._stream is not None and self._stream.is_clean
        return self._spent or not is_clean or now - self._idle_since >= _IDLE_SECONDS

    async def aclose(self) -> None:
        await self._inner.aclose()

    def info(self) -> str:
        return self._inner.info()

    def can_handle_request(self, origin: httpcore.Origin) -> bool:
        return self._inner.can_handle_request(origin)

    def is_available(self) -> bool:
        return self._inner.is_available()

    def is_idle(self) -> bool:
        return self._inner.is_idle()

    def is_closed(self) -> bool:
        return self._inner.is_closed()


def _length(response: httpcore.Response) -> int | None:
    """Of its body, as the parser sees it: what a transfer coding says comes before a length (RFC 9112, 6.3)."""
    headers = {name.lower(): value for name, value in response.headers}
    length = headers.get(b"content-length")
    return None if length is None or b"transfer-encoding" in headers else int(length)

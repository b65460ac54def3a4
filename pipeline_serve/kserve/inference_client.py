"""KServe's REST client: async, on asyncio and on trio.

Retries and the client's certificate, which KServe makes and drops, are honoured. So are proxies of the environment.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any, Self

import httpx

from pipeline.exchange import connecting
from pipeline.wire.json_tensors import dump, parse
from pipeline_serve.kserve.constants.constants import INFERENCE_CONTENT_LENGTH_HEADER, PredictorProtocol
from pipeline_serve.kserve.errors import UnsupportedProtocol
from pipeline_serve.kserve.logging import trace_logger
from pipeline_serve.kserve.protocol.infer_type import InferRequest, InferResponse
from pipeline_serve.kserve.utils.utils import is_v1, is_v2

URL = httpx.URL | str
Timeout = float | tuple[float | None, float | None, float | None, float | None] | httpx.Timeout | None
USE_CLIENT_DEFAULT: Any = httpx.USE_CLIENT_DEFAULT
_JSON = {"content-type": "application/json"}
_BINARY = "application/octet-stream"


class RESTConfig:
    """How a client asks. ``timeout`` in seconds, None for no bound; ``retries`` of connections that were not made."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport | None = None,
        protocol: str | PredictorProtocol = "v1",
        retries: int = 3,
        http2: bool = False,
        timeout: Timeout = 60,
        cert: Any = None,
        verify: str | bool | ssl.SSLContext = True,
        auth: Any = None,
        verbose: bool = False,
    ) -> None:
        self.transport = transport
        self.protocol = protocol.value if isinstance(protocol, PredictorProtocol) else protocol
        self.retries = retries
        self.http2 = http2
        self.timeout = timeout
        self.cert = cert
        self.verify = verify
        self.auth = auth
        self.verbose = verbose


class InferenceRESTClient:
    """Asks servers of version 1 or 2, as its configuration says. ``base_url``: a server's, a path may follow.

    An answer that is none of success is an httpx.HTTPStatusError with the server's text. A call that is cancelled
    closes its connection.
    """

    def __init__(self, config: RESTConfig | None = None) -> None:
        self._config = config or RESTConfig()
        self._client = httpx.AsyncClient(
            transport=self._config.transport,
            http2=self._config.http2,
            timeout=self._config.timeout,
            auth=self._config.auth,
            verify=_tls(self._config.verify, self._config.cert),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes every connection, cancelled or not."""
        await self._client.aclose()

    async def infer(
        self,
        base_url: URL,
        data: InferRequest | dict[str, Any] | bytes,
        model_name: str | None = None,
        headers: Mapping[str, str] | None = None,
        response_headers: MutableMapping[str, str] | None = None,
        is_graph_endpoint: bool = False,
        timeout: Timeout = USE_CLIENT_DEFAULT,
    ) -> InferResponse | dict[str, Any]:
        """The answer: the body of version 1, an InferResponse of version 2, the body of a graph's endpoint.

        The reply's headers go into ``response_headers``. Raises HTTPStatusError, UnsupportedProtocol, and ValueError
        without a model's name. Cancelled, the connection is closed and nothing of the answer is kept.
        """
        if is_graph_endpoint:
            url = httpx.URL(base_url)
        elif model_name is None:
            raise ValueError("model_name should not be 'None'")
        else:
            url = self._url(base_url, self._path(f"models/{model_name}:predict", f"models/{model_name}/infer"))
        response = await self._post(url, data, headers, timeout)
        if response_headers is not None:
            response_headers.update(response.headers)
        if is_graph_endpoint or is_v1(self._config.protocol):
            return _object(response)
        length = int(response.headers.get(INFERENCE_CONTENT_LENGTH_HEADER, len(response.content)))
        return InferResponse.from_bytes(response.content, length)

    async def explain(
        self,
        base_url: URL,
        model_name: str,
        data: dict[str, Any],
        headers: Mapping[str, str] | None = None,
        timeout: Timeout = USE_CLIENT_DEFAULT,
    ) -> dict[str, Any]:
        """The body of the explanation; version 1 only. Raises and is cancelled as ``infer``."""
        url = self._url(base_url, self._path(f"models/{model_name}:explain", None))
        return _object(await self._post(url, data, headers, timeout))

    async def is_server_ready(
        self, base_url: URL, headers: Mapping[str, str] | None = None, timeout: Timeout = USE_CLIENT_DEFAULT
    ) -> bool:
        """Version 2 only. Raises HTTPStatusError where it is not, UnsupportedProtocol. Cancelled as ``infer``."""
        response = await self._get(self._url(base_url, self._path(None, "health/ready")), headers, timeout)
        return bool(_successful(response).json().get("ready"))

    async def is_server_live(
        self, base_url: URL, headers: Mapping[str, str] | None = None, timeout: Timeout = USE_CLIENT_DEFAULT
    ) -> bool:
        """Raises HTTPStatusError where it is not, UnsupportedProtocol. Cancelled as ``infer``."""
        path = "" if is_v1(self._config.protocol) else self._path(None, "health/live")
        body = _successful(await self._get(self._url(base_url, path), headers, timeout)).json()
        return str(body.get("status")).lower() == "alive" if path == "" else bool(body.get("live"))

    async def is_model_ready(
        self,
        base_url: URL,
        model_name: str,
        headers: Mapping[str, str] | None = None,
        timeout: Timeout = USE_CLIENT_DEFAULT,
    ) -> bool:
        """Version 1: false where it answers 503, any other failure is an HTTPStatusError. Version 2: whether it is 200.

        Raises UnsupportedProtocol. Cancelled as ``infer``.
        """
        path = self._path(f"models/{model_name}", f"models/{model_name}/ready")
        response = await self._get(self._url(base_url, path), headers, timeout)
        if is_v2(self._config.protocol):
            return response.is_success
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            return False
        return bool(_successful(response).json().get("ready"))

    def _path(self, first: str | None, second: str | None) -> str:
        """That of the protocol's version, under its prefix. Raises UnsupportedProtocol where it has none."""
        protocol = self._config.protocol
        path = first if is_v1(protocol) else second if is_v2(protocol) else None
        if path is None:
            raise UnsupportedProtocol(protocol)
        return f"{protocol}/{path}"

    def _url(self, base_url: URL, path: str) -> httpx.URL:
        base = httpx.URL(base_url)
        if base.scheme not in ("http", "https"):
            raise httpx.InvalidURL("Base url should have 'http://' or 'https://' protocol")
        if base.is_relative_url:
            raise httpx.InvalidURL("Base url should not be a relative url")
        return base.copy_with(path=f"{base.path.removesuffix('/')}/{path}")

    async def _post(
        self, url: httpx.URL, data: InferRequest | dict[str, Any] | bytes, headers: Mapping[str, str] | None,
        timeout: Timeout,
    ) -> httpx.Response:  # fmt: skip
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        if isinstance(data, InferRequest):
            body, length = data.to_rest()
            if length is not None:
                sent |= {INFERENCE_CONTENT_LENGTH_HEADER: str(length), "content-type": _BINARY}
        else:
            body = data
        if not isinstance(body, bytes):
            body, sent = dump(body), {**_JSON, **sent}
        self._tell("url: %s", url)
        request = self._client.build_request("POST", url, content=body, headers=sent, timeout=timeout)
        return _successful(await self._send(request))

    async def _get(self, url: httpx.URL, headers: Mapping[str, str] | None, timeout: Timeout) -> httpx.Response:
        self._tell("url: %s", url)
        request = self._client.build_request("GET", url, headers=headers, timeout=timeout)
        return await self._send(request)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        """Attempts to connect are repeated: nothing was sent yet."""
        send = functools.partial(self._client.send, request)
        response = await connecting(send, self._config.retries, httpx.ConnectError, httpx.ConnectTimeout)
        self._tell("response code: %s, content: %s", response.status_code, _Shown(response))
        return response

    def _tell(self, text: str, *values: Any) -> None:
        if self._config.verbose:
            trace_logger.info(text, *values)


class _Shown:
    """A body's text, read when it is written to the log."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    def __str__(self) -> str:
        return self._response.text


def _tls(verify: str | bool | ssl.SSLContext, cert: Any) -> ssl.SSLContext:
    """``cert``: a file, or (certificate, key[, password])."""
    match verify:
        case ssl.SSLContext():
            context = verify
        case bool():
            context = httpx.create_ssl_context(verify=verify)
        case _:
            context = ssl.create_default_context()
            context.load_verify_locations(verify)
    if cert is not None:
        context.load_cert_chain(*((cert,) if isinstance(cert, str) else cert))
    return context


def _object(response: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = parse(response.content)
    return found


def _successful(response: httpx.Response) -> httpx.Response:
    """Raises HTTPStatusError with the server's own text."""
    if response.is_success:
        return response
    text: Any = ""
    if response.headers.get("content-type", "").partition(";")[0] == "application/json":
        body = response.json()
        text = body.get("error", body) if isinstance(body, dict) else body
    what = f"'{response.status_code} {response.reason_phrase}' for url '{response.url}'"
    raise httpx.HTTPStatusError(f"{text}, {what}", request=response.request, response=response)

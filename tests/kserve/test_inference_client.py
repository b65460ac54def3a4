"""The REST client where KServe's does not do what it says: retries, certificates, errors. What it asks, and how it is
answered, is tests/conformance/test_kserve_client.py."""

import asyncio
import json
import ssl

import httpx
import pytest
import trio

from pipeline_serve.kserve import InferenceRESTClient, RESTConfig
from pipeline_serve.kserve.errors import UnsupportedProtocol
from tests.raw import answer, answering, raw_server
from tests.tls import over_tls, self_signed

ROWS = {"instances": [[1]]}
ANSWER = {"predictions": [[1]]}


class Reluctant(httpx.AsyncBaseTransport):
    """Cannot be connected to so many times."""

    def __init__(self, times, error=httpx.ConnectError):
        self.left, self.asked, self.error = times, 0, error

    async def handle_async_request(self, request):
        self.asked += 1
        if self.asked <= self.left:
            raise self.error("no way")
        return httpx.Response(200, json=ANSWER)


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout])
async def test_connecting_is_tried_again_as_often_as_it_says(autojump_clock, error):
    transport = Reluctant(3, error)
    async with InferenceRESTClient(RESTConfig(transport, retries=3)) as client:
        assert await client.infer("http://model", ROWS, "m") == ANSWER
    # At once, then after half a second, then after one.
    assert trio.current_time() == pytest.approx(1.5)


@pytest.mark.parametrize(("retries", "error"), [(2, httpx.ConnectError), (5, httpx.ReadError)])
async def test_no_oftener_and_nothing_that_was_sent(autojump_clock, retries, error):
    transport = Reluctant(3, error)
    async with InferenceRESTClient(RESTConfig(transport, retries=retries)) as client:
        with pytest.raises(error):
            await client.infer("http://model", ROWS, "m")
    assert transport.asked == (retries + 1 if error is httpx.ConnectError else 1)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return tuple(map(str, self_signed(tmp_path_factory.mktemp("tls"))))


@pytest.mark.parametrize("shows", [True, False])
def test_the_clients_certificate_is_shown(certificate, shows):
    def behave(shown):
        return answering(answer(json.dumps({"shown": shown}).encode()))

    async def ask(url):
        config = RESTConfig(verify=certificate[0], cert=certificate if shows else None)
        async with InferenceRESTClient(config) as client:
            return await client.infer(url, ROWS, "m")

    with raw_server(over_tls(certificate, behave, ssl.CERT_OPTIONAL)) as server:
        assert asyncio.run(ask(server.url.replace("http:", "https:"))) == {"shown": shows}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"error":"the reason"}', "the reason, '404 Not Found' for url 'http://"),
        (b'{"detail":"else"}', "{'detail': 'else'}, '404"),
    ],
)
async def test_an_error_has_the_servers_text(body, told):
    async def refused(request):
        return httpx.Response(404, content=body, headers={"content-type": "application/json; charset=utf-8"})

    async with InferenceRESTClient(RESTConfig(httpx.MockTransport(refused))) as client:
        with pytest.raises(httpx.HTTPStatusError) as raised:
            await client.infer("http://model", ROWS, "m")
    assert str(raised.value).startswith(told)


async def test_what_cannot_be_asked_is_refused_before_it_is():
    async with InferenceRESTClient(RESTConfig(Reluctant(0), protocol="v9")) as client:
        with pytest.raises(UnsupportedProtocol, match="Unsupported protocol v9"):
            await client.infer("http://model", ROWS, "m")
        with pytest.raises(ValueError, match="model_name should not be 'None'"):
            await client.infer("http://model", ROWS)
    async with InferenceRESTClient(RESTConfig(Reluctant(0))) as client:
        with pytest.raises(httpx.InvalidURL, match="'http://' or 'https://' protocol"):
            await client.infer("model:8080", ROWS, "m")

"""curl as people type it, against a real server: whatever it says of a body, the body is what counts."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from typing import NamedTuple

import pytest

from tests.serving import serving

CURL = shutil.which("curl")
pytestmark = pytest.mark.skipif(CURL is None, reason="curl is not installed")
FILES = {
    "app.py": "def echo(x): return {'x': x}\n",
    "graph.yaml": "name: echo\nsteps: {echo: app.py:echo}\n",
}
ROWS = '{"instances": [[1, 2]]}'
PREDICT, INFER = "/v1/models/echo:predict", "/v2/models/echo/infer"
TENSOR = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}
REQUEST = json.dumps({"id": "7", "inputs": [TENSOR]})
ALIVE = '{"live":true}'


class Reply(NamedTuple):
    """The last reply that curl got. Header names in lower case."""

    status: int
    version: str
    headers: dict[str, str]
    body: str


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("curl"), FILES) as server:
        yield server


@pytest.fixture
def curl(server, tmp_path):
    """``curl(path, *arguments)``: curl's own words after the options that keep it quiet and off the network."""

    def curl(path: str, *arguments: str, body: bytes | None = None) -> Reply:
        head = tmp_path / "head"
        command = [CURL, "-sS", "--noproxy", "*", "-m", "60", "-D", head, server.url + path, *arguments]
        ended = subprocess.run(command, input=body, capture_output=True, timeout=90, check=False)
        assert ended.returncode == 0, ended.stderr.decode()
        # One block of headers per reply: a 100 comes before the real one.
        *_, last = [block for block in head.read_text().replace("\r", "").split("\n\n") if block.strip()]
        status, *lines = last.splitlines()
        version, code = status.split()[:2]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Reply(int(code), version, headers, ended.stdout.decode())

    return curl


def tensors_of(reply: Reply) -> list[float]:
    assert reply.status == 200, reply.body
    return json.loads(reply.body)["outputs"][0]["data"]


# ---- bodies, whatever is said of them


@pytest.mark.parametrize(
    "said",
    [
        [],  # curl then says application/x-www-form-urlencoded
        ["-H", "content-type: application/json"],
        ["-H", "Content-Type: application/json; charset=utf-8"],
        ["-H", "content-type: Application/JSON"],
        ["-H", 'content-type: application/json;charset="UTF-8"'],
        ["-H", "content-type: application/vnd.inference+json"],
        ["-H", "content-type: application/ld+json"],
        ["-H", "content-type: text/plain"],
        ["-H", "content-type: application/octet-stream"],
        ["-H", "content-type:"],  # none at all
        ["-H", "content-type;"],  # an empty one
        ["-H", "content-type: nonsense"],
        ["-H", "accept: text/html", "-A", "Mozilla/5.0"],
    ],
    ids=" ".join,
)
def test_json_is_read_whatever_curl_says_it_is_20(curl, said):
    reply = curl(PREDICT, *said, "-d", ROWS)
    assert (reply.status, reply.body) == (200, '{"predictions":[[1,2]]}')
    assert reply.headers["content-type"] == "application/json"
    assert tensors_of(curl(INFER, *said, "-d", REQUEST)) == [1.0, 2.0]


@pytest.mark.parametrize("flag", ["-d", "--data-binary", "--data-raw", "--json"])
def test_every_way_of_giving_a_body(curl, flag):
    if flag == "--json" and flag not in subprocess.check_output([CURL, "--help", "all"], text=True):
        pytest.skip("this curl is older than 7.82")
    assert tensors_of(curl(INFER, flag, REQUEST)) == [1.0, 2.0]


def test_a_body_from_a_file_with_and_without_its_line_ends(curl, tmp_path):
    (tmp_path / "request.json").write_text(json.dumps(json.loads(REQUEST), indent=2) + "\n")
    for flag in ("-d", "--data-binary"):
        assert tensors_of(curl(INFER, flag, f"@{tmp_path / 'request.json'}")) == [1.0, 2.0]


def test_binary_tensors_from_a_file(curl, tmp_path):
    raw = b"\x00\x00\x80\x3f\x00\x00\x00\x40"
    entry = {"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [entry]}).encode()
    (tmp_path / "request.bin").write_bytes(head + raw)
    reply = curl(
        INFER, "--data-binary", f"@{tmp_path / 'request.bin'}", "-H", f"Inference-Header-Content-Length: {len(head)}"
    )
    assert tensors_of(reply) == [1.0, 2.0]


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP"])
def test_a_body_that_gzip_made(curl, coding):
    reply = curl(
        INFER, "--data-binary", "@-", "-H", f"content-encoding: {coding}", body=gzip.compress(REQUEST.encode())
    )
    assert tensors_of(reply) == [1.0, 2.0]


def test_a_chunked_upload(curl):
    assert tensors_of(curl(INFER, "-H", "transfer-encoding: chunked", "-d", REQUEST)) == [1.0, 2.0]
    assert tensors_of(curl(INFER, "-X", "POST", "-T", "-", body=REQUEST.encode())) == [1.0, 2.0]


def test_a_body_that_waits_for_100_continue(curl, tmp_path):
    numbers = list(range(400_000))
    (tmp_path / "large.json").write_text(json.dumps({"instances": numbers}))
    reply = curl(
        PREDICT, "-H", "expect: 100-continue", "--expect100-timeout", "50", "-d", f"@{tmp_path / 'large.json'}"
    )
    assert json.loads(reply.body) == {"predictions": numbers}


# ---- replies


def test_a_reply_that_curl_asks_for_compressed(curl):
    reply = curl(PREDICT, "--compressed", "-d", json.dumps({"instances": [0] * 5000}))
    assert json.loads(reply.body) == {"predictions": [0] * 5000}


@pytest.mark.parametrize("path", ["/", "/v2", "/v2/health/live", "/v2/models/echo", "/v1/models", "/nope"])
def test_head_is_get_without_its_body(curl, path):
    head, get = curl(path, "-I"), curl(path)
    assert (head.status, get.status) == (get.status, 404 if path == "/nope" else 200)
    assert {name: value for name, value in head.headers.items() if name in ("content-type", "content-length")} == {
        "content-type": "application/json", "content-length": str(len(get.body)),
    }  # fmt: skip


def test_a_request_id_in_and_out(curl):
    assert curl("/v2", "-H", "x-request-id: mine-7").headers["x-request-id"] == "mine-7"
    assert curl("/nope", "-H", "X-Request-Id: mine-8").headers["x-request-id"] == "mine-8"
    made = [curl("/v2").headers["x-request-id"] for _ in range(2)]
    assert all(made)
    assert made[0] != made[1]


# ---- paths and methods


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/health/live/", ALIVE),
        ("/v2/health/live?verbose=1&x=%C3%A4", ALIVE),
        ("/v2/health/%6Cive", ALIVE),
        ("/v2/../v2/health/live", ALIVE),  # curl itself squashes the dots
        ("/v1/models/echo/", '{"name":"echo","ready":true}'),
    ],
)
def test_paths_that_mean_the_same(curl, path, body):
    assert (curl(path).status, curl(path).body) == (200, body)


@pytest.mark.parametrize("path", ["/v1/models/echo%3Apredict", "/v1/models/echo%3apredict", f"{PREDICT}/"])
def test_the_colon_of_a_verb_may_be_escaped(curl, path):
    assert curl(path, "-d", ROWS).body == '{"predictions":[[1,2]]}'


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/v2/health/live", "GET, HEAD"),
        ("PUT", "/v2", "GET, HEAD"),
        ("DELETE", "/v1/models/echo", "GET, HEAD"),
        ("OPTIONS", "/v2/models", "GET, HEAD"),
        ("GET", INFER, "POST"),
        ("PATCH", INFER, "POST"),
        ("PUT", PREDICT, "POST"),
        ("BREW", "/", "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_allowed_says_which_are(curl, method, path, allow):
    reply = curl(path, "-X", method)
    assert (reply.status, reply.headers["allow"]) == (405, allow)
    assert json.loads(reply.body) == {"error": "Method Not Allowed"}


def test_what_is_wrong_is_told_in_the_body_and_fails_with_curls_flag(server, curl):
    refused = curl(PREDICT, "-d", "{")
    assert refused.status == 400
    assert json.loads(refused.body)["error"].startswith("Unrecognized request format")
    failed = subprocess.run(
        [CURL, "-sS", "--noproxy", "*", "-f", f"{server.url}{PREDICT}", "-d", "{"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (failed.returncode, failed.stdout) == (22, "")


# ---- versions of HTTP


@pytest.mark.parametrize(
    ("flag", "version"),
    [("--http1.0", "HTTP/1."), ("--http1.1", "HTTP/1.1"), ("--http2-prior-knowledge", "HTTP/2"), ("--http2", "HTTP/")],
)
def test_every_version_of_http_without_tls(curl, flag, version):
    if "http2" in flag and "HTTP2" not in subprocess.check_output([CURL, "--version"], text=True):
        pytest.skip("this curl has no HTTP/2")
    live = curl("/v2/health/live", flag)
    assert (live.status, live.body) == (200, ALIVE)
    assert live.version.startswith(version)
    assert tensors_of(curl(INFER, flag, "-d", REQUEST)) == [1.0, 2.0]


def test_many_requests_over_one_connection(server):
    urls = [f"{server.url}{path}" for path in ("/v2/health/live", "/nope", "/v2/health/live")]
    command = [CURL, "-sS", "--noproxy", "*", "-w", " after %{num_connects} new connections\n", *urls]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.splitlines() == [
        f"{ALIVE} after 1 new connections",
        '{"error":"Not Found"} after 0 new connections',
        f"{ALIVE} after 0 new connections",
    ]

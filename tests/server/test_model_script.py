"""A script in KServe's style as a process: its command line, its requests, how it ends."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.serving import ROOT, run, serving
from tests.tls import self_signed

SCRIPT = """
import argparse, os, signal, time
from pipeline_serve.kserve import InferRequest, Model, ModelServer, logging, model_server
from pipeline_serve.kserve.logging import logger
from pipeline_serve.kserve.model_server import app
from marks import Marks
from starlette.middleware.cors import CORSMiddleware

class Keeps(Model):
    def __init__(self, name, factor):
        super().__init__(name)
        self.factor = factor
    def load(self):
        self.ready = True
        return self.ready
    def preprocess(self, payload, headers=None):
        tensors = isinstance(payload, InferRequest)
        self.rows = payload.inputs[0].as_numpy().tolist() if tensors else payload["instances"]
        time.sleep(0.001)
        return payload
    def predict(self, payload, headers=None):
        time.sleep(0.001)
        return {"predictions": [self.factor * row for row in self.rows]}

class Streams(Model):
    def predict(self, payload, headers=None):
        for part in payload["instances"]:
            yield part
            if part == "wait":
                until_asked()

def until_asked():
    while not os.path.exists("asked"):
        time.sleep(0.005)

parser = argparse.ArgumentParser(parents=[model_server.parser])
parser.add_argument("--factor", type=int, default=2)
parser.add_argument("--model_name", default="keeps", help="defined again, where KServe 0.21 fails")
args, _ = parser.parse_known_args()

if __name__ == "__main__":
    if args.configure_logging:
        logging.configure_logging(args.log_config_file)
    logger.info("in the script's own words")
    app.add_middleware(Marks, name="steady")
    app.add_middleware(
        CORSMiddleware, allow_origins=["https://page.example"], allow_methods=["POST"], allow_headers=["content-type"]
    )
    model = Keeps(args.model_name, args.factor)
    model.load()
    server = ModelServer(enable_latency_logging=False)
    server.register_model(model, "alias")
    signal.signal(signal.SIGUSR1, lambda number, frame: server.stop(number))
    streams = Streams("streams")
    streams.load()
    server.start([model, streams])
    print("ended")
"""
PYTHON = (sys.executable,)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("script")
    files = {"model.py": SCRIPT, "marks.py": (ROOT / "tests/server/marks.py").read_text()}
    flags = ["--factor=3", "--unknown", "x"]
    with serving(folder, files, *flags, graphs=["model.py"], command=PYTHON) as server:
        yield server


def rows(*values):
    return {"instances": list(values)}


def test_it_answers_under_its_names_with_its_flags_and_its_middleware(server):
    for name in ("keeps", "alias"):
        reply = server.post(f"/v1/models/{name}:predict", rows(1, 2))
        assert (reply.status_code, reply.json()) == (200, {"predictions": [3, 6]})
        assert reply.headers["x-passed"] == "steady"
    assert server.get("/v2/models").json() == {"models": ["alias", "keeps", "streams"]}
    assert server.get("/docs").status_code == 404
    assert server.get("/v1/models/none").status_code == 404


V1, V2 = "/v1/models/keeps:predict", "/v2/models/keeps/infer"
TENSOR = {"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [1]}]}
PAGE = {"origin": "https://page.example"}


@pytest.mark.parametrize("path", [V1, V2])
def test_starlettes_cors_answers_a_browsers_preflight(server, path):
    wants = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    with server.client() as client:
        reply = client.options(path, headers={**PAGE, **wants})
        assert (reply.status_code, reply.text) == (200, "OK")
        assert reply.headers["access-control-allow-origin"] == PAGE["origin"]
        assert reply.headers["access-control-allow-methods"] == "POST"
        assert "content-type" in reply.headers["access-control-allow-headers"].lower()
        refused = client.options(path, headers={**wants, "origin": "https://other.example"})
        assert refused.status_code == 400
        assert "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize(
    ("path", "body", "status"), [(V1, rows(1), 200), (V2, TENSOR, 200), (V2, {}, 400), (V2[:-1], {}, 404)]
)
def test_starlettes_cors_marks_the_reply_of_the_request_that_follows(server, path, body, status):
    reply = server.post(path, body, headers=PAGE)
    assert reply.status_code == status
    assert reply.headers["access-control-allow-origin"] == PAGE["origin"]
    assert reply.headers["x-passed"] == "steady"
    assert reply.headers["x-request-id"]
    assert "access-control-allow-origin" not in server.post(path, body).headers


def test_a_stream_passes_through_the_middleware_part_by_part(server):
    body = rows("one ", "wait", " two")
    with (
        server.client() as client,
        client.stream("POST", "/v1/models/streams:predict", json=body, headers=PAGE) as reply,
    ):
        parts = reply.iter_raw()
        begun = b""
        while begun != b"one wait":
            begun += next(parts)
        # The last part is made once the first ones are here.
        (server.folder / "asked").touch()
        assert b"".join(parts) == b" two"
    assert reply.headers["x-passed"] == "steady"
    assert reply.headers["access-control-allow-origin"] == PAGE["origin"]
    assert reply.headers["transfer-encoding"] == "chunked"


def test_a_model_that_keeps_state_on_itself_answers_right_under_load(server):
    with server.client() as client, ThreadPoolExecutor(16) as pool:

        def ask(value):
            return client.post("/v1/models/keeps:predict", json=rows(value)).json()

        answers = list(pool.map(ask, range(200)))
    assert answers == [{"predictions": [3 * value]} for value in range(200)]


def test_it_says_what_it_has_to_say(server):
    assert "in the script's own words" in server.stderr
    assert "gRPC is not served yet" in server.stderr
    assert "requestId:" not in server.stderr
    assert "POST /v1/models/keeps:predict" in server.stderr
    assert server.stdout.startswith("serving on http://")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_lines_to_try_work(server):
    _, *lines = server.stdout.splitlines()
    told = [json.loads(subprocess.check_output(shlex.split(f"{line} -sS"))) for line in lines if "streams" not in line]
    assert told == 2 * [{"predictions": [3, 6]}]


def test_a_handler_of_its_own_may_stop_it(server):
    """The last test: the server is gone after it."""
    assert server.stop(signal.SIGUSR1) == 0
    assert server.stdout.endswith("ended\n")
    assert "asked to stop: draining" in server.stderr
    assert "Traceback" not in server.stderr


def test_the_script_of_the_readme_works(tmp_path):
    (script,) = re.findall(r"```python\n(# model\.py\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    flags = ["--model_name", "sums", "--scale", "2"]
    with serving(tmp_path, {"model.py": script}, *flags, graphs=["model.py"], command=PYTHON) as server:
        reply = server.post("/v1/models/sums:predict", rows([1, 2], [3, 4]))
        assert reply.json() == {"predictions": [6.0, 14.0]}
        assert server.stop() == 0


FAILS = """
import sys
from pipeline_serve.kserve import Model, ModelServer

class Fails(Model):
    def load(self):
        if "--raise" in sys.argv:
            raise FileNotFoundError("the weights are missing")
        return False

model = Fails("weights")
model.load()
ModelServer().start([model])
"""


@pytest.mark.parametrize(
    ("flags", "last"),
    [
        ([], "pipeline.errors.NoModelReady: Model with name weights is not ready."),
        (["--raise"], "FileNotFoundError: the weights are missing"),
    ],
)
def test_a_model_that_does_not_load_is_the_scripts_traceback_and_exit_1(tmp_path, flags, last):
    (tmp_path / "model.py").write_text(FAILS)
    ended = run(tmp_path, *flags, command=("model.py",))
    assert ended.returncode == 1
    assert ended.stderr.startswith("Traceback")
    assert ended.stderr.splitlines()[-1] == last


def test_the_certificate_of_kserves_variables_is_served_and_a_signal_ends_it(tmp_path):
    self_signed(tmp_path)
    env = {"KSERVE_TLS_CERT_FILE": "cert.pem", "KSERVE_TLS_KEY_FILE": "key.pem", "KSERVE_LOGLEVEL": "WARNING"}
    script = "from pipeline_serve import ModelServer\nModelServer(enable_grpc=False).start([])\n"
    with serving(tmp_path, {"model.py": script}, graphs=["model.py"], env=env, command=PYTHON) as server:
        assert server.url.startswith("https://")
        with server.client(verify=ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))) as client:
            assert client.get("/v2/health/live").status_code == 200
        assert server.stop() == 0
        assert server.stderr == ""

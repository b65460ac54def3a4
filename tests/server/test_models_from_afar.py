"""Models that are served from a bucket: through the cache, offline, and what the log and the metrics tell of it."""

from __future__ import annotations

import threading

import pytest

from tests.serving import serving, write
from tests.storage.origin import Fault
from tests.storage.origin import serving as origin_of

APP = """
class Scale:
    def predict(self, X): return X * self.by
"""
PICKLE = b"\x80\x02capp\nScale\n)\x81}X\x02\x00\x00\x00byK\x03sb."
FILES = {"app.py": APP, "graph.yaml": "name: far\nsteps: {m: {model: s3://b/m.pkl}}\n"}
ASK = {"instances": [[2.0]]}
SECRET = "a-secret-that-nobody-sees"


@pytest.fixture
def origin():
    with origin_of() as own:
        own.files = {"/b/m.pkl": PICKLE}
        yield own


def variables(origin, **more):
    keys = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": SECRET}
    return {"AWS_ENDPOINT_URL": origin.url, **keys, **more}


def test_it_is_downloaded_once_counted_logged_and_then_served_offline(origin, tmp_path):
    env = variables(origin)
    with serving(tmp_path, FILES, "--cache-dir", "cache", env=env) as server:
        assert server.post("/v1/models/far:predict", ASK).json() == {"predictions": [[6.0]]}
        assert "s3://b/m.pkl: 100 % (28 B of 28 B), " in server.stderr
        assert "s3://b/m.pkl: downloaded 28 B in" in server.stderr
        assert f'model_download_bytes_total{{scheme="s3"}} {len(PICKLE)}.0' in server.get("/metrics").text
        assert SECRET not in server.output
    origin.seen.clear()
    with serving(tmp_path, {}, "--cache-dir", "cache", "--offline", env=env) as server:
        assert server.post("/v1/models/far:predict", ASK).json() == {"predictions": [[6.0]]}
        assert "s3://b/m.pkl: offline, it is as it was listed at" in server.stderr
        assert server.post("/v2/repository/models/far/load").status_code == 200
        write(tmp_path, {"graph.yaml": FILES["graph.yaml"].replace("m.pkl", "other.pkl")})
        reply = server.post("/v2/repository/models/far/load")
        assert (reply.status_code, "s3://b/other.pkl was never downloaded" in reply.json()["error"]) == (503, True)
        assert server.post("/v1/models/far:predict", ASK).json() == {"predictions": [[6.0]]}
    assert origin.seen == []


def test_one_that_is_refused_leaves_the_server_up_and_no_secret_in_its_log(origin, tmp_path):
    origin.decide = lambda seen: Fault(status=403)
    with serving(tmp_path, FILES, env=variables(origin, PIPELINE_SERVE_CACHE_DIR="cache"), wait="bound") as server:
        server.wait_for_log("failed to load")
        assert "refused to the access key AKIA… (AWS_ACCESS_KEY_ID)" in server.stderr
        assert server.get("/v2/health/live").status_code == 200
        assert server.post("/v1/models/far:predict", ASK).status_code == 503
        assert SECRET not in server.output


def test_a_server_that_is_told_to_stop_does_not_wait_for_its_model(origin, tmp_path):
    slow = threading.Event()
    origin.decide = lambda seen: Fault(wait=slow) if seen.method == "GET" else None
    origin.files = {"/b/m.pkl": PICKLE + bytes(2**20)}
    with serving(tmp_path, FILES, "--cache-dir", "cache", env=variables(origin), wait="bound") as server:
        server.wait_until("it downloads", lambda: any(seen.sent for seen in origin.gets("/b/m.pkl")))
        assert server.stop() == 0
        assert "what was downloaded is kept for 24 hours in" in server.stderr
    slow.set()

"""A script's own server with several workers: what it has made is in each, what it does happens once."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from tests.serving import serving

PYTHON = (sys.executable,)
SCRIPT = """
import os
import signal
import threading

import numpy as np
from pipeline_serve.kserve import Model, ModelServer

class Adds(Model):
    def load(self):
        # In the script, once, for all workers.
        self.weights, self.loaded_by = np.arange(3.0), os.getpid()
        self.ready = True

    async def predict(self, payload, headers=None):
        if payload["instances"] == ["stop"]:
            server.stop()
        return {"predictions": [self.weights.sum(), self.loaded_by, os.getpid()]}

model = Adds("adds")
model.load()
server = ModelServer(workers=2)

def register():
    ready.wait()
    try:
        server.register_model(Adds("late"))
    except RuntimeError as error:
        print("register_model:", error, flush=True)

ready = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: ready.set())
thread = threading.Thread(target=register, name="of the script", daemon=True)
thread.start()
server.start([model])
print("ended", flush=True)
"""


def test_a_model_that_the_script_has_loaded_is_in_each_worker_and_any_of_them_may_stop_the_server(tmp_path):
    with serving(tmp_path, {"script.py": SCRIPT}, graphs=["script.py"], command=PYTHON) as server:
        seen: set[int] = set()

        def both() -> bool:
            total, loaded_by, own = server.post("/v1/models/adds:predict", {"instances": [0]}).json()["predictions"]
            assert (total, loaded_by) == (3.0, server.process.pid)
            seen.add(own)
            return len(seen) == 2

        server.wait_until("both have answered", both)
        assert server.process.pid not in seen
        assert "threads (of the script), and its workers are without them" in server.stderr
        os.kill(server.process.pid, signal.SIGUSR1)
        server.wait_until("it says what it cannot", lambda: "register_model: " in server.stdout)
        assert "register_model: this process only starts the workers" in server.stdout
        assert server.get("/v2/health/ready").status_code == 200, "a signal of the script's own stops nothing"
        server.post("/v1/models/adds:predict", {"instances": ["stop"]})
        assert server.wait() == 0
        assert server.stdout.count("ended\n") == 1
        assert "asked to stop: draining" in server.stderr


FAILS = """
from pipeline_serve.kserve import Model, ModelServer

class Fails(Model):
    def start(self):
        raise OSError("no weights")

    def predict(self, payload, headers=None):
        return payload

model = Fails("fails")
model.ready = True
ModelServer(workers=2).start([model])
"""


def test_a_model_that_no_worker_can_start_ends_the_script_with_its_error(tmp_path):
    with serving(tmp_path, {"script.py": FAILS}, graphs=["script.py"], command=PYTHON, wait="nothing") as server:
        assert server.wait() == 1
        assert "server.supervisor.CannotBegin: OSError: no weights" in server.stderr
        assert 'model "fails" version 1 failed to load' in server.stderr


THREAD = """
import threading
from pipeline_serve.kserve import ModelServer

def start():
    try:
        ModelServer(workers=2).start([])
    except RuntimeError as error:
        print(error)

thread = threading.Thread(target=start)
thread.start()
thread.join()
"""


def test_workers_are_forked_from_the_main_thread_alone(tmp_path):
    with serving(tmp_path, {"script.py": THREAD}, graphs=["script.py"], command=PYTHON, wait="nothing") as server:
        assert server.wait() == 0
        assert "several workers are forked from the main thread" in server.stdout


MIDDLEWARE = """
from pipeline_serve.kserve import ModelServer

class Broken:
    def __init__(self, app):
        raise ValueError("not today")

server = ModelServer(workers=2)
server.app.add_middleware(Broken)
server.start([])
"""


@pytest.mark.slow
def test_workers_that_cannot_be_set_up_are_tried_a_few_times_and_then_it_is_an_error(tmp_path):
    with serving(tmp_path, {"script.py": MIDDLEWARE}, graphs=["script.py"], command=PYTHON, wait="nothing") as server:
        assert server.wait() == 1
        assert "ValueError: not today" in server.stderr
        assert "CannotBegin: workers end before they serve; the last one ended with exit code 1" in server.stderr

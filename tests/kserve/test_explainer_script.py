"""An explainer as KServe's samples write it: synchronous, under nest_asyncio, entering the loop that runs."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.raw import doubling, raw_server
from tests.serving import serving

SCRIPT = """
import argparse, asyncio
import nest_asyncio
from pipeline_serve.kserve import Model, ModelServer, model_server

nest_asyncio.apply()

class Explainer(Model):
    def load(self):
        self.ready = True
        return self.ready

    def ask(self, rows):
        loop = asyncio.get_running_loop()
        return loop.run_until_complete(self.predict({"instances": rows}))["predictions"]

class Sync(Explainer):
    def explain(self, payload, headers=None):
        rows = payload["instances"]
        one_by_one = [self.ask([row])[0] for row in rows]
        together = asyncio.get_event_loop().run_until_complete(asyncio.gather(*(self.one(row) for row in rows)))
        nest_asyncio.apply()
        assert one_by_one == together == asyncio.run(self.nested(rows))
        return {"explanations": one_by_one}

    async def one(self, row):
        return (await self.predict({"instances": [row]}))["predictions"][0]

    async def nested(self, rows):
        return self.ask(rows)

class Async(Explainer):
    async def explain(self, payload, headers=None):
        return {"explanations": self.ask(payload["instances"])}

args, _ = argparse.ArgumentParser(parents=[model_server.parser]).parse_known_args()
if __name__ == "__main__":
    models = [Sync("sync"), Async("async")]
    for model in models:
        model.load()
    ModelServer().start(models)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("script")
    with raw_server(doubling) as predictor:
        flags = ["--predictor_host", predictor.url.removeprefix("http://")]
        how = {"graphs": ["model.py"], "command": [sys.executable], "env": {"no_proxy": "127.0.0.1"}}
        with serving(folder, {"model.py": SCRIPT}, *flags, **how) as server:
            yield server


def test_several_at_once_get_each_their_own_explanation(server):
    with server.client() as client, ThreadPoolExecutor(8) as pool:

        def explained(number):
            name = ("sync", "async")[number % 2]
            return client.post(f"/v1/models/{name}:explain", json={"instances": [number, number + 1]}).json()

        answers = list(pool.map(explained, range(32)))
    assert answers == [{"explanations": [2 * number, 2 * number + 2]} for number in range(32)]
    assert "Traceback" not in server.stderr

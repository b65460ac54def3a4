"""1,000 requests that are nearly none, each beside a valid one: no 500, no hang, no crash, and no memory that grows."""

from __future__ import annotations

import re
import sys
from collections import Counter

import pytest

from tests.faults.malformed import malformed
from tests.faults.smuggling import BEHIND
from tests.fuzz.corpus import requests
from tests.fuzz.http1 import Answer, Wire
from tests.fuzz.mutate import plain
from tests.fuzz.target import descriptors, resident, target

SEEDS = 1000
_REFUSED = {400, 404, 405, 408, 413, 414, 415, 417, 431, 501, 504, 505}


def exchange(port: int, seed: int) -> list[Answer]:
    """What is answered to the bytes of that seed and to a request right behind them, until the server closes."""
    found = []
    with Wire(port) as wire:
        wire.send(malformed(seed) + BEHIND)
        wire.half_close()
        while (answer := wire.answer("GET")) is not None:
            found.append(answer)
    return found


def test_a_seed_is_its_bytes_and_few_are_the_same():
    made = [malformed(seed) for seed in range(SEEDS)]
    assert made == [malformed(seed) for seed in range(SEEDS)]
    assert len(set(made)) > 0.9 * SEEDS


@pytest.mark.slow
def test_what_is_nearly_a_request_is_refused_or_answered_once_and_leaves_nothing_behind(tmp_path):
    statuses: Counter[int] = Counter()
    others: Counter[int] = Counter()
    memory = 0
    with target(tmp_path) as server, Wire(server.port) as beside:
        beside.send(plain(requests("beside")[0]).data)
        assert beside.answer("GET") is not None, "it is accepted, and its descriptor counts"
        files = descriptors(server) if sys.platform == "linux" else 0
        for seed in range(SEEDS):
            found = exchange(server.port, seed)
            statuses.update(answer.status for answer in found)
            assert {answer.status for answer in found} <= {200, *_REFUSED}, (seed, found)
            assert sum(answer.headers.get("x-request-id") == "behind" for answer in found) <= 1, (seed, found)
            assert not any(answer.closes for answer in found[:-1]), (seed, found)
            valid = requests("beside")[seed % 20]
            beside.send(plain(valid).data)
            answer = beside.answer(valid.method)
            assert answer.body == valid.answer, seed
            others[answer.status] += 1
            if seed == SEEDS // 10 and sys.platform == "linux":
                memory = resident(server)
        counted = dict(re.findall(r'http_requests_total{status="(\d+)"} (\S+)', server.get("/metrics").text))
        told = statuses + others
        assert {status: float(counted[str(status)]) for status in _REFUSED & told.keys()} == {
            status: told[status] for status in _REFUSED & told.keys()
        }, "each is counted, and once"
        if sys.platform == "linux":
            server.wait_until("its connections are closed", lambda: descriptors(server) <= files)
            assert resident(server) - memory < 16 << 20
    assert {200, 400, 404, 405, 417, 431} <= statuses.keys(), "the seeds reach every kind of answer"

"""2,000 mutated requests against a real server: no 500, no hang, no echo, and what is valid right after is answered."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fuzz.corpus import requests
from tests.fuzz.exchange import run_all
from tests.fuzz.http1 import Wire
from tests.fuzz.mutate import marker_of, mutation, plain
from tests.fuzz.target import descriptors, resident, target

SEEDS, WORKERS = 2000, 4
MARKER = marker_of(0)


def test_a_seed_is_its_request_and_few_are_the_same():
    made = [mutation(seed) for seed in range(300)]
    assert made == [mutation(seed) for seed in range(300)]
    assert len({sent.data.replace(sent.marker.encode(), b"") for sent in made}) > 280
    # What is judged as one whole request is most of it; the rest is what is no HTTP.
    assert 200 < sum(sent.framed for sent in made) < 300
    assert any(b"\r\n\r\n" in sent.data and sent.marker.encode() in sent.data for sent in made)


def test_every_request_of_the_corpus_is_answered_to_the_byte(tmp_path):
    with target(tmp_path) as server, Wire(server.port) as wire:
        for request in requests(MARKER):
            wire.send(plain(request).data)
            answer = wire.answer(request.method)
            assert (answer.status, answer.body) == (request.status, request.answer), request


@pytest.mark.slow
def test_2000_mutations_are_answered_or_refused_in_few_words_and_nothing_is_left_behind(tmp_path):
    findings: list[str] = []
    with target(tmp_path) as server:
        # What is loaded and remembered once is not growth.
        run_all(server.port, range(SEEDS, SEEDS + 200), findings.append)
        files, memory = (descriptors(server), resident(server)) if sys.platform == "linux" else (0, 0)
        shares = [range(worker, SEEDS, WORKERS) for worker in range(WORKERS)]
        with ThreadPoolExecutor(WORKERS) as pool:
            runs = list(pool.map(lambda seeds: run_all(server.port, seeds, findings.append), shares))
        assert findings == []
        assert sum(run.reused for run in runs) == SEEDS
        if sys.platform == "linux":
            server.wait_until("its connections are closed", lambda: descriptors(server) <= files)
            assert resident(server) - memory < 128 << 20
        assert not [seed for seed in range(SEEDS + 200) if marker_of(seed) in server.stderr]
    statuses = set().union(*(run.statuses for run in runs))
    assert {"200", "400", "404", "405", "415", "closed"} <= statuses, "the mutations reach every kind of answer"

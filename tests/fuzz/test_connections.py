"""Abused connections beside witnesses: the process lives, nobody else notices, and the log has no traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.fuzz.connections import NAMES, script
from tests.fuzz.target import HAS_OPENSSL, descriptors, resident, target
from tests.fuzz.witnesses import Witnesses
from tests.serving import Server
from tests.tls import secured

SEEDS = 200


@contextmanager
def both(folder) -> Iterator[tuple[Server, Server | None]]:
    """A server, and one of TLS where a certificate can be made."""
    (folder / "plain").mkdir()
    (folder / "tls").mkdir()
    with target(folder / "plain") as server:
        if not HAS_OPENSSL:
            yield server, None
            return
        with target(folder / "tls", *secured(folder / "tls")) as secure:
            yield server, secure


def test_a_seed_is_its_script_and_every_kind_comes():
    made = [script(seed, has_tls=True) for seed in range(SEEDS)]
    assert made == [script(seed, has_tls=True) for seed in range(SEEDS)]
    assert {own.name for own in made} == set(NAMES)
    assert {(own.port, own.tls) for own in made} == {("plain", False), ("tls", False), ("tls", True)}
    assert not any(own.port == "tls" for own in (script(seed, has_tls=False) for seed in range(50)))


@pytest.mark.slow
def test_no_abuse_of_a_connection_is_noticed_by_another(tmp_path):
    with both(tmp_path) as (server, secure):
        servers = [own for own in (server, secure) if own is not None]
        witnesses = Witnesses(server, secure, "witness")
        for seed in range(SEEDS, SEEDS + 60):
            witnesses.run(seed)
        before = [(descriptors(own), resident(own)) if sys.platform == "linux" else (0, 0) for own in servers]
        for seed in range(SEEDS):
            witnesses.run(seed)
        witnesses.close()
        if sys.platform == "linux":
            for own, (files, memory) in zip(servers, before, strict=True):
                own.wait_until("its connections are closed", lambda own=own, files=files: descriptors(own) <= files)
                assert resident(own) - memory < 128 << 20

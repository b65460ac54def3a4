"""``python -m tests.fuzz --minutes 10 --seed 1``: both kinds, on and on, with seeds that nobody has tried.

Exit code 1 where something was found; each finding is printed with its seed, which replays it:
``python -m tests.fuzz --requests SEED`` and ``--connections SEED``.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.exchange import Exchanges, Finding
from tests.fuzz.target import HAS_OPENSSL, complaints, descriptors, resident, target
from tests.fuzz.witnesses import Witnesses
from tests.serving import Server
from tests.tls import secured

_SUMMARY_SECONDS = 30
_MIB = 1 << 20


class Campaign:
    """Two threads, one of each kind, until the time is over or both have found something."""

    def __init__(self, server: Server, secure: Server | None, seed: int, until: float) -> None:
        self.findings: list[str] = []
        self.statuses: Counter[str] = Counter()
        self.played: Counter[str] = Counter()
        self._server = server
        self._secure = secure
        self._seed = seed
        self._until = until

    def requests(self, only: int | None = None) -> None:
        exchanges = Exchanges(self._server.port)
        self.statuses = exchanges.statuses
        try:
            for seed in self._seeds("requests", only):
                exchanges.run(seed)
        except (Finding, OSError) as error:
            self._found(f"request: {error}")
        except Exception:  # noqa: BLE001  # the fuzzer's own fault is told, and does not end it unseen
            self._found(f"request: {traceback.format_exc()}")
        exchanges.close()

    def connections(self, only: int | None = None) -> None:
        try:
            witnesses = Witnesses(self._server, self._secure, "campaign")
            self.played = witnesses.played
            for seed in self._seeds("connections", only):
                witnesses.run(seed)
            witnesses.close()
        except (Finding, OSError) as error:
            self._found(f"connection: {error}")
        except Exception:  # noqa: BLE001  # as above
            self._found(f"connection: {traceback.format_exc()}")

    def _seeds(self, kind: str, only: int | None) -> Iterator[int]:
        if only is not None:
            yield only
            return
        fresh = random.Random(f"{kind} {self._seed}")
        while time.monotonic() < self._until:
            yield fresh.getrandbits(48)

    def _found(self, text: str) -> None:
        self.findings.append(text)
        print(f"FOUND {text}", flush=True)

    def summary(self) -> str:
        servers = [own for own in (self._server, self._secure) if own is not None]
        use = ", ".join(f"{resident(own) / _MIB:.0f} MiB {descriptors(own)} files" for own in servers)
        replies = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        return f"{sum(self.played.values())} connections; replies {replies or 'none'}; {use}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--requests", type=int, metavar="SEED", help="replay this one")
    parser.add_argument("--connections", type=int, metavar="SEED", help="replay this one")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        return _in(Path(name), asked)


def _in(folder: Path, asked: argparse.Namespace) -> int:
    for name in ("plain", "tls"):
        (folder / name).mkdir()
    until = time.monotonic() + 60 * asked.minutes
    try:
        with target(folder / "plain") as server:
            if not HAS_OPENSSL:
                return _run(Campaign(server, None, asked.seed, until), server, asked)
            with target(folder / "tls", *secured(folder / "tls")) as secure:
                return _run(Campaign(server, secure, asked.seed, until), server, asked)
    except AssertionError as error:
        print(f"FOUND {error}")
        return 1


def _run(campaign: Campaign, server: Server, asked: argparse.Namespace) -> int:
    replay = asked.requests is not None or asked.connections is not None
    threads = []
    if not replay or asked.requests is not None:
        threads.append(threading.Thread(target=campaign.requests, args=(asked.requests,)))
    if not replay or asked.connections is not None:
        threads.append(threading.Thread(target=campaign.connections, args=(asked.connections,)))
    for thread in threads:
        thread.start()
    start = time.monotonic()
    for tick in itertools.count(1):
        for thread in threads:
            thread.join(max(0, start + tick * _SUMMARY_SECONDS - time.monotonic()))
        print(f"{time.monotonic() - start:.0f} s: {campaign.summary()}", flush=True)
        if not any(thread.is_alive() for thread in threads):
            break
    print("connections:", ", ".join(f"{name}: {count}" for name, count in sorted(campaign.played.items())))
    for line in complaints(server):
        campaign.findings.append(line)
        print(f"FOUND in the log: {line}")
    return 1 if campaign.findings else 0


if __name__ == "__main__":
    sys.exit(main())

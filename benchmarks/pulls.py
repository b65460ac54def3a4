"""Downloads beside KServe's storage initializer: one bucket, one server, both in turn, in one run.

    python -m benchmarks.pulls [--nginx PATH] [--folder /dev/shm] [--only quarter|big|slow|small]

Serves files of 256 MiB and 1 GiB, and 2,000 of 49 kB, with nginx (Debian: ``apt install nginx-light``) as an S3 bucket,
as fast as it goes and held to 60 MB/s per connection. Downloads each with kserve-storage 0.21 (in an environment of its
own, in ``.peers/``) and with ``pull URI FOLDER``. Prints medians of wall time, CPU time (with children) and the peak
of the process tree's memory (proportional), and their ratios; both start an interpreter each time, which is counted.

The targets: 1 GiB ≥ 1.8× as fast at ≤ 0.6× the CPU, ≥ 1.4× where connections are slow, 2,000 files ≥ 10×, memory ≤
0.7×. A pull's memory is that of its connections: it grows from 256 MiB to 1 GiB, which has 32 of them, and no more.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.beside.processes import free_port, pss
from tests.peers import environment

ROOT = Path(__file__).parents[1]
ROUNDS = 3
MIB = 2**20
CONFIG = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; etag on;
  client_body_temp_path {folder}/t; proxy_temp_path {folder}/t; fastcgi_temp_path {folder}/t;
  uwsgi_temp_path {folder}/t; scgi_temp_path {folder}/t;
  map $arg_prefix $listing {{
    default ""; "~^quarter" /list/quarter.xml; "~^big" /list/big.xml; "~^small" /list/small.xml;
  }}
  {servers}
}}
"""
SERVER = """
  server {{
    listen 127.0.0.1:{port}; {limit}
    location = /bkt {{
      types {{}} default_type application/xml; if ($listing) {{ rewrite ^ $listing last; }} return 200 "";
    }}
    location /list/ {{ root {folder}; types {{ xml xml; }} default_type application/xml; }}
    location /bkt/ {{ alias {folder}/www/; types {{}} default_type application/octet-stream; }}
  }}
"""
PULL = "from server.cli import main; main()"  # as the console script starts it
Contents = tuple[str, Sequence[str], int]
"""Prefix, names under it, and bytes of each."""
CONTENTS: Sequence[Contents] = (
    ("quarter", ["model.bin"], 256 * MIB),
    ("big", ["model.bin"], 1024 * MIB),
    ("small", [f"f{n:04}" for n in range(2000)], 49_000),
)
KSERVE = "import sys; from kserve_storage import Storage; Storage.download(*sys.argv[1:])"


@dataclass(frozen=True)
class Cost:
    """Of one download: seconds of wall and CPU, and the most memory at once, in MiB."""

    wall: float
    cpu: float
    memory: float


def main() -> None:
    read = arguments()
    read.add_argument("--only", choices=("quarter", "big", "slow", "small"), help="one part of it")
    told = read.parse_args()
    kserve = environment.python("kserve-storage")
    with bucket(told, CONTENTS) as (folder, (fast, slow)):
        for part, what, port, prefix in (
            ("quarter", "256 MiB, as fast as it goes", fast, "quarter"),
            ("big", "1 GiB, as fast as it goes", fast, "big"),
            ("slow", "1 GiB, 60 MB/s per connection", slow, "big"),
            ("small", "2,000 files of 49 kB", fast, "small"),
        ):
            if told.only in (None, part):
                report(what, folder, kserve, port, prefix)


def arguments() -> argparse.ArgumentParser:
    """Those of each benchmark of pulls."""
    read = argparse.ArgumentParser()
    read.add_argument("--nginx", default=shutil.which("nginx") or "/usr/sbin/nginx")
    read.add_argument("--folder", default="/dev/shm")
    return read


def report(what: str, folder: Path, kserve: Path, port: int, prefix: str) -> None:
    """Prints the medians of both and what each costs of the other."""
    out = folder / "out"
    theirs = [str(kserve), "-c", KSERVE, f"s3://bkt/{prefix}", str(out)]
    ours = [sys.executable, "-c", PULL, "pull", f"s3://bkt/{prefix}", str(out)]
    costs: dict[str, list[Cost]] = {"kserve-storage": [], "pull": []}
    for _ in range(ROUNDS):
        for name, command in (("kserve-storage", theirs), ("pull", ours)):
            costs[name].append(cost(command, port, out, folder / "www" / prefix))
    print(what)
    medians = {}
    for name, all_of in costs.items():
        medians[name] = Cost(
            *(statistics.median(getattr(own, field) for own in all_of) for field in Cost.__annotations__)
        )
        own = medians[name]
        spread = f"{min(one.wall for one in all_of):.2f} to {max(one.wall for one in all_of):.2f}"
        print(f"  {name:15} {own.wall:6.2f} s ({spread})  CPU {own.cpu:6.2f} s  memory {own.memory:4.0f} MiB")
    one, two = medians["kserve-storage"], medians["pull"]
    faster, cpu, memory = one.wall / two.wall, two.cpu / one.cpu, two.memory / one.memory
    print(f"  {faster:.1f}× as fast, {cpu:.2f}× the CPU, {memory:.2f}× the memory")


def cost(command: Sequence[str], port: int, out: Path, origin: Path) -> Cost:
    """Runs one download into an empty folder, and checks that it is all there."""
    shutil.rmtree(out, ignore_errors=True)
    env = environment.environment(
        PYTHONPATH=str(ROOT), HOME=str(out.parent), AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}",
        awsAnonymousCredential="true", AWS_DEFAULT_REGION="us-east-1",
    )  # fmt: skip
    before = os.times()
    start = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    most = 0.0
    while process.poll() is None:
        most = max(most, tree_memory(process.pid))
        time.sleep(0.02)
    wall = time.perf_counter() - start
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    assert process.returncode == 0, command
    assert sum(path.stat().st_size for path in out.iterdir()) == sum(path.stat().st_size for path in origin.iterdir())
    return Cost(wall, cpu, most)


def tree_memory(pid: int) -> float:
    """MiB of a process and its children, shared pages counted once."""
    return sum(pss(own) for own in [pid, *children(pid)]) / MIB


def children(pid: int) -> Iterator[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return
    for child in map(int, text.split()):
        yield child
        yield from children(child)


def fill(folder: Path, contents: Iterable[Contents]) -> None:
    """The files, and what a bucket would list of them; nginx makes etags of time and size."""
    draw = random.Random(1)
    (folder / "list").mkdir()
    for prefix, names, size in contents:
        (folder / "www" / prefix).mkdir(parents=True)
        rows = []
        for name in names:
            path = folder / "www" / prefix / name
            with path.open("wb") as file:
                for at in range(0, size, MIB):
                    file.write(draw.randbytes(min(MIB, size - at)))
            told = path.stat()
            tag = f"&quot;{int(told.st_mtime):x}-{told.st_size:x}&quot;"
            rows.append(
                f"<Contents><Key>{prefix}/{name}</Key><LastModified>2026-11-02T10:00:00.000Z</LastModified>"
                f"<ETag>{tag}</ETag><Size>{size}</Size></Contents>"
            )
        head = f"<ListBucketResult><Name>bkt</Name><Prefix>{prefix}</Prefix><MaxKeys>9999</MaxKeys>"
        text = f'<?xml version="1.0"?>{head}<IsTruncated>false</IsTruncated>{"".join(rows)}</ListBucketResult>'
        (folder / "list" / f"{prefix}.xml").write_text(text)


@contextmanager
def bucket(told: argparse.Namespace, contents: Iterable[Contents]) -> Iterator[tuple[Path, tuple[int, int]]]:
    """A folder with these files, and the ports of their bucket as fast as it goes, and held to 60 MB/s a connection.

    ``told``: by ``arguments``.
    """
    with tempfile.TemporaryDirectory(dir=told.folder) as made:
        folder = Path(made)
        folder.chmod(0o755)  # nginx reads it as nobody
        fill(folder, contents)
        with serving(folder, told.nginx) as ports:
            yield folder, ports


@contextmanager
def serving(folder: Path, nginx: str) -> Iterator[tuple[int, int]]:
    ports = free_port(), free_port()
    limits = "", "limit_rate 60m;"
    servers = "".join(
        SERVER.format(port=port, limit=limit, folder=folder) for port, limit in zip(ports, limits, strict=True)
    )
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, servers=servers))
    process = subprocess.Popen([nginx, "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        for port in ports:
            wait_for(port)
        yield ports
    finally:
        process.terminate()
        process.wait()


def wait_for(port: int) -> None:
    give_up = time.monotonic() + 10
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/bkt?prefix=big"):
                return
        except OSError:
            assert time.monotonic() < give_up, "nginx did not start"
            time.sleep(0.05)


if __name__ == "__main__":
    main()

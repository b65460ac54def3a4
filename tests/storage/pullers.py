"""Which processes pull for another one, as the system sees them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def pullers(parent: int) -> list[int]:
    """The processes that pull for that one."""
    command = ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in told.splitlines()]
    return [int(pid) for pid, own, *args in rows if int(own) == parent and "storage.puller" in "".join(args)]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def written(cache: Path) -> bool:
    """Whether a pull into that cache has something to go on with."""
    return any(journal.stat().st_size for journal in cache.glob("work/*/journal"))

"""How many cores this process may use: by its affinity, and by the CPU quota of its control groups (a container)."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

_OF_THIS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")
_QUOTA = "cpu.max"


def cores(of_this: Path = _OF_THIS, groups: Path = _GROUPS) -> int:
    """The default limit of synchronous functions and runtimes; 1 at least, and half a core is one.

    ``of_this``, ``groups``: where Linux tells of the groups.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    there = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, math.ceil(min(there, quota(_texts(of_this, groups)))))


def quota(texts: Iterable[str]) -> float:
    """The least of the quotas in cores, ``math.inf`` without one; of the texts of cpu.max (cgroup v2: ``MAX PERIOD``).

    What cannot be read says nothing.
    """
    least = math.inf
    for text in texts:
        match text.split():
            case [most, period] if most.isdecimal() and period.isdecimal() and int(period):
                least = min(least, int(most) / int(period))
    return least


def _texts(of_this: Path, groups: Path) -> Iterator[str]:
    """Those of the group that the process is in and of all around it; none where there are no such groups."""
    try:
        lines = of_this.read_text().splitlines()
    except OSError:
        return
    own = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), None)
    if own is None:
        return
    path = PurePosixPath(own.lstrip("/"))
    for group in (path, *path.parents):
        try:
            yield (groups / group / _QUOTA).read_text()
        except (OSError, ValueError):
            continue

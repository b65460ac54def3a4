"""Environments of their own for other people's software, whose dependencies must not meet ours.

``tests/peers/NAME.txt`` says what is in one, ``<checkout>/.peers/NAME`` is one. It is made on demand, with what every
machine that runs the suite has: Python with venv and pip, or uv where that is. Runs that want the same one at the same
time wait for each other; one whose making was interrupted is made anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
LISTS = Path(__file__).parent
MAKING = 900.0
"""Seconds after which an installation has failed: the largest is some 150 MB to download."""
# The first version of Python that a peer refuses to be installed on.
TOO_NEW: Mapping[str, tuple[int, int]] = {"kserve": (3, 14)}
_TAG = "import sys; print(sys.implementation.cache_tag + sys.abiflags, *sys.version_info[:2])"


class NoPython(Exception):
    """No interpreter here that the peer can be installed on; the text says which it needs."""


class NotInstalled(Exception):
    """The environment could not be made; the text is that of the program that tried."""


def python(name: str, home: Path = ROOT / ".peers", lists: Path = LISTS) -> Path:
    """The interpreter of the environment ``home/name``, which holds exactly what ``lists/name.txt`` lists.

    Raises NoPython, or NotInstalled with the installer's words; the next call then tries again.
    """
    base = _base(name)
    listed = lists / f"{name}.txt"
    home.mkdir(parents=True, exist_ok=True)
    # Checkouts may share a folder by links: it is one environment by whichever way it is reached.
    home = home.resolve()
    folder = home / name
    made, stamp = folder / "bin" / "python", folder / "stamp"
    # A path, for scripts and pyvenv.cfg hold it; an interpreter, for wheels fit one.
    wanted = f"{folder}\n{_ask(base)}\n{hashlib.sha256(listed.read_bytes()).hexdigest()}\n"
    with _locked(home / f"{name}.lock"):
        if not (stamp.is_file() and stamp.read_text() == wanted and _ask(made)):
            shutil.rmtree(folder, ignore_errors=True)
            _make(folder, base, listed)
            stamp.write_text(wanted)
    return made


def environment(**more: str) -> dict[str, str]:
    """This process's environment without what is meant for our Python, and with loopback reached directly."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIPELINE_SERVE_"))}
    return {**kept, "NO_PROXY": "*", "no_proxy": "*", **more}


def _base(name: str) -> Path:
    """Our own interpreter where the peer can be installed on it, else the newest beside it that fits."""
    limit = TOO_NEW.get(name)
    own = Path(sys.executable)
    if limit is None or sys.version_info[:2] < limit:
        return own
    older = [f"python{limit[0]}.{minor}" for minor in range(limit[1] - 1, 10, -1)]
    for candidate in older:
        found = shutil.which(candidate)
        if found and _ask(Path(found)):
            return Path(found)
    raise NoPython(f"{name} cannot be installed on Python {sys.version_info[0]}.{sys.version_info[1]}, and there is no "
                   f"{' or '.join(older)} here")  # fmt: skip


def _ask(interpreter: Path) -> str:
    """What its wheels have to fit; "" where it does not run."""
    try:
        asked = subprocess.run([interpreter, "-ISc", _TAG], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return ""
    return asked.stdout.strip()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """The kernel drops the lock when the process that holds it ends, so none is ever stale."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(folder: Path, base: Path, listed: Path) -> None:
    """The list is whole, so nothing is resolved: what stands in it is installed, and nothing else."""
    made = folder / "bin" / "python"
    if uv := shutil.which("uv"):
        _run([uv, "venv", "--quiet", "--python", base, folder])
        _run([uv, "pip", "install", "--quiet", "--python", made, "--no-deps", "--compile-bytecode", "-r", listed])
        return
    if base == Path(sys.executable) and not importlib.util.find_spec("ensurepip"):
        raise NotInstalled(f"{base} comes without venv; on Debian and Ubuntu: apt install python3-venv")
    _run([base, "-m", "venv", folder])
    _run([made, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", listed])


def _run(command: list[str | Path]) -> None:
    """Raises NotInstalled where the command fails or does not end in time."""
    # Where pip is told to look besides, uv looks too.
    beside = os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS", "")
    how = {"PIP_USER": "0", "VIRTUAL_ENV": "", "UV_FIND_LINKS": beside}
    try:
        ended = subprocess.run(
            command, env=environment() | how, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=MAKING, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as slow:
        raise NotInstalled(f"{' '.join(map(str, command))}\ndid not end within {MAKING:.0f} s\n{slow.output}") from None
    if ended.returncode:
        raise NotInstalled(f"{' '.join(map(str, command))}\nended with {ended.returncode}\n{ended.stdout}")

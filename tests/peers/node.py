"""Programs of npm, beside the environments of Python: ``<checkout>/.peers/NAME`` has one, made on demand."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.peers.environment import MAKING, ROOT, NotInstalled, _locked, environment


class NoNode(Exception):
    """There is no npm here; the text says how to get it."""


def program(name: str, version: str, home: Path = ROOT / ".peers") -> tuple[str, Path]:
    """(node, the folder of the package) of that version. Raises NoNode, or NotInstalled with npm's words."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise NoNode(f"{name} needs Node.js with npm; on Debian and Ubuntu: apt install npm")
    home.mkdir(parents=True, exist_ok=True)
    folder = home / name
    stamp, wanted = folder / "stamp", f"{name}@{version}"
    with _locked(home / f"{name}.lock"):
        if not (stamp.is_file() and stamp.read_text() == wanted):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), wanted]
            ended = subprocess.run(
                command, env=environment(), capture_output=True, text=True, timeout=MAKING, check=False
            )
            if ended.returncode:
                raise NotInstalled(f"{' '.join(command)}\nended with {ended.returncode}\n{ended.stdout}{ended.stderr}")
            stamp.write_text(wanted)
    return node, folder / "node_modules" / name

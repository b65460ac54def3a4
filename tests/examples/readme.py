"""What the README of an example shows, and what its commands really answer."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.serving import ROOT


def trained(folder: Path) -> Path:
    """The folder of an example, whose model its own script has made."""
    if (folder / "train.py").exists() and not (folder / "model.joblib").exists():
        subprocess.run([sys.executable, str(folder / "train.py")], check=True)
    return folder


def conversations(readme: Path) -> list[tuple[str, str]]:
    """(command, shown output) of the README's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", readme.read_text(), re.DOTALL)
    return [pair for block in blocks for pair in re.findall(r"^\$ (.*)\n((?:[^$\n].*\n?)*)", block, re.MULTILINE)]


def curl(command: str, url: str) -> str:
    """What a line of curl prints, asked of the server at ``url`` in place of the README's."""
    words = shlex.split(command.replace("http://localhost:8080", url))
    words += ["-sS", "--noproxy", "*"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout

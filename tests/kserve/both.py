"""One text of model code, under KServe in its own environment and under us."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.peers import environment

_IMPORTED = re.compile(r"^(\s*from )kserve\b", re.MULTILINE)


def migrated(text: str) -> str:
    """Model code written for KServe, with nothing changed but the lines that import it."""
    return _IMPORTED.sub(r"\1pipeline_serve.kserve", text)


def kserve() -> Path:
    """The interpreter of KServe's own environment."""
    try:
        return environment.python("kserve")
    except environment.NoPython as nowhere:
        pytest.skip(str(nowhere))


def told_by_kserve(file: Path) -> str:
    """What that script prints under KServe."""
    ended = subprocess.run(
        [kserve(), file], env=environment.environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout

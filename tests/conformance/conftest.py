"""Software of others, each in an environment of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers import environment


@pytest.fixture(scope="session")
def peer() -> Callable[[str], Path]:
    """``peer("kserve")`` is the interpreter of the environment that has it, which is made where it is missing."""

    def interpreter(name: str) -> Path:
        try:
            return environment.python(name)
        except environment.NoPython as nowhere:
            pytest.skip(str(nowhere))

    return interpreter

"""What this server calls itself: its name, and the version that is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

NAME = "pipeline-serve"


def own_version() -> str:
    """The installed distribution's version; a source tree that is only on the path has none, and says so."""
    try:
        return version(NAME)
    except PackageNotFoundError:
        return "0+unknown"

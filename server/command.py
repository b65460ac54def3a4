"""The console script. A signal while it imports what it needs ends it at once, with a shell's exit code."""

from __future__ import annotations

from server.signals import ends_at_once


def main() -> None:
    """``pipeline-serve``, with the process's arguments."""
    with ends_at_once():
        from server.cli import main as command  # noqa: PLC0415  # see above
    command()

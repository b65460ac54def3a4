"""What ends the process from outside, and the exit codes of it. Standard library alone: it is there before all else."""

from __future__ import annotations

import signal

STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
"""The signals that stop a server."""
SIGNAL_BASE = 128
"""Of a process that signal n ended, a shell says 128 + n."""
LEFT = 3
"""It ended while a model's code went on."""

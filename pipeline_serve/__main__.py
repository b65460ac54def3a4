"""``python -m pipeline_serve`` is ``pipeline-serve``."""

from server.cli import main

main()

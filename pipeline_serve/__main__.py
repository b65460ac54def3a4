"""``python -m pipeline_serve`` is ``pipeline-serve``."""

from server.command import main

main()

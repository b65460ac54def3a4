"""``draw``: a graph file as SVG, DOT or Mermaid, by the ending of the file that it is written to."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.drawing.catalog import drawn, format_of
from pipeline.drawing.layers import TooLarge
from server.report import FAULTS, blueprints

_DEFAULT = "svg"
_STDOUT = "-"


def draw_file(graph: Path | str, output: str | None, form: str | None) -> int:
    """The exit code: 0, or 2 where the graph has faults, is too large, or the file cannot be written.

    ``output`` None or "-" is stdout, where an SVG goes if nobody says otherwise; but not to a person's screen.
    """
    to_stdout = output in (None, _STDOUT)
    if output is None and form is None and sys.stdout.isatty():
        return _refuse("where to? -o graph.svg (or .dot, .mmd, .md), or --format mermaid to read it here")
    try:
        form = form or (_DEFAULT if to_stdout or output is None else format_of(output))
    except ValueError as error:
        return _refuse(f"{output}: {error}; or say --format")
    found = blueprints([graph])
    if found is None:
        return FAULTS
    try:
        text = drawn(found[0].graph, found[0].interfaces, form)
    except TooLarge as error:
        return _refuse(f"{graph}: {error}: -o graph.dot, or graph.mmd")
    if to_stdout or output is None:
        sys.stdout.buffer.write(text.encode())
        return 0
    try:
        Path(output).write_bytes(text.encode())
    except OSError as error:
        return _refuse(f"{output}: cannot be written: {error.strerror or error}")
    return 0


def _refuse(message: str) -> int:
    print(f"pipeline-serve: {message}", file=sys.stderr)  # noqa: T201
    return FAULTS

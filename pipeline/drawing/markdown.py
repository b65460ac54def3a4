"""Markdown with the picture in a fenced block of Mermaid, as GitHub and many wikis draw it."""

from __future__ import annotations

from pipeline.drawing import mermaid
from pipeline.drawing.picture import Picture

ENDINGS = (".md", ".markdown")


def write(picture: Picture) -> str:
    """One fenced block; a label holds no backquotes that could end it."""
    return f"```mermaid\n{mermaid.write(picture)}```\n"

"""How wide a text is, before anybody draws it: an upper bound over the fonts that ``system-ui`` and ``monospace`` mean.

Widths are in em, those of DejaVu Sans, the widest of the usual ones; East Asian wide characters are 1 em.
"""

from __future__ import annotations

import unicodedata

MONO = 0.61
_NARROW = frozenset("iljtfrI.,:;'|!()[]{}/\\ \"`-")
_WIDE = frozenset("mwMW@%&—…")


def width(text: str, size: float, *, mono: bool = False, bold: bool = False) -> float:
    """Pixels, at a font size in pixels."""
    return sum(_em(char, mono) for char in text) * size * (1.12 if bold else 1.0)


def fitted(text: str, most: float, size: float, *, mono: bool = False, bold: bool = False) -> str:
    """The text, cut in its middle where it is wider than ``most`` pixels: names differ at their ends."""
    if len(text) <= 2_000 and width(text, size, mono=mono, bold=bold) <= most:
        return text
    room = most - width("…", size, mono=mono, bold=bold)
    scale = size * (1.12 if bold else 1.0)
    head, tail, used = "", "", 0.0
    for position in range(len(text)):
        end, at = position % 2, position // 2
        char = text[-1 - at] if end else text[at]
        used += _em(char, mono) * scale
        if used > room:
            break
        head, tail = (head, char + tail) if end else (head + char, tail)
    return f"{head}…{tail}"


def _em(char: str, mono: bool) -> float:
    if unicodedata.combining(char):
        return 0.0
    if unicodedata.east_asian_width(char) in "WF":
        return 1.0
    if mono:
        return MONO
    if char in _NARROW:
        return 0.42
    if char in _WIDE:
        return 1.0
    return 0.72 if char.isupper() or not char.isascii() else 0.63


def clipped(text: str, most: int) -> str:
    """On one line, cut in its middle after so many characters, and without what no text file should hold."""
    line = "".join(char if char.isprintable() else " " for char in text[: most * 2] + text[most * 2 :][-most:])
    return line if len(line) <= most else f"{line[: most // 2]}…{line[-(most // 2 - 1) :]}"

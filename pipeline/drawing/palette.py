"""The colours of a step's kind on a light page. Okabe and Ito's, which all kinds of colour vision tell apart.

One that is not here has those of ``OTHER``; a card says its kind in a word as well.
"""

from __future__ import annotations

OTHER = "other"
STROKES = {"run": "#0072b2", "model": "#d55e00", "call": "#007f5f", OTHER: "#9c4f80"}
FILLS = {"run": "#cce5f3", "model": "#fbd9bf", "call": "#c3ecdd", OTHER: "#f0dbe8"}
"""Light enough for black text."""
TEXT, QUIET, SOFT = "#1f2328", "#59636e", "#f3f5f7"
"""Of what is read, of what stands back, and under what is no step."""

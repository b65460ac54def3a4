"""A user's own ``server.py`` beside a script would hide our package of that name; say so, and say what to rename.

Python puts a script's folder first on the path, and our top-level packages have plain names.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

_OURS = ("pipeline", "server", "storage")


def refuse_shadows() -> None:
    """Raises ImportError that names the file in the way, where one is."""
    home = Path(__file__).parent.parent
    for name in _OURS:
        spec = importlib.util.find_spec(name)
        origin = spec.origin if spec else None
        if origin is not None and Path(origin).parent.parent.resolve() != home.resolve():
            file = Path(origin)
            what, kind = (file.parent, "folder") if file.name == "__init__.py" else (file, "file")
            raise ImportError(f"{what} hides the package {name!r} of pipeline-serve: rename that {kind}")

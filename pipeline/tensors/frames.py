"""pandas, which only who asks for a DataFrame needs."""

from __future__ import annotations

import importlib
from typing import Any

from pipeline.errors import NotInstalled


def pandas() -> Any:
    """The library. Raises NotInstalled where it is not there: the server's fault, not that of who sent rows."""
    try:
        return importlib.import_module("pandas")
    except ModuleNotFoundError as error:
        if error.name != "pandas":
            raise  # there, and broken
        raise NotInstalled("pandas", "pandas", "makes the table that the model reads") from None
